/**
 * What stands behind an expression: ranges, subqueries, `offset`, `@`, `anchored` and `smoothed`. All bind tighter than
 * any operator. Nodes are changed in place: `a offset 5m` is the node of `a`.
 */
import { formatValue } from "#libs/model/float.ts";
import type { AtModifier, Draft, DurationExpr, Expr, MatrixSelector, Span, Subquery, VectorSelector } from "./ast.ts";
import { secondsToMs } from "./go-number.ts";
import type { ParserOptions } from "./options.ts";
import { DurationParser } from "./parse-duration.ts";
import { parseSignedNumber } from "./parse-number.ts";
import type { TokenType } from "./token.ts";
import type { Tokens } from "./tokens.ts";

const AT_TYPES: ReadonlySet<TokenType> = new Set(["start", "end", "number", "duration", "+", "-"]);

export class ModifierParser {
  readonly #tokens: Tokens;
  readonly #extendedRanges: boolean;
  readonly #durations: DurationParser;

  constructor(tokens: Tokens, options: ParserOptions) {
    this.#tokens = tokens;
    this.#extendedRanges = options.extendedRangeSelectors;
    this.#durations = new DurationParser(tokens, options.durationExpressions);
  }

  /** The expression with all that stands behind it. */
  apply(first: Expr): Expr {
    const tokens = this.#tokens;
    let expr: Expr = first;
    for (;;) {
      switch (tokens.ahead.type) {
        case "[":
          expr = this.#bracket(expr);
          break;
        case "offset":
          tokens.take();
          this.#offset(expr);
          break;
        case "@":
          tokens.take();
          this.#at(expr);
          break;
        case "anchored":
        case "smoothed":
          this.#borders(expr, tokens.take().type as "anchored" | "smoothed");
          break;
        default:
          return expr;
      }
    }
  }

  #bracket(expr: Expr): Expr {
    const tokens = this.#tokens;
    const open = tokens.take();
    const range = tokens.attempt("subquery or range selector", "number, duration, step(), or range()", () =>
      this.#positiveDuration(),
    );
    if (range === undefined) return expr;
    const next = tokens.attempt("subquery or range", '":" or "]"', () => {
      while (tokens.ahead.type !== ":" && tokens.ahead.type !== "]") tokens.reject();
      return tokens.take();
    });
    if (next === undefined) return expr;
    if (next.type === "]") return this.#matrix(expr, range, { from: open.from, to: next.to });
    let step: DurationExpr | undefined;
    if (!tokens.accept("]")) {
      step = tokens.attempt("subquery selector", 'number, duration, step(), range(), or "]"', () =>
        this.#positiveDuration(),
      );
      if (step === undefined) return expr;
      if (tokens.attempt("subquery selector", '"]"', () => tokens.expect("]")) === undefined) return expr;
    }
    const subquery: Subquery = {
      kind: "subquery",
      span: { from: expr.span.from, to: tokens.end },
      expr,
      rangeMs: constantMs(range),
      rangeExpr: unlessConstant(range),
      stepMs: constantMs(step),
      stepExpr: unlessConstant(step),
      offsetMs: 0,
      offsetExpr: undefined,
      at: undefined,
    };
    return subquery;
  }

  #positiveDuration(): DurationExpr {
    const duration = this.#durations.expression();
    if (duration.kind === "duration-number" && duration.seconds <= 0) {
      this.#tokens.fault("duration must be greater than 0", duration.span);
    }
    return duration;
  }

  #matrix(expr: Expr, range: DurationExpr, brackets: Span): MatrixSelector {
    const tokens = this.#tokens;
    if (expr.kind !== "selector") tokens.fault("ranges only allowed for vector selectors", brackets);
    else if (hasOffset(expr)) tokens.fault("no offset modifiers allowed before range", brackets);
    else if (expr.at !== undefined) tokens.fault("no @ modifiers allowed before range", brackets);
    return {
      kind: "matrix",
      span: { from: expr.span.from, to: tokens.end },
      // Of another kind only beside a fault.
      selector: expr as VectorSelector,
      rangeMs: constantMs(range),
      rangeExpr: unlessConstant(range),
    };
  }

  #offset(expr: Expr): void {
    const tokens = this.#tokens;
    const offset = tokens.attempt("offset", "number, duration, step(), or range()", () => this.#durations.offset());
    if (offset === undefined) return;
    const target = this.#modifiable(expr, "offset modifier");
    if (target === undefined) return;
    if (hasOffset(target)) return tokens.fault("offset may not be set multiple times", expr.span);
    target.offsetMs = constantMs(offset);
    target.offsetExpr = unlessConstant(offset);
    (expr as Draft<Expr>).span = { from: expr.span.from, to: tokens.end };
  }

  #at(expr: Expr): void {
    const tokens = this.#tokens;
    const at = tokens.attempt("@", "timestamp", () => this.#timestamp(expr));
    if (at === undefined) return;
    const target = this.#modifiable(expr, "@ modifier");
    if (target === undefined) return;
    if (target.at !== undefined) return tokens.fault("@ <timestamp> may not be set multiple times", expr.span);
    target.at = at;
    (expr as Draft<Expr>).span = { from: expr.span.from, to: tokens.end };
  }

  #timestamp(expr: Expr): AtModifier {
    const tokens = this.#tokens;
    while (!AT_TYPES.has(tokens.ahead.type)) tokens.reject();
    const { type } = tokens.ahead;
    if (type === "start" || type === "end") {
      tokens.take();
      tokens.expect("(");
      tokens.expect(")");
      return { kind: type };
    }
    const seconds = parseSignedNumber(tokens);
    if (!(Math.abs(seconds) < 2 ** 63)) {
      tokens.fault(`timestamp out of bounds for @ modifier: ${formatFixed(seconds)}`, expr.span);
    }
    return { kind: "time", timeMs: secondsToTimeMs(seconds) };
  }

  #borders(expr: Expr, borders: "anchored" | "smoothed"): void {
    const fail = (message: string): void => this.#tokens.fault(message, expr.span);
    if (!this.#extendedRanges) return fail(`${borders} modifier is experimental and not enabled`);
    if (expr.kind === "subquery") return fail(`${borders} modifier is not supported for subqueries`);
    const selector = expr.kind === "matrix" ? expr.selector : expr;
    if (selector.kind === "selector") {
      if (selector.borders !== "extrapolated" && selector.borders !== borders) {
        fail("anchored and smoothed modifiers cannot be used together");
      }
      (selector as Draft<VectorSelector>).borders = borders;
    } else if (expr.kind !== "matrix") fail(`${borders} modifier not implemented`);
  }

  /** What `offset` and `@` are kept in. */
  #modifiable(expr: Expr, what: string): Draft<VectorSelector> | Draft<Subquery> | undefined {
    if (expr.kind === "subquery") return expr;
    const selector: Expr = expr.kind === "matrix" ? expr.selector : expr;
    if (selector.kind === "selector") return selector;
    const preceding = "an instant vector selector or range vector selector or a subquery";
    this.#tokens.fault(
      expr.kind === "matrix" ? "ranges only allowed for vector selectors" : `${what} must be preceded by ${preceding}`,
      expr.span,
    );
    return undefined;
  }
}

function hasOffset(expr: VectorSelector | Subquery): boolean {
  return expr.offsetMs !== 0 || expr.offsetExpr !== undefined;
}

function constantMs(duration: DurationExpr | undefined): number {
  return duration?.kind === "duration-number" ? secondsToMs(duration.seconds) : 0;
}

function unlessConstant(duration: DurationExpr | undefined): DurationExpr | undefined {
  return duration?.kind === "duration-number" ? undefined : duration;
}

/** To the nearest millisecond; what fits no int64 becomes the lowest, as in Go. */
function secondsToTimeMs(seconds: number): number {
  const timeMs = Math.sign(seconds) * Math.round(Math.abs(seconds) * 1000);
  return Math.abs(timeMs) < 2 ** 63 ? timeMs + 0 : -(2 ** 63);
}

/** Go's `%f` of numbers that are whole or no numbers. */
function formatFixed(value: number): string {
  return Number.isFinite(value) ? `${BigInt(value)}.000000` : formatValue(value);
}
