/**
 * Native histograms as PromQL computes with them: every count a float, whatever the chunk stored
 * (prometheus/model/histogram/float_histogram.go has the semantics; reference/prometheus.md §4.6).
 *
 * A value is never written to once it was handed on; operations make new ones. Spans and bounds are shared.
 */
import {
  CUSTOM_SCHEMA,
  type Histogram,
  NO_BOUNDS,
  NO_SPANS,
  RESET_HINT,
  type ResetHint,
  type Span,
} from "./histogram.ts";

export class NativeHistogram {
  /** -4 to 8, or `CUSTOM_SCHEMA`. */
  schema = 0;
  counterResetHint: ResetHint = RESET_HINT.UNKNOWN;
  zeroThreshold = 0;
  zeroCount = 0;
  count = 0;
  sum = 0;
  positiveSpans: readonly Span[] = NO_SPANS;
  negativeSpans: readonly Span[] = NO_SPANS;
  /** Absolute counts; as many as the spans' lengths sum to. */
  positive: Float64Array = NO_BOUNDS;
  negative: Float64Array = NO_BOUNDS;
  /** Upper bounds of custom buckets, ascending; empty unless `schema` is `CUSTOM_SCHEMA`. */
  customValues: Float64Array = NO_BOUNDS;

  get usesCustomBuckets(): boolean {
    return this.schema === CUSTOM_SCHEMA;
  }
}

/** Another value of the same parts, to put other parts into. */
export function copyHistogram(h: NativeHistogram): NativeHistogram {
  return Object.assign(new NativeHistogram(), h);
}

/** The same with another hint. */
export function withHint(h: NativeHistogram, hint: ResetHint): NativeHistogram {
  const other = copyHistogram(h);
  other.counterResetHint = hint;
  return other;
}

/** A stored histogram as a value to compute with; shares spans, bounds and float counts with it. */
export function nativeHistogram(stored: Histogram): NativeHistogram {
  const h = new NativeHistogram();
  h.schema = stored.schema;
  h.counterResetHint = stored.counterResetHint;
  h.zeroThreshold = stored.zeroThreshold;
  h.sum = stored.sum[0]!;
  h.positiveSpans = stored.positiveSpans;
  h.negativeSpans = stored.negativeSpans;
  h.customValues = stored.customValues;
  if (stored.isFloat) {
    h.count = stored.totals[0]!;
    h.zeroCount = stored.totals[1]!;
    h.positive = stored.positive;
    h.negative = stored.negative;
  } else {
    h.count = Number(stored.count);
    h.zeroCount = Number(stored.zeroCount);
    h.positive = Float64Array.from(stored.positive, Number);
    h.negative = Float64Array.from(stored.negative, Number);
  }
  return h;
}

/** The value as a float histogram to store. Shares spans, bounds and counts. */
export function storedHistogram(h: NativeHistogram): Histogram {
  return {
    isFloat: true,
    schema: h.schema,
    zeroThreshold: h.zeroThreshold,
    positiveSpans: h.positiveSpans,
    negativeSpans: h.negativeSpans,
    customValues: h.customValues,
    counterResetHint: h.counterResetHint,
    sum: Float64Array.of(h.sum),
    totals: Float64Array.of(h.count, h.zeroCount),
    positive: h.positive,
    negative: h.negative,
  };
}
