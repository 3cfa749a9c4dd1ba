/**
 * Parser of PromQL: precedence climbing over `Tokens`, then a type check (check.ts). One function a construct, in the
 * order in which constructs contain each other; a construct that has words of its own for a fault inside it catches
 * `UNWIND` and says them (tokens.ts).
 *
 * Nodes are changed in place while they are built: `a offset 5m` is the node of `a`.
 */
import { formatValue } from "#libs/model/float.ts";
import { METRIC_NAME } from "#libs/model/labels.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import { signatureOf } from "../functions/signatures.ts";
import {
  AGGREGATIONS,
  type AggregateExpr,
  type AggregationOp,
  type AtModifier,
  type BinaryExpr,
  type BinaryOp,
  type CallExpr,
  type Draft,
  type DurationExpr,
  type Expr,
  type MatrixSelector,
  type NumberLiteral,
  type Span,
  type Subquery,
  type VectorMatching,
  type VectorSelector,
} from "./ast.ts";
import { checkTypes } from "./check.ts";
import { assertDepth } from "./walk.ts";
import { secondsToMs } from "./go-number.ts";
import { unquoteLiteral } from "./go-string.ts";
import { DurationParser } from "./parse-duration.ts";
import { ParseError } from "./parse-error.ts";
import { parseGrouping, parseMatchers } from "./parse-labels.ts";
import { parseNumber } from "./parse-number.ts";
import { METRIC_TYPES, type Token, type TokenType } from "./token.ts";
import { ABORT, DEPTH_MAX, Tokens, UNWIND } from "./tokens.ts";

/** Parts of the language that Prometheus has behind flags. */
export interface ParserOptions {
  readonly experimentalFunctions: boolean;
  readonly durationExpressions: boolean;
  readonly extendedRangeSelectors: boolean;
  readonly fillModifiers: boolean;
}

/** Prometheus 3.14 has duration expressions on always, the rest off without its flags. */
export const ALL_OFF: ParserOptions = {
  experimentalFunctions: false,
  durationExpressions: false,
  extendedRangeSelectors: false,
  fillModifiers: false,
};

const PRECEDENCE: Readonly<Record<BinaryOp, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  "==": 3,
  "!=": 3,
  "<": 3,
  "<=": 3,
  ">": 3,
  ">=": 3,
  "</": 3,
  ">/": 3,
  "+": 4,
  "-": 4,
  "*": 5,
  "/": 5,
  "%": 5,
  atan2: 5,
  "^": 6,
};
const BINARY: ReadonlyMap<TokenType, number> = new Map(
  (Object.keys(PRECEDENCE) as BinaryOp[]).map((op) => [op, PRECEDENCE[op]]),
);
const POWER = PRECEDENCE["^"];

const AGGREGATION_TYPES: ReadonlySet<TokenType> = new Set(AGGREGATIONS);
const WITH_PARAM: ReadonlySet<AggregationOp> = new Set([
  "topk",
  "bottomk",
  "quantile",
  "count_values",
  "limitk",
  "limit_ratio",
]);
const CALLABLE: ReadonlySet<TokenType> = new Set(["identifier", "start", "end", "step", "range", "max_of", "min_of"]);
const STARTS_EXPRESSION: ReadonlySet<TokenType> = new Set([
  ...METRIC_TYPES,
  ...(["number", "duration", "string", "+", "-", "(", "{"] as const),
]);

/** @throws ParseError (400 `bad_data`) with all that is wrong. */
export function parseQuery(query: string, options: ParserOptions = ALL_OFF): Expr {
  const tokens = new Tokens(query);
  const expr = parseAll(tokens, () => {
    if (tokens.ahead.type === "eof") {
      tokens.fault("no expression found in input", { from: 0, to: 0 });
      return undefined;
    }
    return new ExpressionParser(tokens, options).expression(0);
  });
  if (expr === undefined || tokens.faults.length > 0) throw new ParseError(query, tokens.faults);
  checkTypes(query, expr);
  if (tokens.count > DEPTH_MAX) assertDepth(query, expr);
  return expr;
}

/** Matchers of a series selector such as `match[]` holds. Nothing is checked but the syntax. */
export function parseSelector(text: string): readonly MatcherSpec[] {
  const tokens = new Tokens(text);
  const selector = parseAll(tokens, () => {
    while (!METRIC_TYPES.has(tokens.ahead.type) && tokens.ahead.type !== "{") tokens.reject();
    return parseVectorSelector(tokens, tokens.ahead.type === "{" ? undefined : tokens.take());
  });
  if (selector === undefined || tokens.faults.length > 0) throw new ParseError(text, tokens.faults);
  return selector.matchers;
}

/** Runs `parse` up to the end of the text. @returns undefined when there are faults. */
function parseAll<T>(tokens: Tokens, parse: () => T): T | undefined {
  let result: T | undefined;
  try {
    try {
      result = parse();
    } catch (error) {
      if (error !== UNWIND) throw error;
      tokens.unexpected("", "");
    }
    while (tokens.ahead.type !== "eof" && tokens.ahead.type !== "error") {
      if (!tokens.drop()) tokens.unexpected("", "");
    }
  } catch (error) {
    if (error !== ABORT) throw error;
  }
  return result;
}

function parseVectorSelector(tokens: Tokens, name: Token | undefined): Draft<VectorSelector> {
  const { from } = name ?? tokens.ahead;
  const matchers = tokens.ahead.type === "{" ? parseMatchers(tokens) : [];
  const metric = name === undefined ? "" : tokens.text(name);
  if (metric !== "") matchers.push({ type: "=", name: METRIC_NAME, value: metric });
  return {
    kind: "selector",
    span: { from, to: tokens.end },
    name: metric,
    matchers,
    offsetMs: 0,
    offsetExpr: undefined,
    at: undefined,
    borders: "extrapolated",
  };
}

class ExpressionParser {
  readonly #tokens: Tokens;
  readonly #options: ParserOptions;
  readonly #durations: DurationParser;

  constructor(tokens: Tokens, options: ParserOptions) {
    this.#tokens = tokens;
    this.#options = options;
    this.#durations = new DurationParser(tokens, options.durationExpressions);
  }

  /** Operators that bind looser than `least` are left to the caller. */
  expression(least: number): Expr {
    this.#tokens.enter();
    const expr = this.#binary(this.#operand(), least);
    this.#tokens.leave();
    return expr;
  }

  #binary(first: Expr, least: number): Expr {
    const tokens = this.#tokens;
    let lhs = first;
    for (;;) {
      const precedence = BINARY.get(tokens.ahead.type);
      if (precedence === undefined || precedence < least) return lhs;
      const token = tokens.take();
      const bool = tokens.accept("bool");
      const matching = this.#matching();
      const rhs = this.expression(precedence === POWER ? POWER : precedence + 1);
      const span = { from: lhs.span.from, to: rhs.span.to };
      const opSpan = { from: token.from, to: token.to };
      const filled = matching.fillLeft !== undefined || matching.fillRight !== undefined;
      if (filled && !this.#options.fillModifiers) {
        tokens.fault("binop fill modifiers are experimental and not enabled", span);
      }
      const node: BinaryExpr = { kind: "binary", span, opSpan, op: token.type as BinaryOp, lhs, rhs, bool, matching };
      lhs = node;
    }
  }

  #matching(): VectorMatching {
    const tokens = this.#tokens;
    const matching: Draft<VectorMatching> = {
      card: "one-to-one",
      on: false,
      labels: [],
      include: [],
      fillLeft: undefined,
      fillRight: undefined,
    };
    const word = tokens.ahead.type;
    if (word === "on" || word === "ignoring") {
      tokens.take();
      matching.on = word === "on";
      matching.labels = parseGrouping(tokens);
      const side = tokens.ahead.type;
      if (side === "group_left" || side === "group_right") {
        tokens.take();
        matching.card = side === "group_left" ? "many-to-one" : "one-to-many";
        matching.include = parseGrouping(tokens, (next) => STARTS_EXPRESSION.has(next));
      }
    }
    if (tokens.accept("fill")) {
      matching.fillLeft = this.#fillValue();
      matching.fillRight = matching.fillLeft;
    } else if (tokens.accept("fill_left")) {
      matching.fillLeft = this.#fillValue();
      if (tokens.accept("fill_right")) matching.fillRight = this.#fillValue();
    } else if (tokens.accept("fill_right")) {
      matching.fillRight = this.#fillValue();
      if (tokens.accept("fill_left")) matching.fillLeft = this.#fillValue();
    }
    return matching;
  }

  #fillValue(): number {
    this.#tokens.expect("(");
    const value = this.#signedNumber();
    this.#tokens.expect(")");
    return value;
  }

  #signedNumber(): number {
    const tokens = this.#tokens;
    const sign = tokens.ahead.type === "-" || tokens.ahead.type === "+" ? tokens.take().type : "+";
    while (tokens.ahead.type !== "number" && tokens.ahead.type !== "duration") tokens.reject();
    const value = parseNumber(tokens, tokens.take());
    return sign === "-" ? -value : value;
  }

  #operand(): Expr {
    const tokens = this.#tokens;
    const sign = tokens.ahead.type;
    if (sign !== "-" && sign !== "+") return this.#modified(this.#primary());
    const { from } = tokens.take();
    // Binds like `*`: -1^2 is -(1^2).
    const expr = this.expression(POWER);
    const span = { from, to: expr.span.to };
    if (expr.kind === "number") return { ...expr, span, value: sign === "-" ? -expr.value : expr.value };
    return { kind: "unary", span, op: sign, expr };
  }

  #primary(): Expr {
    const tokens = this.#tokens;
    for (;;) {
      const { type } = tokens.ahead;
      if (METRIC_TYPES.has(type)) return this.#named(tokens.take());
      switch (type) {
        case "number":
        case "duration": {
          const token = tokens.take();
          const number: NumberLiteral = { kind: "number", span: spanOf(token), value: parseNumber(tokens, token) };
          return type === "duration" ? { ...number, isDuration: true } : number;
        }
        case "string": {
          const token = tokens.take();
          return { kind: "string", span: spanOf(token), value: unquoteLiteral(tokens.text(token)) };
        }
        case "(":
          return this.#parenthesised();
        case "{":
          return parseVectorSelector(tokens, undefined);
        default:
          tokens.reject();
      }
    }
  }

  #parenthesised(): Expr {
    const tokens = this.#tokens;
    const { from } = tokens.take();
    let expr = this.expression(0);
    while (!tokens.accept(")")) {
      tokens.reject();
      // Where tokens were dropped, what follows continues the whole expression.
      expr = this.#binary(this.#modified(expr), 0);
    }
    return { kind: "paren", span: { from, to: tokens.end }, expr };
  }

  #named(name: Token): Expr {
    const next = this.#tokens.ahead.type;
    if (AGGREGATION_TYPES.has(name.type) && (next === "(" || next === "by" || next === "without")) {
      return this.#aggregate(name);
    }
    if (next === "(" && CALLABLE.has(name.type)) return this.#call(name);
    return parseVectorSelector(this.#tokens, name);
  }

  #call(name: Token): CallExpr {
    const tokens = this.#tokens;
    const args = this.#arguments();
    const func = tokens.text(name);
    const signature = signatureOf(func);
    const shown = JSON.stringify(func);
    if (signature === undefined) tokens.fault(`unknown function with name ${shown}`, name);
    else if (signature.experimental && !this.#options.experimentalFunctions) {
      tokens.fault(`function ${shown} is not enabled`, name);
    }
    return { kind: "call", span: { from: name.from, to: tokens.end }, func, args };
  }

  #arguments(): Expr[] {
    const tokens = this.#tokens;
    const args: Expr[] = [];
    tokens.expect("(");
    while (!STARTS_EXPRESSION.has(tokens.ahead.type)) {
      if (tokens.accept(")")) return args;
      tokens.reject();
    }
    args.push(this.expression(0));
    while (!tokens.accept(")")) {
      if (tokens.ahead.type !== ",") tokens.reject();
      else {
        const comma = tokens.take();
        if (STARTS_EXPRESSION.has(tokens.ahead.type)) args.push(this.expression(0));
        else tokens.fault("trailing commas not allowed in function call args", comma);
      }
    }
    return args;
  }

  #aggregate(name: Token): AggregateExpr {
    const tokens = this.#tokens;
    let grouping: Grouping | undefined;
    const body = tokens.attempt("aggregation", "", () => {
      grouping = this.#grouping();
      const args = this.#arguments();
      grouping ??= this.#grouping();
      return args;
    });
    const args = body ?? [];
    const op = name.type as AggregationOp;
    const whole = body !== undefined && grouping === undefined;
    const span = { from: name.from, to: whole ? tokens.end : tokens.closed };
    const wanted = WITH_PARAM.has(op) ? 2 : 1;
    if (args.length === 0) tokens.fault("no arguments for aggregate expression provided", span);
    else if ((op === "limitk" || op === "limit_ratio") && !this.#options.experimentalFunctions) {
      const flag = "--enable-feature=promql-experimental-functions";
      tokens.fault(`${op}() is experimental and must be enabled with ${flag}`, span);
    } else if (args.length !== wanted) {
      const counts = `expected ${wanted}, got ${args.length}`;
      tokens.fault(`wrong number of arguments for aggregate expression provided, ${counts}`, span);
    }
    const expr = args[wanted - 1] ?? MISSING;
    const param = wanted === 2 ? args[0] : undefined;
    return { kind: "aggregate", span, op, expr, param, ...(grouping ?? { grouping: [], without: false }) };
  }

  #grouping(): Grouping | undefined {
    const word = this.#tokens.ahead.type;
    if (word !== "by" && word !== "without") return undefined;
    this.#tokens.take();
    return { grouping: parseGrouping(this.#tokens), without: word === "without" };
  }

  /** What stands behind an expression: ranges, subqueries, `offset`, `@`, `anchored` and `smoothed`. */
  #modified(first: Expr): Expr {
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
    if (hasOffset(target)) tokens.fault("offset may not be set multiple times", expr.span);
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
    const seconds = this.#signedNumber();
    if (!(Math.abs(seconds) < 2 ** 63)) {
      tokens.fault(`timestamp out of bounds for @ modifier: ${formatFixed(seconds)}`, expr.span);
    }
    return { kind: "time", timeMs: secondsToTimeMs(seconds) };
  }

  #borders(expr: Expr, borders: "anchored" | "smoothed"): void {
    const fail = (message: string): void => this.#tokens.fault(message, expr.span);
    if (!this.#options.extendedRangeSelectors) return fail(`${borders} modifier is experimental and not enabled`);
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

type Grouping = Pick<AggregateExpr, "grouping" | "without">;

const AT_TYPES: ReadonlySet<TokenType> = new Set(["start", "end", "number", "duration", "+", "-"]);

/** Stands for an expression beside a fault. */
const MISSING: NumberLiteral = { kind: "number", span: { from: 0, to: 0 }, value: 0 };

function spanOf(token: Token): Span {
  return { from: token.from, to: token.to };
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
