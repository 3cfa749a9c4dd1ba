/** Sums and differences of two histograms (prometheus/model/histogram, `FloatHistogram.Add` and `Sub`). */
import { bucketCount, RESET_HINT, type ResetHint, type Span } from "../histogram.ts";
import { copyHistogram, type NativeHistogram } from "../native-histogram.ts";
import { exponentialBound } from "./bounds.ts";
import { mapToBounds, sameBounds, sharedBounds } from "./custom-bounds.ts";
import { BucketCursor, lengthOf, reduceSide, sameSpans, type Side, spansOf, stretchesOf } from "./layout.ts";
import { reconcileZeroBuckets } from "./zero-bucket.ts";

export interface CombinedHistogram {
  /** May have empty buckets and adjacent spans: see `compactHistogram`. */
  readonly histogram: NativeHistogram;
  /** One said its counter was reset, the other that it was not. */
  readonly counterResetCollision: boolean;
  /** Both had custom buckets, of different bounds; the result has the bounds they share. */
  readonly boundsReconciled: boolean;
}

/** a + b; undefined if one has exponential and the other custom buckets. */
export function addHistograms(a: NativeHistogram, b: NativeHistogram): CombinedHistogram | undefined {
  return combine(a, b, 1);
}

/** a - b, as `addHistograms`. Its hint is that of a sum: the operator `-` makes its result a gauge. */
export function subtractHistograms(a: NativeHistogram, b: NativeHistogram): CombinedHistogram | undefined {
  return combine(a, b, -1);
}

/** The hint of a sum: a gauge wins, then what is not known; undefined when reset meets no reset. */
export function mergeHints(a: ResetHint, b: ResetHint): ResetHint | undefined {
  if (a === b) return a;
  if (a === RESET_HINT.GAUGE || b === RESET_HINT.GAUGE) return RESET_HINT.GAUGE;
  return a === RESET_HINT.UNKNOWN || b === RESET_HINT.UNKNOWN ? RESET_HINT.UNKNOWN : undefined;
}

/** How many buckets at the lower end of a side lie within the zero bucket: they are not added. */
export function bucketsWithin(threshold: number, spans: readonly Span[], schema: number): number {
  if (spans.length === 0 || exponentialBound(spans[0]![0], schema) > threshold) return 0;
  const total = bucketCount(spans);
  const cursor = new BucketCursor(spans);
  let i = 0;
  while (i < total && exponentialBound(cursor.indexOf(i), schema) <= threshold) i++;
  return i;
}

function combine(a: NativeHistogram, b: NativeHistogram, sign: 1 | -1): CombinedHistogram | undefined {
  if (a.usesCustomBuckets !== b.usesCustomBuckets) return undefined;
  const h = copyHistogram(a);
  const hint = mergeHints(a.counterResetHint, b.counterResetHint);
  h.counterResetHint = hint ?? RESET_HINT.UNKNOWN;
  const counterResetCollision = hint === undefined;
  h.count += sign * b.count;
  h.sum += sign * b.sum;
  if (h.usesCustomBuckets) {
    const boundsReconciled = !sameBounds(a.customValues, b.customValues);
    if (boundsReconciled) {
      h.customValues = sharedBounds(a.customValues, b.customValues);
      setPositive(h, mapToBounds(h.customValues, positiveOf(a), a.customValues, positiveOf(b), b.customValues, sign));
    } else {
      setPositive(h, combineSides(positiveOf(a), positiveOf(b), 0, sign));
    }
    return { histogram: h, counterResetCollision, boundsReconciled };
  }
  const zeroB = reconcileZeroBuckets(h, b).sum;
  h.zeroCount += sign * zeroB;
  let positive = positiveOf(h);
  let negative = negativeOf(h);
  let positiveB = positiveOf(b);
  let negativeB = negativeOf(b);
  if (b.schema < h.schema) {
    positive = reduceSide(positive, h.schema - b.schema);
    negative = reduceSide(negative, h.schema - b.schema);
    h.schema = b.schema;
  } else if (b.schema > h.schema) {
    positiveB = reduceSide(positiveB, b.schema - h.schema);
    negativeB = reduceSide(negativeB, b.schema - h.schema);
  }
  const { zeroThreshold, schema } = h;
  setPositive(h, combineSides(positive, positiveB, bucketsWithin(zeroThreshold, positiveB.spans, schema), sign));
  setNegative(h, combineSides(negative, negativeB, bucketsWithin(zeroThreshold, negativeB.spans, schema), sign));
  return { histogram: h, counterResetCollision, boundsReconciled: false };
}

export function positiveOf(h: NativeHistogram): Side {
  return { spans: h.positiveSpans, counts: h.positive, compensations: undefined };
}

export function negativeOf(h: NativeHistogram): Side {
  return { spans: h.negativeSpans, counts: h.negative, compensations: undefined };
}

export function setPositive(h: NativeHistogram, side: Side): void {
  h.positiveSpans = side.spans;
  h.positive = side.counts;
}

export function setNegative(h: NativeHistogram, side: Side): void {
  h.negativeSpans = side.spans;
  h.negative = side.counts;
}

/** a + sign · b without the `skip` lowest buckets of b. */
function combineSides(a: Side, b: Side, skip: number, sign: 1 | -1): Side {
  if (skip >= b.counts.length) return a;
  if (sameSpans(a.spans, b.spans)) {
    const counts = new Float64Array(a.counts.length);
    for (let i = 0; i < skip; i++) counts[i] = a.counts[i]!;
    for (let i = skip; i < counts.length; i++) counts[i] = a.counts[i]! + sign * b.counts[i]!;
    return { spans: a.spans, counts, compensations: undefined };
  }
  const stretches = stretchesOf(a.spans, b.spans, skip);
  const counts = new Float64Array(lengthOf(stretches));
  let at = 0;
  for (const { length, i, j } of stretches) {
    for (let k = 0; k < length; k++, at++) {
      if (j < 0) counts[at] = a.counts[i + k]!;
      else counts[at] = i < 0 ? sign * b.counts[j + k]! : a.counts[i + k]! + sign * b.counts[j + k]!;
    }
  }
  return { spans: spansOf(stretches), counts, compensations: undefined };
}
