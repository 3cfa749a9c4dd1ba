/** Stale markers are sent as floats; in a series of histograms they are stored as histograms of its kind. */
import { type Histogram, NO_BOUNDS, NO_SPANS, RESET_HINT } from "#libs/model/histogram.ts";
import { setStale } from "#libs/model/stale.ts";
import { ENCODING } from "../chunk/encoding.ts";

/** The marker for a series whose newest chunk has `encoding`; undefined where it is a float. */
export function staleHistogramFor(encoding: number): Histogram | undefined {
  switch (encoding) {
    case ENCODING.HISTOGRAM:
    case ENCODING.HISTOGRAM_ST: {
      const none = new BigInt64Array(0);
      return { ...shape(), isFloat: false, count: 0n, zeroCount: 0n, positive: none, negative: none };
    }
    case ENCODING.FLOAT_HISTOGRAM:
    case ENCODING.FLOAT_HISTOGRAM_ST:
      return { ...shape(), isFloat: true, totals: new Float64Array(2), positive: NO_BOUNDS, negative: NO_BOUNDS };
    default:
      return undefined;
  }
}

function shape(): Pick<
  Histogram,
  "schema" | "zeroThreshold" | "positiveSpans" | "negativeSpans" | "customValues" | "counterResetHint" | "sum"
> {
  const sum = new Float64Array(1);
  setStale(new Int32Array(sum.buffer), 0);
  return {
    schema: 0,
    zeroThreshold: 0,
    positiveSpans: NO_SPANS,
    negativeSpans: NO_SPANS,
    customValues: NO_BOUNDS,
    counterResetHint: RESET_HINT.UNKNOWN,
    sum,
  };
}
