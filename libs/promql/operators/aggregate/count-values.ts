/** `count_values("label", v)`: as many series a group as it has values. */
import { ExecutionError } from "#libs/kit/errors.ts";
import { formatPlain } from "#libs/model/float.ts";
import { type Labels, labelsKey, quoteGo, withLabel } from "#libs/model/labels.ts";
import { formatHistogram } from "#libs/model/native-histogram/text.ts";
import type { AggregateExpr } from "../../parser/ast.ts";
import { ABSENT, createTile, FLOAT, histogramAt, setFloat, type Tile } from "../../tile.ts";
import type { EvalContext } from "../context.ts";
import { collectVector } from "../evaluator.ts";
import { forEachInSlices } from "../in-slices.ts";
import { groupingNames, groupingOf } from "../labels.ts";

export async function* countValues(expr: AggregateExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const label = expr.param?.kind === "string" ? expr.param.value : "";
  if (label === "" || !label.isWellFormed()) throw new ExecutionError(`invalid label name ${quoteGo(label)}`);
  const input = await collectVector(expr.expr, context);
  // The value is a label of the series before they are grouped, so `without` can take it away again.
  const names = groupingNames(expr.without ? expr.grouping : [...expr.grouping, label], expr.without);
  const rows = new Map<string, { labels: Labels; counts: Float64Array }>();
  const add = (s: number): void => {
    const labels = input.labels[s]!;
    for (let i = 0; i < count; i++) {
      const at = s * count + i;
      const kind = input.present[at];
      if (kind === ABSENT) continue;
      const text = kind === FLOAT ? formatPlain(input.values[at]!) : formatHistogram(histogramAt(input, at));
      const rowLabels = groupingOf(withLabel(labels, label, text), names, expr.without);
      const key = labelsKey(rowLabels);
      let row = rows.get(key);
      if (row === undefined) {
        row = { labels: rowLabels, counts: new Float64Array(count) };
        rows.set(key, row);
        context.budget.hold(count, 8 * count);
      }
      row.counts[i]!++;
    }
  };
  await forEachInSlices(input.labels.length, add, context.slices);
  const out = createTile(rows.size, count);
  const made = [...rows.values()];
  const write = (r: number): void => {
    const { labels, counts } = made[r]!;
    out.labels.push(labels);
    for (let i = 0; i < count; i++) if (counts[i]! > 0) setFloat(out, r * count + i, counts[i]!);
  };
  await forEachInSlices(made.length, write, context.slices);
  yield out;
}
