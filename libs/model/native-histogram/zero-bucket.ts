/**
 * Zero buckets of two histograms made equally wide before they are added: the smaller grows to the larger, and further
 * to the end of a populated bucket if it would cut that one, in which case the other grows in turn.
 */
import type { Span } from "../histogram.ts";
import type { NativeHistogram } from "../native-histogram.ts";
import { exponentialBound } from "./bounds.ts";
import { KahanSum } from "./kahan.ts";
import { compactSide, indicesOf } from "./layout.ts";

/** What Kahan summation has lost of the counts of a histogram of the same layout. */
export interface Compensation {
  count: number;
  sum: number;
  zeroCount: number;
  positive: Float64Array;
  negative: Float64Array;
}

/** A zero count and the threshold it is for. */
class ZeroCount extends KahanSum {
  threshold: number;

  constructor(count: number, compensation: number, threshold: number) {
    super(count, compensation);
    this.threshold = threshold;
  }

  /** Adds the buckets that begin below the threshold. Does it end inside one that counts something? Then behind it. */
  absorb(spans: readonly Span[], schema: number, counts: Float64Array, compensations?: Float64Array): boolean {
    const indices = indicesOf(spans);
    for (let i = 0; i < indices.length && exponentialBound(indices[i]! - 1, schema) < this.threshold; i++) {
      this.add(counts[i]!);
      if (compensations !== undefined) this.add(compensations[i]!);
      const end = exponentialBound(indices[i]!, schema);
      if (end <= this.threshold) continue;
      if (counts[i] === 0) return false;
      this.threshold = end;
      return true;
    }
    return false;
  }
}

/** The zero count of exponential `h` if its zero bucket were as wide as `threshold`, or wider to cut no populated bucket. */
export function zeroCountFor(h: NativeHistogram, threshold: number, c?: Compensation): ZeroCount {
  const zero = new ZeroCount(h.zeroCount, c?.zeroCount ?? 0, threshold);
  if (threshold === h.zeroThreshold) return zero;
  for (;;) {
    zero.absorb(h.positiveSpans, h.schema, h.positive, c?.positive);
    if (!zero.absorb(h.negativeSpans, h.schema, h.negative, c?.negative)) return zero;
    // Prometheus begins anew with the count, not with its compensation.
    zero.sum = h.zeroCount;
  }
}

/**
 * Gives `h` a zero bucket that covers the one of `other`, both exponential; fields of `h` and its compensation `c` are
 * replaced, their arrays not written to. @returns the zero count of `other` for that width.
 */
export function reconcileZeroBuckets(h: NativeHistogram, other: NativeHistogram, c?: Compensation): KahanSum {
  let theirs = new ZeroCount(other.zeroCount, 0, other.zeroThreshold);
  while (theirs.threshold !== h.zeroThreshold) {
    if (h.zeroThreshold > theirs.threshold) theirs = zeroCountFor(other, h.zeroThreshold);
    if (theirs.threshold > h.zeroThreshold) widen(h, theirs.threshold, c);
  }
  return theirs;
}

function widen(h: NativeHistogram, threshold: number, c: Compensation | undefined): void {
  const zero = zeroCountFor(h, threshold, c);
  h.zeroCount = zero.sum;
  h.zeroThreshold = zero.threshold;
  if (c !== undefined) c.zeroCount = zero.compensation;
  const positive = compactSide(
    { spans: h.positiveSpans, counts: h.positive, compensations: c?.positive },
    bucketsBelow(h.positiveSpans, h),
  );
  const negative = compactSide(
    { spans: h.negativeSpans, counts: h.negative, compensations: c?.negative },
    bucketsBelow(h.negativeSpans, h),
  );
  h.positiveSpans = positive.spans;
  h.positive = positive.counts;
  h.negativeSpans = negative.spans;
  h.negative = negative.counts;
  if (c !== undefined) {
    c.positive = positive.compensations!;
    c.negative = negative.compensations!;
  }
}

/** How many buckets of a side begin below the zero threshold. */
function bucketsBelow(spans: readonly Span[], h: NativeHistogram): number {
  const indices = indicesOf(spans);
  let i = 0;
  while (i < indices.length && exponentialBound(indices[i]! - 1, h.schema) < h.zeroThreshold) i++;
  return i;
}
