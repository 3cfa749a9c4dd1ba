/** Histograms for tests, written as plain lists. */
import type { ResetHint, Span } from "../histogram.ts";
import { NativeHistogram } from "../native-histogram.ts";

export interface PlainHistogram {
  readonly schema?: number;
  readonly counterResetHint?: ResetHint;
  readonly zeroThreshold?: number;
  readonly zeroCount?: number;
  /** The sum of all buckets if left out. */
  readonly count?: number;
  readonly sum?: number;
  readonly positiveSpans?: readonly Span[];
  readonly positive?: readonly number[];
  readonly negativeSpans?: readonly Span[];
  readonly negative?: readonly number[];
  readonly customValues?: readonly number[];
}

export function histogramOf({
  positive = [],
  negative = [],
  customValues = [],
  ...plain
}: PlainHistogram): NativeHistogram {
  const h = Object.assign(new NativeHistogram(), plain);
  h.positive = Float64Array.from(positive);
  h.negative = Float64Array.from(negative);
  h.customValues = Float64Array.from(customValues);
  h.count = plain.count ?? [...positive, ...negative].reduce((sum, count) => sum + count, h.zeroCount);
  return h;
}
