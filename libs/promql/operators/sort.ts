/** sort and its like: an order of the series, which only an instant query shows. */
import { compareLabels, labelValue } from "#libs/model/labels.ts";
import type { CallExpr } from "../parser/ast.ts";
import { FLOAT, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectVector } from "./evaluator.ts";
import { pickInSlices, sortInSlices } from "./in-slices.ts";
import { compareNatural } from "./natural-order.ts";

/** By value, NaN last; histograms go. */
export async function* sortByValue(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const all = await collectVector(call.args[0]!, context);
  for (let at = 0; at < all.labels.length * context.steps.count; at++) {
    if (all.present[at] !== FLOAT) all.present[at] = 0;
  }
  const direction = call.func === "sort" ? 1 : -1;
  yield* sorted(all, call, context, (a, b) => {
    const [x, y] = [all.values[a]!, all.values[b]!];
    if (Number.isNaN(x)) return Number.isNaN(y) ? 0 : 1;
    if (Number.isNaN(y)) return -1;
    return x === y ? 0 : direction * (x < y ? -1 : 1);
  });
}

/** By the labels named, `2` before `10`, then by all. */
export async function* sortByLabel(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const all = await collectVector(call.args[0]!, context);
  const names = call.args.slice(1).map((arg) => (arg.kind === "string" ? arg.value : ""));
  const direction = call.func === "sort_by_label" ? 1 : -1;
  yield* sorted(all, call, context, (a, b) => {
    const [x, y] = [all.labels[a]!, all.labels[b]!];
    for (const name of names) {
      const order = compareNatural(labelValue(x, name), labelValue(y, name));
      if (order !== 0) return direction * order;
    }
    return direction * compareLabels(x, y);
  });
}

async function* sorted(
  all: Tile,
  call: CallExpr,
  context: EvalContext,
  compare: (a: number, b: number) => number,
): AsyncGenerator<Tile> {
  if (context.steps.count > 1) {
    context.annotations.warn(
      "sort is ineffective for range queries since results are always ordered by labels",
      call.span,
    );
    yield all;
    return;
  }
  const order = await sortInSlices([...all.labels.keys()], compare, context.slices);
  yield pickInSlices(all, order, 1, context.slices);
}
