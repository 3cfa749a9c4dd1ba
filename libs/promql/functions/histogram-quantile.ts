/** `histogram_quantile` and `histogram_fraction` over classic buckets (prometheus/promql/quantile.go). */

export interface Bucket {
  readonly upperBound: number;
  /** Cumulative. */
  count: number;
}

/** Differences below this part of a count are rounding, not a broken histogram. */
const SMALL_DELTA = 1e-12;

/** Where counts fell; bounds and difference are of what was mended, if `forced`. */
export interface Monotonicity {
  forced: boolean;
  minBucket: number;
  maxBucket: number;
  maxDiff: number;
}

/**
 * φ-quantile of at least one cumulative bucket; they are sorted in place. `fixed` says whether counts fell and had to
 * be mended. NaN without a bucket up to +Inf, with that one only, or without observations.
 */
export function bucketQuantile(q: number, buckets: Bucket[], fixed: Monotonicity): number {
  if (Number.isNaN(q)) return NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const merged = sortedAndMerged(buckets);
  const last = merged.length - 1;
  if (merged[last]!.upperBound !== Infinity) return NaN;
  makeMonotonic(merged, fixed);
  const observations = merged[last]!.count;
  if (last === 0 || observations === 0) return NaN;
  let rank = q * observations;
  const b = firstReaching(rank, merged);
  if (b === last) return merged[last - 1]!.upperBound;
  if (b === 0 && merged[0]!.upperBound <= 0) return merged[0]!.upperBound;
  let start = 0;
  const end = merged[b]!.upperBound;
  let count = merged[b]!.count;
  if (b > 0) {
    start = merged[b - 1]!.upperBound;
    count -= merged[b - 1]!.count;
    rank -= merged[b - 1]!.count;
  }
  return start + (end - start) * (rank / count);
}

/** Index of the first bucket whose count is not below `rank`, else the last; a bisection, as counts may be NaN. */
function firstReaching(rank: number, buckets: readonly Bucket[]): number {
  let low = 0;
  let high = buckets.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (buckets[middle]!.count >= rank) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The part of the observations between `lower` and `upper`, by linear interpolation; the lowest bucket begins at 0 if
 * that is below its bound, else at -Infinity. At least one cumulative bucket; they are sorted in place. NaN without a
 * bucket up to +Inf or without observations.
 */
export function bucketFraction(lower: number, upper: number, buckets: Bucket[]): number {
  const merged = sortedAndMerged(buckets);
  if (merged.at(-1)!.upperBound !== Infinity) return NaN;
  const total = merged.at(-1)!.count;
  if (total === 0 || Number.isNaN(lower) || Number.isNaN(upper)) return NaN;
  if (lower >= upper) return 0;
  return (observationsBelow(upper, merged) - observationsBelow(lower, merged)) / total;
}

function observationsBelow(value: number, buckets: readonly Bucket[]): number {
  const total = buckets.at(-1)!.count;
  let start = buckets[0]!.upperBound <= 0 ? -Infinity : 0;
  let rank = 0;
  for (const { upperBound, count } of buckets) {
    if (start >= value) return atMost(total, rank);
    if (upperBound > value) {
      // Nothing says where observations lie in a bucket from -Infinity: all are below.
      if (start === -Infinity) return atMost(total, count);
      return atMost(total, rank + ((count - rank) * (value - start)) / (upperBound - start));
    }
    start = upperBound;
    rank = count;
  }
  return total;
}

function atMost(total: number, rank: number): number {
  return rank > total ? total : rank;
}

function sortedAndMerged(buckets: Bucket[]): Bucket[] {
  return mergeEqual(buckets.sort((a, b) => a.upperBound - b.upperBound));
}

function mergeEqual(buckets: readonly Bucket[]): Bucket[] {
  const merged: Bucket[] = [];
  for (const bucket of buckets) {
    const last = merged.at(-1);
    if (last !== undefined && last.upperBound === bucket.upperBound) last.count += bucket.count;
    else merged.push({ ...bucket });
  }
  return merged;
}

/** Counts must not fall: rounding is smoothed in silence, a real drop is mended and reported. */
function makeMonotonic(buckets: Bucket[], fixed: Monotonicity): void {
  let previous = buckets[0]!.count;
  for (let i = 1; i < buckets.length; i++) {
    const bucket = buckets[i]!;
    const current = bucket.count;
    if (current === previous) continue;
    if (almostEqual(previous, current)) {
      bucket.count = previous;
      continue;
    }
    if (current < previous) {
      bucket.count = previous;
      const diff = previous - current;
      if (!fixed.forced) {
        fixed.forced = true;
        fixed.minBucket = bucket.upperBound;
        fixed.maxBucket = bucket.upperBound;
        fixed.maxDiff = diff;
      } else {
        fixed.minBucket = Math.min(fixed.minBucket, bucket.upperBound);
        fixed.maxBucket = Math.max(fixed.maxBucket, bucket.upperBound);
        fixed.maxDiff = Math.max(fixed.maxDiff, diff);
      }
      continue;
    }
    previous = current;
  }
}

function almostEqual(a: number, b: number): boolean {
  if (Number.isNaN(a) && Number.isNaN(b)) return true;
  const sum = Math.abs(a) + Math.abs(b);
  const diff = Math.abs(a - b);
  if (a === 0 || b === 0 || sum < 2.2250738585072014e-308) return diff < SMALL_DELTA * 2.2250738585072014e-308;
  return diff / Math.min(sum, Number.MAX_VALUE) < SMALL_DELTA;
}
