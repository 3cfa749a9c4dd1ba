/**
 * The same query at a fixed time: with `@ time` at every selector that has none, its result no longer depends on when
 * it is evaluated. A selector inside a subquery is left alone: the subquery's own time fixes it.
 */
import type { AtModifier, Expr } from "../parser/ast.ts";

/** Their results depend on the time of evaluation (or are written so that they may), whatever the selectors say. */
const TIME_DEPENDENT = new Set([
  "days_in_month",
  "day_of_month",
  "day_of_week",
  "day_of_year",
  "end",
  "hour",
  "minute",
  "month",
  "predict_linear",
  "range",
  "start",
  "step",
  "time",
  "timestamp",
  "year",
]);

/** `@ start()` and `@ end()` are overridden. Undefined when a function of the query depends on time. */
export function pinQuery(expr: Expr, timeMs: number): Expr | undefined {
  const pin = (child: Expr): Expr | undefined => pinQuery(child, timeMs);
  const fixed = (at: AtModifier | undefined): AtModifier => (at?.kind === "time" ? at : { kind: "time", timeMs });
  switch (expr.kind) {
    case "number":
    case "string":
      return expr;
    case "selector":
    case "subquery":
      return { ...expr, at: fixed(expr.at) };
    case "matrix":
      return { ...expr, selector: { ...expr.selector, at: fixed(expr.selector.at) } };
    case "unary":
    case "paren":
    case "invariant":
    case "shared": {
      const inner = pin(expr.expr);
      return inner && { ...expr, expr: inner };
    }
    case "binary": {
      const [lhs, rhs] = [pin(expr.lhs), pin(expr.rhs)];
      return lhs && rhs && { ...expr, lhs, rhs };
    }
    case "aggregate": {
      const [inner, param] = [pin(expr.expr), expr.param && pin(expr.param)];
      if (inner === undefined || (expr.param !== undefined && param === undefined)) return undefined;
      return { ...expr, expr: inner, param };
    }
    case "call": {
      const args = expr.args.map(pin);
      if (TIME_DEPENDENT.has(expr.func) || !args.every((arg) => arg !== undefined)) return undefined;
      return { ...expr, args };
    }
  }
}

/** Times at which a pinned query must give what the query gives at `timeMs`. */
export function pinnedTimes(timeMs: number): readonly number[] {
  if (timeMs === 0) return [-1000, 0, 1000];
  return [-10 * timeMs, 0, Math.trunc(timeMs / 5), timeMs, 10 * timeMs];
}
