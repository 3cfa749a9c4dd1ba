/** Aggregations: which way each one goes. */
import type { AggregateExpr } from "../parser/ast.ts";
import type { Tile } from "../tile.ts";
import { countValues } from "./aggregate/count-values.ts";
import { fold } from "./aggregate/fold.ts";
import { quantiles } from "./aggregate/quantiles.ts";
import { limitRatio, selectRanked } from "./aggregate/select-series.ts";
import type { EvalContext } from "./context.ts";

export function aggregate(expr: AggregateExpr, context: EvalContext): AsyncGenerator<Tile> {
  switch (expr.op) {
    case "topk":
    case "bottomk":
    case "limitk":
      return selectRanked(expr, expr.op, context);
    case "limit_ratio":
      return limitRatio(expr, context);
    case "quantile":
      return quantiles(expr, context);
    case "count_values":
      return countValues(expr, context);
    default:
      return fold(expr, expr.op, context);
  }
}
