/**
 * What taking the names off the series of an expression does: series that differ in nothing else become equal, and
 * are then one, if they have no values at the same step. Where all series carry the same name that cannot be.
 */
import { type Labels, METRIC_NAME } from "#libs/model/labels.ts";
import { type Expr, isComparison, isSetOp, type VectorSelector } from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import type { Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectTiles } from "./evaluator.ts";
import { mergeInSlices } from "./in-slices.ts";
import { DistinctLabels } from "./labels.ts";

/** `tiles` are the series of `input` without their names: equal ones merged. */
export async function* mergeNameless(
  tiles: AsyncGenerator<Tile>,
  input: Expr,
  context: EvalContext,
): AsyncGenerator<Tile> {
  if (context.names.delayed) return yield* tiles;
  if (!haveOneName(input)) {
    yield mergeInSlices(await collectTiles(tiles, context), context.steps.count, context.slices);
    return;
  }
  const passed: Labels[] = [];
  let distinct: DistinctLabels | undefined;
  for await (const tile of tiles) {
    // Types and units were dropped too, so equal series are possible: merging them is not, once they were handed on.
    if (context.names.droppedMore && distinct === undefined) {
      distinct = new DistinctLabels();
      distinct.add(passed);
    }
    distinct?.add(tile.labels);
    passed.push(...tile.labels);
    yield tile;
  }
}

/** Whether all series of the expression have the same name, or none. */
export function haveOneName(expr: Expr): boolean {
  switch (expr.kind) {
    case "number":
    case "string":
      return true;
    case "selector":
      return fixedName(expr) !== undefined;
    case "matrix":
      return haveOneName(expr.selector);
    case "paren":
    case "invariant":
    case "shared":
    case "subquery":
      return haveOneName(expr.expr);
    case "unary":
      return expr.op === "-" || haveOneName(expr.expr);
    case "aggregate":
      switch (expr.op) {
        case "topk":
        case "bottomk":
        case "limitk":
        case "limit_ratio":
          return haveOneName(expr.expr);
        default:
          return expr.without || !expr.grouping.includes(METRIC_NAME);
      }
    case "binary":
      if (isSetOp(expr.op)) return expr.op !== "or" && haveOneName(expr.lhs);
      if (!isComparison(expr.op) || expr.bool) return true;
      return haveOneName(typeOf(expr.lhs) === "scalar" ? expr.rhs : expr.lhs);
    case "call":
      if (KEEPS_NAMES.has(expr.func)) return expr.args.every(haveOneName);
      return expr.func !== "label_replace" && expr.func !== "label_join";
  }
}

/** The name of all series of a selector, where it says it. */
export function fixedName({ matchers }: VectorSelector): string | undefined {
  return matchers.find(({ name, type }) => name === METRIC_NAME && type === "=")?.value;
}

const KEEPS_NAMES: ReadonlySet<string> = new Set([
  "first_over_time",
  "info",
  "last_over_time",
  "sort",
  "sort_by_label",
  "sort_by_label_desc",
  "sort_desc",
]);
