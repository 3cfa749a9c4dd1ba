/**
 * Is a histogram one that Prometheus would store? The texts are those of prometheus/model/histogram (`Validate`), which
 * senders see in the answers of remote write.
 */
import { formatG, formatValue } from "./float.ts";
import { bucketCount, CUSTOM_SCHEMA, type Histogram, type IntHistogram, type Span } from "./histogram.ts";

const SCHEMA_MIN = -4;
const SCHEMA_MAX = 8;

/**
 * What is wrong with the histogram, first fault only; undefined when it is valid. Counts of float histograms are not
 * held against the sum of their buckets, whose rounding would be a fault then.
 */
export function validateHistogram(h: Histogram): string | undefined {
  return layoutFault(h) ?? (h.isFloat ? floatFault(h) : intFault(h));
}

function layoutFault(h: Histogram): string | undefined {
  if (h.schema === CUSTOM_SCHEMA) {
    const fault = boundsFault(h.customValues) ?? customSpansFault(h);
    if (fault !== undefined) return `custom buckets: ${fault}`;
    if (h.isFloat ? h.totals[1] !== 0 : h.zeroCount !== 0n) return "custom buckets: must have zero count of 0";
    if (h.zeroThreshold !== 0) return "custom buckets: must have zero threshold of 0";
    if (h.negativeSpans.length > 0) return "custom buckets: must not have negative spans";
    if (h.negative.length > 0) return "custom buckets: must not have negative buckets";
    return undefined;
  }
  if (h.schema < SCHEMA_MIN || h.schema > SCHEMA_MAX) {
    return `histogram has an invalid schema, which must be between ${SCHEMA_MIN} and ${SCHEMA_MAX} for exponential buckets, or ${CUSTOM_SCHEMA} for custom buckets, got schema ${h.schema}`;
  }
  return (
    sided("positive", spansFault(h.positiveSpans, h.positive.length, 1)) ??
    sided("negative", spansFault(h.negativeSpans, h.negative.length, 1)) ??
    sided("negative", bucketFault(h.negative)) ??
    zeroBucketFault(h) ??
    (h.customValues.length > 0 ? "histogram with exponential schema must not have custom bounds" : undefined)
  );
}

function sided(side: string, fault: string | undefined): string | undefined {
  return fault === undefined ? undefined : `${side} side: ${fault}`;
}

function boundsFault(bounds: Float64Array): string | undefined {
  for (let i = 0; i < bounds.length; i++) {
    if (Number.isNaN(bounds[i]!)) return "histogram custom bounds must not be NaN";
    if (i > 0 && bounds[i]! <= bounds[i - 1]!) {
      return `previous bound is ${sixDecimals(bounds[i - 1]!)} and current is ${sixDecimals(bounds[i]!)}: histogram custom bounds must be in strictly increasing order`;
    }
  }
  return bounds.at(-1) === Infinity
    ? "last +Inf bound must not be explicitly defined: histogram custom bounds must be finite"
    : undefined;
}

function customSpansFault(h: Histogram): string | undefined {
  const fault = spansFault(h.positiveSpans, h.positive.length, 0);
  if (fault !== undefined) return fault;
  const reach = h.positiveSpans.reduce((end, [offset, length]) => end + offset + length, 0);
  return h.customValues.length + 1 < reach
    ? `only ${h.customValues.length} custom bounds defined which is insufficient to cover total span length of ${reach}: histogram custom bounds are too few`
    : undefined;
}

/** `from`: the first span whose offset is a gap and must not be negative. */
function spansFault(spans: readonly Span[], buckets: number, from: number): string | undefined {
  const n = spans.findIndex(([offset], i) => i >= from && offset < 0);
  if (n >= 0) {
    return `span number ${n + 1} with offset ${spans[n]![0]}: histogram has a span whose offset is negative`;
  }
  const needed = bucketCount(spans);
  return needed === buckets
    ? undefined
    : `spans need ${needed} buckets, have ${buckets} buckets: histogram spans specify different number of buckets than provided`;
}

function bucketFault(buckets: BigInt64Array | Float64Array): string | undefined {
  for (let i = 0; i < buckets.length; i++) {
    const count = buckets[i]!;
    if (count >= 0 || Number.isNaN(count)) continue;
    return `bucket number ${i + 1} has observation count of ${typeof count === "bigint" ? count : formatG(count)}: histogram has a bucket whose observation count is negative`;
  }
  return undefined;
}

function zeroBucketFault(h: Histogram): string | undefined {
  if (!h.isFloat || !(h.totals[1]! < 0)) return undefined;
  return `zero bucket has observation count of ${formatG(h.totals[1]!)}: histogram has a bucket whose observation count is negative`;
}

function floatFault(h: Histogram & { readonly isFloat: true }): string | undefined {
  // The two blanks are Prometheus's.
  if (h.totals[0]! < 0) {
    return `observation count is  ${formatG(h.totals[0]!)}: histogram's observation count is negative`;
  }
  return sided("positive", bucketFault(h.positive));
}

function intFault(h: IntHistogram): string | undefined {
  const fault = sided("positive", bucketFault(h.positive));
  if (fault !== undefined) return fault;
  const found = BigInt.asUintN(64, sumOf(h.positive) + sumOf(h.negative) + h.zeroCount);
  // NaN observations are counted but lie in no bucket.
  const hasNaN = Number.isNaN(h.sum[0]!);
  if (hasNaN ? found <= h.count : found === h.count) return undefined;
  return `${found} observations found in buckets, but the Count field is ${h.count}: histogram's observation count should ${
    hasNaN
      ? "be at least the number of observations found in the buckets"
      : "equal the number of observations found in the buckets (in absence of NaN)"
  }`;
}

function sumOf(buckets: BigInt64Array): bigint {
  let sum = 0n;
  for (let i = 0; i < buckets.length; i++) sum += buckets[i]!;
  return sum;
}

/** Go's `%f`. */
function sixDecimals(value: number): string {
  if (!Number.isFinite(value)) return formatValue(value);
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}.000000`;
  // Halfway between two texts, toFixed goes up and Go to the even digit.
  const exact = value.toFixed(7);
  return Number.isInteger(value * 128) && /[02468]5$/.test(exact) ? exact.slice(0, -1) : value.toFixed(6);
}
