/** Histograms without their buckets, for queries that ask for counts and sums only. */
import type { SampleColumns } from "#libs/model/columns.ts";
import { RESET_HINT } from "#libs/model/histogram.ts";
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import { detectReset } from "#libs/model/native-histogram/compare.ts";

/**
 * Takes the buckets off the columns' histograms. What they tell of resets goes into the hint first, where there was
 * none: so far as the sample before is one that the query looks at, not older than `mint`.
 */
export function keepStats(columns: SampleColumns, mint: number): void {
  const { histograms, times, length } = columns;
  if (histograms === undefined) return;
  let previous: NativeHistogram | undefined;
  for (let i = 0; i < length; i++) {
    const h = histograms[i];
    if (h === undefined) continue;
    const stats = new NativeHistogram();
    stats.schema = h.schema;
    stats.count = h.count;
    stats.sum = h.sum;
    stats.counterResetHint = h.counterResetHint;
    if (h.counterResetHint === RESET_HINT.UNKNOWN && previous !== undefined) {
      stats.counterResetHint = detectReset(h, previous) ? RESET_HINT.RESET : RESET_HINT.NOT_RESET;
    }
    if (times[i]! >= mint) previous = h;
    histograms[i] = stats;
  }
}
