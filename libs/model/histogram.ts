/**
 * Native histograms as values. Buckets hold absolute counts whatever the encoding stores; NaN payloads survive because
 * every float that may carry one lies in a typed array (STYLE §6).
 */
import { isStale } from "./stale.ts";

/** `offset`: the first bucket's index for the first span, else the gap to the span before. `length`: its buckets. */
export type Span = readonly [offset: number, length: number];

/** Exponential schemas are -4 to 8; this one says the bounds are `customValues`. */
export const CUSTOM_SCHEMA = -53;

/** What a sample says about the counter it belongs to. */
export const RESET_HINT = { UNKNOWN: 0, RESET: 1, NOT_RESET: 2, GAUGE: 3 } as const;
export type ResetHint = (typeof RESET_HINT)[keyof typeof RESET_HINT];

export const NO_SPANS: readonly Span[] = [];
export const NO_BOUNDS: Float64Array = new Float64Array(0);

interface HistogramShape {
  readonly schema: number;
  readonly zeroThreshold: number;
  readonly positiveSpans: readonly Span[];
  readonly negativeSpans: readonly Span[];
  /** Upper bounds of the buckets, ascending; empty unless `schema` is `CUSTOM_SCHEMA`. */
  readonly customValues: Float64Array;
  readonly counterResetHint: ResetHint;
}

/** Counts are uint64 (`count`, `zeroCount`) and int64 (buckets). As many buckets as the spans' lengths sum to. */
export interface IntHistogram extends HistogramShape {
  readonly isFloat: false;
  /** One float; a stale marker makes the sample one. */
  readonly sum: Float64Array;
  readonly count: bigint;
  readonly zeroCount: bigint;
  readonly positive: BigInt64Array;
  readonly negative: BigInt64Array;
}

/** The same of floats. */
export interface FloatHistogram extends HistogramShape {
  readonly isFloat: true;
  readonly sum: Float64Array;
  /** Two floats: the count of all buckets, the count of the zero bucket. */
  readonly totals: Float64Array;
  readonly positive: Float64Array;
  readonly negative: Float64Array;
}

/** Owned by whoever made it; spans and bounds may be shared between histograms: never write to one you were given. */
export type Histogram = IntHistogram | FloatHistogram;

/** A histogram at a time in ms; `start` is its start timestamp, 0 unknown. */
export interface HistogramSample {
  readonly start: number;
  readonly time: number;
  readonly histogram: Histogram;
}

/** Is the histogram the marker that its series ended? */
export function isStaleHistogram(histogram: Histogram): boolean {
  return isStale(wordsOf(histogram.sum), 0);
}

/** The words of floats, low before high. */
export function wordsOf(floats: Float64Array): Int32Array {
  return new Int32Array(floats.buffer, floats.byteOffset, 2 * floats.length);
}

/** How many buckets the spans stand for. */
export function bucketCount(spans: readonly Span[]): number {
  return spans.reduce((sum, [, length]) => sum + length, 0);
}
