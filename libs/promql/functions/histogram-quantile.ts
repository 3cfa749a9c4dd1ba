/** `histogram_quantile` over classic buckets (prometheus/promql/quantile.go, bucketQuantile). */

export interface Bucket {
  readonly upperBound: number;
  /** Cumulative. */
  count: number;
}

/** Differences below this part of a count are rounding, not a broken histogram. */
const SMALL_DELTA = 1e-12;

export interface Monotonicity {
  forced: boolean;
  minBucket: number;
  maxBucket: number;
  maxDiff: number;
}

/** φ-quantile of cumulative buckets, which are sorted and mended in place; `fixed` says what had to be. */
export function bucketQuantile(q: number, buckets: Bucket[], fixed: Monotonicity): number {
  if (Number.isNaN(q)) return NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  buckets.sort((a, b) => a.upperBound - b.upperBound);
  if (buckets.at(-1)?.upperBound !== Infinity) return NaN;
  const merged = mergeEqual(buckets);
  makeMonotonic(merged, fixed);
  if (merged.length < 2) return NaN;
  const observations = merged.at(-1)!.count;
  if (observations === 0 || Number.isNaN(observations)) return NaN;
  let rank = q * observations;
  let b = 0;
  while (b < merged.length - 1 && !(merged[b]!.count >= rank)) b++;
  if (b === merged.length - 1) return merged[merged.length - 2]!.upperBound;
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
