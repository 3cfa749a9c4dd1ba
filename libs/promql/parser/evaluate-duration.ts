/** The value of a duration expression, once the range and step of the query are known. */
import { BadRequestError } from "#libs/kit/errors.ts";
import { goMax, goMin, goPow } from "../functions/scalar-math.ts";
import type { DurationExpr } from "./ast.ts";
import { isDurationOutOfRange } from "./go-number.ts";
import { durationRange } from "./parse-duration.ts";
import { utf8Offset } from "./parse-error.ts";

export interface DurationContext {
  /** Of the query: `step()`, 0 for an instant query, and `range()`, its end less its start. */
  readonly stepMs: number;
  readonly rangeMs: number;
  /** The text that was parsed: errors say where in its bytes. */
  readonly query: string;
  /** Offsets may be zero and negative; ranges and steps may not. */
  readonly isOffset: boolean;
}

/**
 * Whole milliseconds, what is beyond them cut off.
 *
 * @throws BadRequestError `5:9: duration must be greater than 0` and its like.
 */
export function evaluateDuration(expr: DurationExpr, context: DurationContext): number {
  const seconds = evaluate(expr, context);
  if (!Number.isFinite(seconds)) throw failure(expr, "duration is NaN or infinite", context);
  if (seconds <= 0 && !context.isOffset) throw failure(expr, "duration must be greater than 0", context);
  if (isDurationOutOfRange(seconds)) throw failure(expr, "duration is out of range", context);
  return Math.trunc(seconds * 1000) + 0;
}

function failure(expr: DurationExpr, what: string, { query }: DurationContext): BadRequestError {
  const { from, to } = durationRange(expr);
  return new BadRequestError(`${utf8Offset(query, from)}:${utf8Offset(query, to)}: ${what}`);
}

function evaluate(expr: DurationExpr, context: DurationContext): number {
  switch (expr.kind) {
    case "duration-number":
      return expr.seconds;
    case "duration-step":
      return context.stepMs / 1000;
    case "duration-range":
      return context.rangeMs / 1000;
    case "duration-paren":
      return evaluate(expr.expr, context);
    case "duration-unary":
      return expr.op === "-" ? -evaluate(expr.expr, context) : evaluate(expr.expr, context);
    case "duration-call": {
      const choose = expr.func === "min_of" ? goMin : goMax;
      return choose(evaluate(expr.lhs, context), evaluate(expr.rhs, context));
    }
    case "duration-binary": {
      const lhs = evaluate(expr.lhs, context);
      const rhs = evaluate(expr.rhs, context);
      switch (expr.op) {
        case "+":
          return lhs + rhs;
        case "-":
          return lhs - rhs;
        case "*":
          return lhs * rhs;
        case "/":
          if (rhs === 0) throw failure(expr, "division by zero", context);
          return lhs / rhs;
        case "%":
          if (rhs === 0) throw failure(expr, "modulo by zero", context);
          return lhs % rhs;
        case "^":
          return goPow(lhs, rhs);
      }
    }
  }
}
