/** `histogram_quantile` and `histogram_fraction` of native histograms (prometheus/promql/quantile.go). */
import { exp2, log2 } from "#libs/model/go-math.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { BucketView } from "#libs/model/native-histogram/bounds.ts";
import { fractionBelow } from "#libs/model/native-histogram/interpolation.ts";

export interface NativeQuantile {
  readonly value: number;
  /** What NaN observations did to it, of which each query is told: made it NaN, or moved it up. */
  readonly nan: "none" | "result" | "skew";
}

const quantile = (value: number, nan: NativeQuantile["nan"] = "none"): NativeQuantile => ({ value, nan });

/**
 * The φ-quantile: linear interpolation in zero and custom buckets, exponential in others. NaN of an empty histogram,
 * ±Infinity for a φ outside [0, 1].
 */
export function nativeQuantile(q: number, h: NativeHistogram): NativeQuantile {
  if (q < 0) return quantile(-Infinity);
  if (q > 1) return quantile(Infinity);
  if (h.count === 0 || Number.isNaN(q)) return quantile(NaN);
  const view = new BucketView(h);
  // NaN observations are in the count but in no bucket, as if above all: ranks are counted from below then.
  const mayHaveNaN = Number.isNaN(h.sum);
  const upwards = mayHaveNaN || q < 0.5;
  let rank = (upwards ? q : 1 - q) * h.count;
  let count = 0;
  let visited = 0;
  while (visited < view.length) {
    const inBucket = view.countAt(upwards ? visited : view.length - 1 - visited);
    visited++;
    count += inBucket;
    if (inBucket !== 0 && count >= rank) break;
  }
  if (visited > 0) view.seek(upwards ? visited - 1 : view.length - visited);

  if (h.usesCustomBuckets) {
    if (view.lower === -Infinity) {
      if (view.upper <= 0) return quantile(view.upper);
      view.lower = 0;
    } else if (view.upper === Infinity) {
      return quantile(view.lower);
    }
  } else if (view.lower < 0 && view.upper > 0) {
    clipZeroBucket(view, h);
  }
  if (count > h.count) count = h.count;
  if (count < rank) return mayHaveNaN ? quantile(NaN, "result") : quantile(view.upper);
  rank = upwards ? rank - (count - view.count) : count - rank;
  let nan: NativeQuantile["nan"] = "none";
  if (mayHaveNaN) {
    // Prometheus looks at the buckets above in the same variable, and goes on with the last of them.
    for (; visited < view.length; visited++) {
      view.seek(visited);
      count += view.count;
    }
    if (count < h.count) nan = "skew";
  }
  const fraction = rank / view.count;
  if (h.usesCustomBuckets || (view.lower <= 0 && view.upper >= 0)) {
    return quantile(view.lower + (view.upper - view.lower) * fraction, nan);
  }
  const logLower = log2(Math.abs(view.lower));
  const logUpper = log2(Math.abs(view.upper));
  return view.lower > 0
    ? quantile(exp2(logLower + (logUpper - logLower) * fraction), nan)
    : quantile(-exp2(logUpper + (logLower - logUpper) * (1 - fraction)), nan);
}

/** Beside buckets of one side only, the zero bucket is all on that side. */
function clipZeroBucket(view: BucketView, h: NativeHistogram): void {
  if (h.negative.length === 0 && h.positive.length > 0) view.lower = 0;
  else if (h.positive.length === 0 && h.negative.length > 0) view.upper = 0;
}

export interface NativeFraction {
  readonly value: number;
  /** There were NaN observations, which are in no fraction. */
  readonly nan: boolean;
}

/** The part of all observations between `lower` and `upper`, by the interpolation of `nativeQuantile`. */
export function nativeFraction(lower: number, upper: number, h: NativeHistogram): NativeFraction {
  if (h.count === 0 || Number.isNaN(lower) || Number.isNaN(upper)) return { value: NaN, nan: false };
  if (lower >= upper) return { value: 0, nan: false };
  const view = new BucketView(h);
  let rank = 0;
  let lowerRank: number | undefined;
  let upperRank: number | undefined;
  let count = 0;
  for (let i = 0; i < view.length; i++) {
    count += view.countAt(i);
    if (lowerRank !== undefined && upperRank !== undefined) continue;
    view.seek(i);
    const linear = h.usesCustomBuckets || (view.lower <= 0 && view.upper >= 0);
    if (view.lower <= 0 && view.upper >= 0) clipZeroBucket(view, h);
    lowerRank ??= rankAt(lower, view, rank, linear);
    upperRank ??= rankAt(upper, view, rank, linear);
    rank += view.count;
  }
  const nan = Number.isNaN(h.sum) && count < h.count;
  const total = Number.isNaN(h.sum) ? count : h.count;
  return { value: (atMost(total, upperRank) - atMost(total, lowerRank)) / h.count, nan };
}

/** Observations below `value`, `rank` of which are below the bucket; undefined if `value` is above the bucket. */
function rankAt(value: number, view: BucketView, rank: number, linear: boolean): number | undefined {
  if (view.lower >= value) return rank;
  if (!(view.upper > value)) return undefined;
  // Where a bucket begins at -Inf, nothing says where in it observations lie: all are below.
  if (view.lower === -Infinity && linear) return view.count;
  return rank + view.count * fractionBelow(view.lower, view.upper, value, linear);
}

function atMost(total: number, rank: number | undefined): number {
  return rank === undefined || rank > total ? total : rank;
}
