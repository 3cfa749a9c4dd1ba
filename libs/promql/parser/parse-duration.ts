/** Durations where one is asked for: `[5m * 2]`, `offset -step()`. */
import type { DurationExpr, DurationOp, Span } from "./ast.ts";
import { isDurationOutOfRange } from "./go-number.ts";
import type { Token, TokenType } from "./token.ts";
import { parseNumber } from "./parse-number.ts";
import type { Tokens } from "./tokens.ts";

export type DurationNumber = DurationExpr & { readonly kind: "duration-number" };

const PRECEDENCE: Readonly<Partial<Record<TokenType, number>>> = { "+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3 };
const POWER = 3;

/** What is wrong has been said; it counts as nothing. */
const ZERO: DurationNumber = { kind: "duration-number", span: { from: 0, to: 0 }, seconds: 0, isDuration: false };

export class DurationParser {
  readonly #tokens: Tokens;
  readonly #enabled: boolean;

  /** @param enabled false: only numbers, durations and a sign are allowed. */
  constructor(tokens: Tokens, enabled: boolean) {
    this.#tokens = tokens;
    this.#enabled = enabled;
  }

  /** Of a range or step. */
  expression(least = 1): DurationExpr {
    this.#tokens.enter();
    const expr = this.#binary(this.#operand(), least);
    this.#tokens.leave();
    return expr;
  }

  /**
   * Behind `offset`: binds tighter than the operators around it, so that `a offset 5m * 2` is a product, except where it
   * starts with parentheses or a second sign, which cannot be anything else.
   */
  offset(): DurationExpr {
    const tokens = this.#tokens;
    const sign = tokens.ahead.type === "-" || tokens.ahead.type === "+" ? tokens.take() : undefined;
    const { type } = tokens.ahead;
    if (sign === undefined) {
      if (type === "(") return this.#binary(this.#operand(), 1);
      return this.#operand();
    }
    if (type === "-" || type === "+") return this.#binary(this.#signed(sign, this.expression(POWER)), 1);
    if (type === "(") {
      const expr = this.#parenthesised(false);
      // Prometheus places such a number without its parentheses.
      const isNumber = expr.kind === "duration-paren" && expr.expr.kind === "duration-number";
      return this.#signed(sign, isNumber ? { ...expr, span: expr.expr.span } : expr);
    }
    const operand = this.#operand(sign);
    if (operand.kind === "duration-number") return operand;
    return this.#experimental({
      kind: "duration-unary",
      span: { from: sign.from, to: operand.span.to },
      op: sign.type as "+" | "-",
      expr: operand,
    });
  }

  #experimental<T extends DurationExpr>(expr: T): T {
    if (!this.#enabled) this.#disabled(durationRange(expr));
    return expr;
  }

  #disabled(at: Span): void {
    this.#tokens.fault("experimental duration expression is not enabled", at);
  }

  /** @param sign belongs to a number that comes directly. */
  #operand(sign?: Token): DurationExpr {
    const tokens = this.#tokens;
    for (;;) {
      const { type } = tokens.ahead;
      switch (type) {
        case "number":
        case "duration": {
          const token = tokens.take();
          const seconds = (sign?.type === "-" ? -1 : 1) * parseNumber(tokens, token);
          return this.#number(
            seconds,
            { from: (sign ?? token).from, to: token.to },
            type === "duration",
            sign ?? token,
          );
        }
        case "+":
        case "-": {
          const token = tokens.take();
          return this.#signed(token, this.expression(POWER));
        }
        case "(":
          return this.#parenthesised(true);
        case "step":
        case "range": {
          const { from } = tokens.take();
          tokens.expect("(");
          const { to } = tokens.expect(")");
          const expr: DurationExpr = { kind: `duration-${type}`, span: { from, to } };
          return sign === undefined ? this.#experimental(expr) : expr;
        }
        case "min_of":
        case "max_of": {
          const { from } = tokens.take();
          tokens.expect("(");
          const lhs = this.#upTo(",");
          const rhs = this.#upTo(")");
          const expr: DurationExpr = { kind: "duration-call", span: { from, to: tokens.end }, func: type, lhs, rhs };
          return sign === undefined ? this.#experimental(expr) : expr;
        }
        default:
          tokens.reject();
      }
    }
  }

  #upTo(close: TokenType): DurationExpr {
    const expr = this.expression();
    this.#tokens.expect(close);
    return expr;
  }

  /** Twice the parentheses are once. */
  #parenthesised(experimental: boolean): DurationExpr {
    const { from } = this.#tokens.take();
    const expr = this.#upTo(")");
    if (experimental) this.#experimental(expr);
    if (expr.kind === "duration-paren") return expr;
    return { kind: "duration-paren", span: { from, to: this.#tokens.end }, expr };
  }

  /** A plus leaves nothing behind. */
  #signed(sign: Token, expr: DurationExpr): DurationExpr {
    const span = { from: sign.from, to: expr.span.to };
    if (expr.kind === "duration-number") {
      return this.#number(sign.type === "-" ? -expr.seconds : expr.seconds, span, expr.isDuration, sign);
    }
    return sign.type === "-" ? { kind: "duration-unary", span, op: "-", expr } : expr;
  }

  #number(seconds: number, span: Span, isDuration: boolean, blame: Token): DurationNumber {
    if (!isDurationOutOfRange(seconds)) return { kind: "duration-number", span, seconds, isDuration };
    this.#tokens.fault("duration out of range", blame);
    return ZERO;
  }

  #binary(first: DurationExpr, least: number): DurationExpr {
    const tokens = this.#tokens;
    let lhs = first;
    // Not asked of each longer left side again, which would be quadratic.
    let range = durationRange(first);
    for (;;) {
      const precedence = PRECEDENCE[tokens.ahead.type];
      if (precedence === undefined || precedence < least) return lhs;
      const sign = tokens.take();
      const rhs = this.expression(precedence === POWER ? POWER : precedence + 1);
      if (!this.#enabled) this.#disabled(range);
      range = { from: range.from, to: durationRange(rhs).to };
      const op = sign.type as DurationOp;
      if ((op === "/" || op === "%") && rhs.kind === "duration-number" && rhs.seconds === 0) {
        tokens.fault(op === "/" ? "division by zero" : "modulo by zero", sign);
        lhs = ZERO;
        range = ZERO.span;
      } else {
        lhs = { kind: "duration-binary", span: { from: lhs.span.from, to: rhs.span.to }, op, lhs, rhs };
      }
    }
  }
}

/**
 * Where Prometheus says that a duration stands: from its first operand to its last, without parentheses and the words
 * around them.
 */
export function durationRange(expr: DurationExpr): Span {
  let first = expr;
  while (first.kind === "duration-binary" || first.kind === "duration-call" || isAroundExpression(first)) {
    first = first.kind === "duration-paren" ? first.expr : first.lhs;
  }
  let last = expr;
  for (;;) {
    if (last.kind === "duration-unary" || last.kind === "duration-paren") last = last.expr;
    else if (last.kind === "duration-binary" || last.kind === "duration-call") last = last.rhs;
    else break;
  }
  return { from: first.span.from, to: last.span.to };
}

/** Parentheses around a number are where it starts, around anything else they are not seen. */
function isAroundExpression(expr: DurationExpr): expr is DurationExpr & { kind: "duration-paren" } {
  return expr.kind === "duration-paren" && expr.expr.kind !== "duration-number";
}
