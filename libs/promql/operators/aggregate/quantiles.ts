/** `quantile(φ, v)`: holds its input. */
import { quantileOf } from "../../functions/over-time.ts";
import type { AggregateExpr } from "../../parser/ast.ts";
import { createTile, FLOAT, HISTOGRAM, setFloat, type Tile } from "../../tile.ts";
import type { EvalContext } from "../context.ts";
import { collectVector, evaluateScalar } from "../evaluator.ts";
import { forEachInSlices } from "../in-slices.ts";
import { Groups } from "./groups.ts";

export async function* quantiles(expr: AggregateExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const params = await evaluateScalar(expr.param!, context);
  const input = await collectVector(expr.expr, context);
  const groups = new Groups(expr);
  const members = groups.members(input);
  if (members.length > 0) for (const q of params) context.annotations.quantile(q, expr.param!.span);
  if (input.present.includes(HISTOGRAM)) context.annotations.histogramIgnored("quantile", expr.expr.span);
  const out = createTile(groups.labels.length, count);
  out.labels.push(...groups.labels);
  const { values, present } = input;
  const column = new Float64Array(input.labels.length);
  const add = (g: number): void => {
    const group = members[g]!;
    if (group.some((s) => input.nameless?.has(s) === true)) context.names.apply(out, g);
    for (let i = 0; i < count; i++) {
      let length = 0;
      for (const s of group) if (present[s * count + i] === FLOAT) column[length++] = values[s * count + i]!;
      if (length > 0) setFloat(out, g * count + i, quantileOf(params[i]!, column.subarray(0, length)));
    }
  };
  await forEachInSlices(members.length, add, context.slices);
  yield out;
}
