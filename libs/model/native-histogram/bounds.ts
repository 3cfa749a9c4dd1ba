/**
 * Where buckets begin and end. Exponential bucket `i` of schema `s` is (2^((i-1)·2^-s), 2^(i·2^-s)], mirrored for
 * negative values; custom bucket `i` is (bounds[i-1], bounds[i]]. Bounds are Prometheus's to the last bit.
 */
import { CUSTOM_SCHEMA } from "../histogram.ts";
import type { NativeHistogram } from "../native-histogram.ts";
import { ldexp } from "../go-math.ts";
import { BucketCursor } from "./layout.ts";

/** 2^(2^b / 256) for the bits b of a bucket's number within its power of two; the last is one ulp below √2. */
const BIT_FACTORS = [
  1.0027112750502025, 1.0054299011128027, 1.0108892860517005, 1.0218971486541166, 1.0442737824274138,
  1.0905077326652577, 1.189207115002721, 1.414213562373095,
];

/** 2^(j/256 - 1), j < 256, with the rounding of the table in Prometheus: its numbers are products, highest bit first. */
const FRACTIONS = Float64Array.from({ length: 256 }, (_, j) =>
  BIT_FACTORS.reduceRight((product, factor, bit) => ((j >> bit) & 1 ? product * factor : product), 0.5),
);

/** Upper bound of a positive exponential bucket. The last finite one ends at the largest float, the next is +Inf's. */
export function exponentialBound(index: number, schema: number): number {
  if (schema < 0) {
    const exponent = index * 2 ** -schema;
    return exponent === 1024 ? Number.MAX_VALUE : ldexp(1, exponent);
  }
  const fraction = FRACTIONS[(index & ((1 << schema) - 1)) << (8 - schema)]!;
  const exponent = (index >> schema) + 1;
  return fraction === 0.5 && exponent === 1025 ? Number.MAX_VALUE : ldexp(fraction, exponent);
}

/** Upper bound of custom bucket `index`; the bucket after the last bound ends at +Inf. */
export function customBound(index: number, bounds: Float64Array): number {
  return index < 0 ? -Infinity : index < bounds.length ? bounds[index]! : Infinity;
}

/**
 * The buckets of a histogram in ascending order: negative, zero (when it counts any), positive, empty ones too.
 * `seek(i)`, i < `length`, sets the fields to bucket `i`. Where a bucket and the zero bucket overlap, it ends there.
 */
export class BucketView {
  readonly length: number;
  lower = 0;
  upper = 0;
  count = 0;
  lowerInclusive = false;
  upperInclusive = false;
  readonly #h: NativeHistogram;
  readonly #positive: BucketCursor;
  readonly #negative: BucketCursor;
  readonly #zero: 0 | 1;

  constructor(h: NativeHistogram) {
    this.#h = h;
    this.#positive = new BucketCursor(h.positiveSpans);
    this.#negative = new BucketCursor(h.negativeSpans);
    this.#zero = h.zeroCount > 0 ? 1 : 0;
    this.length = h.positive.length + h.negative.length + this.#zero;
  }

  /** Count of bucket `i`. */
  countAt(i: number): number {
    const negatives = this.#h.negative.length;
    if (i < negatives) return this.#h.negative[negatives - 1 - i]!;
    const p = i - negatives - this.#zero;
    return p < 0 ? this.#h.zeroCount : this.#h.positive[p]!;
  }

  seek(i: number): void {
    const { schema, zeroThreshold, customValues, negative } = this.#h;
    const n = negative.length - 1 - i;
    const p = i - negative.length - this.#zero;
    this.count = this.countAt(i);
    if (n < 0 && p < 0) {
      this.lower = -zeroThreshold;
      this.upper = zeroThreshold;
      this.lowerInclusive = true;
      this.upperInclusive = true;
      return;
    }
    if (schema === CUSTOM_SCHEMA) {
      const index = this.#positive.indexOf(p);
      this.lower = customBound(index - 1, customValues);
      this.upper = customBound(index, customValues);
      this.lowerInclusive = index === 0;
      this.upperInclusive = true;
      return;
    }
    const index = n < 0 ? this.#positive.indexOf(p) : this.#negative.indexOf(n);
    const inner = exponentialBound(index - 1, schema);
    const outer = exponentialBound(index, schema);
    const clipped = inner > 0 && inner < zeroThreshold ? zeroThreshold : inner;
    this.lower = n < 0 ? clipped : -outer;
    this.upper = n < 0 ? outer : -clipped;
    this.lowerInclusive = this.lower < 0;
    this.upperInclusive = this.upper > 0;
  }
}

/** Calls back for each bucket of a `BucketView`. */
export function forEachBucket(
  h: NativeHistogram,
  visit: (lower: number, upper: number, count: number, lowerInclusive: boolean, upperInclusive: boolean) => void,
): void {
  const view = new BucketView(h);
  for (let i = 0; i < view.length; i++) {
    view.seek(i);
    visit(view.lower, view.upper, view.count, view.lowerInclusive, view.upperInclusive);
  }
}

/** Which ends belong to a bucket, as the HTTP API numbers it. */
export const BOUNDARY = { LOWER_OPEN: 0, UPPER_OPEN: 1, OPEN: 2, CLOSED: 3 } as const;

export interface ListedBucket {
  readonly boundary: (typeof BOUNDARY)[keyof typeof BOUNDARY];
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
}

/** The buckets that count something, ascending: what the HTTP API lists. */
export function listBuckets(h: NativeHistogram): ListedBucket[] {
  const listed: ListedBucket[] = [];
  forEachBucket(h, (lower, upper, count, lowerInclusive, upperInclusive) => {
    if (count === 0) return;
    const boundary = lowerInclusive
      ? upperInclusive
        ? BOUNDARY.CLOSED
        : BOUNDARY.UPPER_OPEN
      : upperInclusive
        ? BOUNDARY.LOWER_OPEN
        : BOUNDARY.OPEN;
    listed.push({ boundary, lower, upper, count });
  });
  return listed;
}
