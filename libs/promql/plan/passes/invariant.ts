/** What gives the same at every step is evaluated once. The rules are Prometheus's (promql/engine.go). */
import { type Expr, unwrapParens } from "../../parser/ast.ts";
import { mapChildren } from "../pass.ts";

/** Functions whose result depends on the evaluation time even over a fixed selector. */
const TIME_DEPENDENT: ReadonlySet<string> = new Set([
  "days_in_month",
  "day_of_month",
  "day_of_week",
  "day_of_year",
  "hour",
  "minute",
  "month",
  "year",
  "predict_linear",
  "time",
  "timestamp",
]);

/** Wraps the largest subtrees that are worth evaluating once; ranges are not wrapped, what is inside a subquery is. */
export function markInvariant(expr: Expr): Expr {
  switch (expr.kind) {
    case "number":
    case "string":
    case "matrix":
      return expr;
    case "subquery":
      return mapChildren(expr, markInvariant);
    default:
      if (isInvariant(expr)) return { kind: "invariant", span: expr.span, expr };
      return mapChildren(expr, markInvariant);
  }
}

function isInvariant(expr: Expr): boolean {
  switch (expr.kind) {
    case "number":
    case "string":
    case "invariant":
      return true;
    case "selector":
      return expr.at !== undefined;
    case "matrix":
      return expr.selector.at !== undefined;
    case "subquery":
      return expr.at !== undefined;
    case "unary":
    case "paren":
    case "shared":
      return isInvariant(expr.expr);
    case "aggregate":
      // Whatever the parameter does, as in Prometheus.
      return isInvariant(expr.expr);
    case "binary":
      return isInvariant(expr.lhs) && isInvariant(expr.rhs);
    case "call":
      if (expr.func === "timestamp")
        return unwrapParens(expr.args[0]!).kind === "selector" && isInvariant(expr.args[0]!);
      return !TIME_DEPENDENT.has(expr.func) && expr.args.every(isInvariant);
  }
}
