/**
 * Sums and means of histograms, each count after Kahan and Neumaier, in the order of operations of `sum`, `avg`,
 * `sum_over_time` and `avg_over_time` (prometheus/promql; `FloatHistogram.KahanAdd`), so results are equal bit for bit.
 */
import { RESET_HINT } from "../histogram.ts";
import { copyHistogram, type NativeHistogram } from "../native-histogram.ts";
import { addHistograms, bucketsWithin, mergeHints, negativeOf, positiveOf, setNegative, setPositive } from "./add.ts";
import { mapToBounds, sameBounds, sharedBounds } from "./custom-bounds.ts";
import { compensate, KahanSum } from "./kahan.ts";
import { lengthOf, reduceSide, sameSpans, type Side, spansOf, type Stretch, stretchesOf } from "./layout.ts";
import { divideHistogram, hasOverflow, scaleHistogram } from "./scale.ts";
import { reconcileZeroBuckets } from "./zero-bucket.ts";

/** A billion buckets of it are still less than the largest float. */
const FAR_FROM_OVERFLOW = 1e299;

export class HistogramSum {
  /** Exponential and custom buckets were added: there is no result. */
  incompatible = false;
  /** Custom bounds differed; the result has those that all share. */
  boundsReconciled = false;
  readonly #averages: boolean;
  #count = 0;
  /** The only histogram, while there is one. */
  #first: NativeHistogram | undefined;
  #running: Running | undefined;
  /** No number of the sum is larger than this times the buckets that were merged into one. */
  #reach = 0;
  /** Set once the sum would have overflowed: from then on a running mean is kept. */
  #incremental = false;
  #sawReset = false;
  #sawNoReset = false;

  /** @param averages the result will be asked for by `average()`, not by `sum()`. */
  constructor(averages: boolean) {
    this.#averages = averages;
  }

  /** Some counters were reset and some were not. */
  get counterResetCollision(): boolean {
    return this.#sawReset && this.#sawNoReset;
  }

  add(h: NativeHistogram): void {
    if (this.incompatible) return;
    this.#count++;
    if (h.counterResetHint === RESET_HINT.RESET) this.#sawReset = true;
    if (h.counterResetHint === RESET_HINT.NOT_RESET) this.#sawNoReset = true;
    if (this.#count === 1) {
      this.#first = h;
      if (this.#averages) this.#reach = largestIn(h);
      return;
    }
    const running = (this.#running ??= new Running(this.#first!));
    if (running.h.usesCustomBuckets !== h.usesCustomBuckets) {
      this.incompatible = true;
      return;
    }
    if (h.usesCustomBuckets && !sameBounds(running.h.customValues, h.customValues)) this.boundsReconciled = true;
    if (!this.#averages) running.add(h);
    else if (this.#incremental || !this.#addUnlessOverflow(running, h)) this.#addToMean(h);
  }

  /** May have empty buckets and adjacent spans: aggregations compact it. At least one histogram was added. */
  sum(): NativeHistogram {
    return this.#running?.total(1) ?? this.#first!;
  }

  /** As `sum()`. */
  average(): NativeHistogram {
    return this.#running?.total(this.#incremental ? 1 : this.#count) ?? this.#first!;
  }

  #addUnlessOverflow(running: Running, h: NativeHistogram): boolean {
    this.#reach += largestIn(h);
    if (this.#reach < FAR_FROM_OVERFLOW) {
      running.add(h);
      return true;
    }
    const tried = running.copy();
    tried.add(h);
    if (hasOverflow(tried.h)) return false;
    this.#running = tried;
    return true;
  }

  #addToMean(h: NativeHistogram): void {
    if (!this.#incremental) this.#running = this.#running!.dividedBy(this.#count - 1);
    this.#incremental = true;
    this.#running = this.#running!.times((this.#count - 1) / this.#count);
    this.#running.add(divideHistogram(h, this.#count));
  }
}

/** A running sum and what was lost of it. Owns and writes to its counts. */
class Running {
  readonly h: NativeHistogram;
  /** Its counts have the layout of `h`, whatever its spans say. */
  readonly #lost: NativeHistogram;

  constructor(h: NativeHistogram, lost?: NativeHistogram) {
    this.h = copyHistogram(h);
    if (lost !== undefined) {
      this.#lost = lost;
      return;
    }
    this.h.positive = h.positive.slice();
    this.h.negative = h.negative.slice();
    this.#lost = copyHistogram(h);
    this.#lost.count = 0;
    this.#lost.sum = 0;
    this.#lost.zeroCount = 0;
    this.#lost.positive = new Float64Array(h.positive.length);
    this.#lost.negative = new Float64Array(h.negative.length);
  }

  times(factor: number): Running {
    return new Running(scaleHistogram(this.h, factor), scaleHistogram(this.#lost, factor));
  }

  dividedBy(divisor: number): Running {
    return new Running(divideHistogram(this.h, divisor), divideHistogram(this.#lost, divisor));
  }

  /** The sum and what was lost, each divided first. */
  total(divisor: number): NativeHistogram {
    const { h } = this;
    const { count, sum, zeroCount, positive, negative } = this.#lost;
    const lost = Object.assign(copyHistogram(h), { count, sum, zeroCount, positive, negative });
    return addHistograms(divideHistogram(h, divisor), divideHistogram(lost, divisor))!.histogram;
  }

  copy(): Running {
    return this.dividedBy(1);
  }

  /** `b` has the same kind of buckets. */
  add(b: NativeHistogram): void {
    const { h } = this;
    h.counterResetHint = mergeHints(h.counterResetHint, b.counterResetHint) ?? RESET_HINT.UNKNOWN;
    this.#addTotal("count", b.count);
    this.#addTotal("sum", b.sum);
    if (h.usesCustomBuckets) {
      const positive = withLost(positiveOf(h), this.#lost.positive);
      if (sameBounds(h.customValues, b.customValues)) {
        this.#setPositive(addSide(positive, positiveOf(b), 0));
      } else {
        const bounds = sharedBounds(h.customValues, b.customValues);
        this.#setPositive(mapToBounds(bounds, positive, h.customValues, positiveOf(b), b.customValues, 1));
        h.customValues = bounds;
      }
      return;
    }
    const theirZero = reconcileZeroBuckets(h, b, this.#lost);
    this.#addTotal("zeroCount", theirZero.sum);
    this.#addTotal("zeroCount", theirZero.compensation);
    let positive = withLost(positiveOf(h), this.#lost.positive);
    let negative = withLost(negativeOf(h), this.#lost.negative);
    let positiveB = positiveOf(b);
    let negativeB = negativeOf(b);
    if (b.schema < h.schema) {
      positive = reduceSide(positive, h.schema - b.schema);
      negative = reduceSide(negative, h.schema - b.schema);
      h.schema = b.schema;
    } else if (b.schema > h.schema) {
      positiveB = reduceSide(withLost(positiveB, new Float64Array(b.positive.length)), b.schema - h.schema);
      negativeB = reduceSide(withLost(negativeB, new Float64Array(b.negative.length)), b.schema - h.schema);
    }
    this.#setPositive(addSide(positive, positiveB, bucketsWithin(h.zeroThreshold, positiveB.spans, h.schema)));
    this.#setNegative(addSide(negative, negativeB, bucketsWithin(h.zeroThreshold, negativeB.spans, h.schema)));
  }

  #addTotal(total: "count" | "sum" | "zeroCount", x: number): void {
    const kahan = new KahanSum(this.h[total], this.#lost[total]);
    kahan.add(x);
    this.h[total] = kahan.sum;
    this.#lost[total] = kahan.compensation;
  }

  #setPositive(side: Side): void {
    setPositive(this.h, side);
    this.#lost.positive = side.compensations!;
  }

  #setNegative(side: Side): void {
    setNegative(this.h, side);
    this.#lost.negative = side.compensations!;
  }
}

function withLost(side: Side, compensations: Float64Array): Side {
  return { spans: side.spans, counts: side.counts, compensations };
}

/** The largest magnitude in a histogram but NaN. */
function largestIn(h: NativeHistogram): number {
  const totals = largestOf(Float64Array.of(h.zeroCount, h.count, h.sum), 0);
  return largestOf(h.customValues, largestOf(h.negative, largestOf(h.positive, totals)));
}

function largestOf(values: Float64Array, atLeast: number): number {
  let largest = atLeast;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

/** Adds `b` without its `skip` lowest buckets to `a`: in place, or to a new side if `b` has more buckets. */
function addSide(a: Side, b: Side, skip: number): Side {
  if (skip >= b.counts.length) return a;
  const { counts, compensations } = a;
  if (b.compensations === undefined && sameSpans(a.spans, b.spans)) {
    for (let i = skip; i < counts.length; i++) compensate(counts, compensations!, i, b.counts[i]!);
    return a;
  }
  const stretches = stretchesOf(a.spans, b.spans, skip);
  const sum = stretches.every(({ i }) => i >= 0) ? a : spread(a, stretches);
  let at = 0;
  for (const { length, i, j } of stretches) {
    for (let k = 0; j >= 0 && k < length; k++) {
      const lost = b.compensations?.[j + k] ?? 0;
      if (i < 0) {
        sum.counts[at + k] = b.counts[j + k]!;
        sum.compensations![at + k] = lost;
        continue;
      }
      compensate(sum.counts, sum.compensations!, at + k, b.counts[j + k]!);
      if (lost !== 0) compensate(sum.counts, sum.compensations!, at + k, lost);
    }
    at += length;
  }
  return sum;
}

/** A side with room for all stretches, its buckets at their places. */
function spread(side: Side, stretches: readonly Stretch[]): Side {
  const counts = new Float64Array(lengthOf(stretches));
  const compensations = new Float64Array(counts.length);
  let at = 0;
  for (const { length, i } of stretches) {
    for (let k = 0; i >= 0 && k < length; k++) {
      counts[at + k] = side.counts[i + k]!;
      compensations[at + k] = side.compensations![i + k]!;
    }
    at += length;
  }
  return { spans: spansOf(stretches), counts, compensations };
}
