/**
 * Selectors under an aggregation that looks at few labels: what tells series apart, but makes no group, is not decoded.
 * After `shared`: who reads a shared result may look at other labels.
 */
import { METRIC_NAME } from "#libs/model/labels.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { RANGE_FUNCTIONS } from "../../functions/over-time.ts";
import { METADATA_LABELS } from "../../operators/labels.ts";
import { haveOneName } from "../../operators/names.ts";
import type { AggregationOp, CallExpr, Expr, VectorSelector } from "../../parser/ast.ts";
import { mapChildren } from "../pass.ts";

/** Those of which no series comes out as it went in. */
const GROUPING: ReadonlySet<AggregationOp> = new Set([
  "sum",
  "avg",
  "min",
  "max",
  "count",
  "group",
  "stddev",
  "stdvar",
  "quantile",
]);

export function pickLabels(expr: Expr): Expr {
  if (expr.kind !== "aggregate" || expr.without || !GROUPING.has(expr.op)) return mapChildren(expr, pickLabels);
  const { expr: child, grouping } = expr;
  return mapChildren(expr, (node) => {
    if (node === child && node.kind === "selector") return picking(node, [METRIC_NAME, ...grouping]);
    return node === child && node.kind === "call" ? inCall(node, grouping) : pickLabels(node);
  });
}

/** The call of a range function on a selector that cannot make series equal. */
function inCall(call: CallExpr, grouping: readonly string[]): Expr {
  const func = RANGE_FUNCTIONS.get(call.func);
  if (func === undefined) return pickLabels(call);
  const names = func.keepsName === true ? [METRIC_NAME, ...grouping] : grouping.filter((n) => !METADATA_LABELS.has(n));
  const args = call.args.map((arg) => {
    if (arg.kind !== "matrix") return pickLabels(arg);
    return func.keepsName === true || haveOneName(arg) ? { ...arg, selector: picking(arg.selector, names) } : arg;
  });
  return { ...call, args };
}

function picking(selector: VectorSelector, names: readonly string[]): VectorSelector {
  return { ...selector, labels: [...new Set(names)].sort(compareUtf8) };
}
