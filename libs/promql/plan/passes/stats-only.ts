/**
 * Selectors of whose histograms only count and sum are asked for: buckets are dropped as soon as they are decoded. The
 * rules are those of Prometheus's detectHistogramStatsDecoding: resets are then told apart before buckets go.
 */
import { type Expr, isTrim } from "../../parser/ast.ts";
import { mapChildren } from "../pass.ts";

/** Functions that need no buckets, and those that need them whatever is asked for above. */
const STATS_FUNCTIONS: ReadonlySet<string> = new Set(["histogram_avg", "histogram_count", "histogram_sum"]);
const BUCKET_FUNCTIONS: ReadonlySet<string> = new Set([
  "histogram_fraction",
  "histogram_quantile",
  "histogram_quantiles",
]);

export function markStatsOnly(expr: Expr): Expr {
  return mark(expr, false);
}

function mark(expr: Expr, wanted: boolean): Expr {
  switch (expr.kind) {
    case "selector":
      return wanted ? { ...expr, statsOnly: true } : expr;
    case "matrix":
      return wanted ? { ...expr, selector: { ...expr.selector, statsOnly: true } } : expr;
    case "subquery":
      return expr;
    case "call":
      if (BUCKET_FUNCTIONS.has(expr.func)) return expr;
      return mapChildren(expr, (child) => mark(child, wanted || STATS_FUNCTIONS.has(expr.func)));
    case "binary":
      return isTrim(expr.op) ? expr : mapChildren(expr, (child) => mark(child, wanted));
    default:
      return mapChildren(expr, (child) => mark(child, wanted));
  }
}
