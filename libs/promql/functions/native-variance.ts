/** `histogram_stdvar` and `histogram_stddev` (prometheus/promql/functions.go, histogramVariance). */
import { KahanSum } from "#libs/model/native-histogram/kahan.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { BucketView } from "#libs/model/native-histogram/bounds.ts";

/**
 * Population variance, every observation taken as the middle of its bucket: arithmetic in custom buckets, 0 in the zero
 * bucket, geometric in others.
 */
export function histogramVariance(h: NativeHistogram): number {
  const mean = h.sum / h.count;
  const view = new BucketView(h);
  const variance = new KahanSum(0, 0);
  for (let i = 0; i < view.length; i++) {
    const count = view.countAt(i);
    if (count === 0) continue;
    view.seek(i);
    const delta = middle(view, h.usesCustomBuckets) - mean;
    variance.add(count * delta * delta);
  }
  return (variance.sum + variance.compensation) / h.count;
}

export function histogramDeviation(h: NativeHistogram): number {
  return Math.sqrt(histogramVariance(h));
}

function middle({ lower, upper }: BucketView, isCustom: boolean): number {
  if (isCustom) return (upper + lower) / 2;
  if (lower <= 0 && upper >= 0) return 0;
  return upper < 0 ? -Math.sqrt(upper * lower) : Math.sqrt(upper * lower);
}
