/** A range selector or subquery as the result of an instant query: its samples themselves. */
import { ExecutionError } from "#libs/kit/errors.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { extendedSamples } from "../functions/extended-range.ts";
import type { MatrixSelector, Subquery } from "../parser/ast.ts";
import type { EvalContext } from "./context.ts";
import { dropMetadata } from "./labels.ts";
import { rangeSeries, shapeOf } from "./range-series.ts";
import { dropStale } from "./select-instant.ts";

interface Samples {
  readonly labels: Labels;
  readonly times: Float64Array;
  readonly values: Float64Array;
  readonly histograms: readonly (NativeHistogram | undefined)[] | undefined;
}

/** Series that have samples in the range, in any order. */
export async function rangeSamples(range: MatrixSelector | Subquery, context: EvalContext): Promise<Samples[]> {
  const { rangeMs, offsetMs, fixedMs, borders } = shapeOf(range);
  const end = (fixedMs ?? context.steps.startMs) - offsetMs;
  const start = end - rangeMs;
  const out: Samples[] = [];
  for await (const { labels, columns, nameless } of rangeSeries(range, "", context)) {
    const named = nameless ? dropMetadata(labels()) : labels();
    dropStale(columns);
    const { times, values, histograms } = columns;
    // More may have come than the range reaches; borders reach a lookback further.
    const reach = borders === "extrapolated" ? 0 : context.lookbackMs;
    const ahead = borders === "smoothed" ? context.lookbackMs : 0;
    let from = 0;
    let to = columns.length;
    while (from < to && times[from]! <= start - reach) from++;
    while (to > from && times[to - 1]! > end + ahead) to--;
    if (from === to) continue;
    if (borders !== "extrapolated") {
      if (histograms !== undefined) throw new ExecutionError(`${borders} modifier is not supported with histograms`);
      const samples = extendedSamples(columns, from, to, start, end, borders === "smoothed");
      if (samples === undefined) continue;
      context.budget.hold(samples.times.length, 16 * samples.times.length);
      out.push({ labels: named, ...samples, histograms: undefined });
      continue;
    }
    context.budget.hold(to - from, 16 * (to - from));
    out.push({
      labels: named,
      times: times.slice(from, to),
      values: values.slice(from, to),
      histograms: histograms?.slice(from, to),
    });
  }
  return out;
}
