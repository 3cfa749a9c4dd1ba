/**
 * Buckets of two histograms of one schema side by side. Spans name the buckets, counts lie in arrays as long as the
 * spans' lengths sum to; a bucket that only one of the two names is empty in the other.
 */
import { bucketCount, type Span } from "#libs/model/histogram.ts";

export type Counts = BigInt64Array | Float64Array;

export interface BucketComparison {
  /** A bucket lost counts, or a populated one is gone: the counter started anew. */
  readonly reset: boolean;
  /** The later histogram names buckets the earlier one does not. */
  readonly added: boolean;
  /** The earlier one names buckets the later one does not. */
  readonly missing: boolean;
}

/** Compares the buckets of a histogram with those of the one before. */
export function compareBuckets(
  spansBefore: readonly Span[],
  before: Counts,
  spansAfter: readonly Span[],
  after: Counts,
): BucketComparison {
  const indexesBefore = bucketIndexes(spansBefore);
  const indexesAfter = bucketIndexes(spansAfter);
  let reset = false;
  let added = false;
  let missing = false;
  let i = 0;
  let j = 0;
  while (i < indexesBefore.length || j < indexesAfter.length) {
    const a = i < indexesBefore.length ? indexesBefore[i]! : Infinity;
    const b = j < indexesAfter.length ? indexesAfter[j]! : Infinity;
    if (a === b) {
      if (after[j]! < before[i]!) reset = true;
    } else if (a < b) {
      missing = true;
      if (Number(before[i]) !== 0) reset = true;
    } else added = true;
    if (a <= b) i++;
    if (b <= a) j++;
  }
  return { reset, added, missing };
}

/** The buckets of both, in as few spans as name them. */
export function mergeSpans(one: readonly Span[], other: readonly Span[]): Span[] {
  const indexes = [...new Set([...bucketIndexes(one), ...bucketIndexes(other)])].sort((a, b) => a - b);
  const spans: [number, number][] = [];
  let next = 0;
  for (const index of indexes) {
    const last = spans.at(-1);
    if (last !== undefined && index === next) last[1]++;
    else spans.push([index - next, 1]);
    next = index + 1;
  }
  return spans;
}

/** The counts of `from` in the places that `to`, which names all of its buckets, gives them; the others are 0. */
export function moveCounts<T extends Counts>(from: readonly Span[], counts: T, to: readonly Span[]): T {
  const moved = counts instanceof Float64Array ? new Float64Array(bucketCount(to)) : new BigInt64Array(bucketCount(to));
  const indexes = bucketIndexes(from);
  let i = 0;
  bucketIndexes(to).forEach((index, j) => {
    // `set` copies bytes: payloads of NaN stay.
    if (indexes[i] === index) moved.set(counts.subarray(i, ++i) as never, j);
  });
  return moved as T;
}

/** The index of each bucket, ascending as long as no gap is negative. */
function bucketIndexes(spans: readonly Span[]): number[] {
  const indexes: number[] = [];
  let next = 0;
  for (const [offset, length] of spans) {
    next += offset;
    for (let i = 0; i < length; i++) indexes.push(next++);
  }
  return indexes;
}
