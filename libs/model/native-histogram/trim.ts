/**
 * The operators `</` and `>/`: observations on one side of a value. A bucket that holds the value keeps a part, by the
 * interpolation of `histogram_fraction`; the sum is then estimated anew from the middles of all buckets
 * (prometheus/model/histogram, `FloatHistogram.TrimBuckets`).
 */
import { CUSTOM_SCHEMA, type Span } from "../histogram.ts";
import { copyHistogram, type NativeHistogram } from "../native-histogram.ts";
import { customBound, exponentialBound } from "./bounds.ts";
import { fractionBelow } from "./interpolation.ts";
import { isInfinite } from "./kahan.ts";
import { indicesOf } from "./layout.ts";
import { compactHistogram } from "./scale.ts";

/** The observations below `bound` if `keepsLower`, else those above; `h` itself if that is all of them. */
export function trimHistogram(h: NativeHistogram, bound: number, keepsLower: boolean): NativeHistogram {
  const trim = new Trim(h, bound, keepsLower);
  const out = copyHistogram(h);
  out.positive = trim.side(h.positiveSpans, h.positive, true);
  const hasPositive = trim.populated;
  out.negative = trim.side(h.negativeSpans, h.negative, false);
  if (h.zeroCount > 0) out.zeroCount = trim.zeroBucket(h.zeroCount, h.zeroThreshold, hasPositive, trim.populated);
  if (!trim.cut) return h;
  out.count = trim.count;
  out.sum = trim.sum;
  return compactHistogram(out);
}

/** What is kept of a bucket, and the value that stands for each of it in the sum. */
type Kept = readonly [count: number, middle: number];

const NOTHING: Kept = [0, 0];

class Trim {
  /** Of what is kept so far. */
  count = 0;
  sum = 0;
  /** Something was not kept. */
  cut = false;
  /** The last side had a bucket that counts something. */
  populated = false;
  readonly #h: NativeHistogram;
  readonly #bound: number;
  readonly #keepsLower: boolean;
  /** Interpolation, in custom buckets. */
  readonly #linear: boolean;

  constructor(h: NativeHistogram, bound: number, keepsLower: boolean) {
    this.#h = h;
    this.#bound = bound;
    this.#keepsLower = keepsLower;
    this.#linear = h.schema === CUSTOM_SCHEMA;
  }

  /** What the buckets of a side keep. */
  side(spans: readonly Span[], counts: Float64Array, positive: boolean): Float64Array {
    const { schema, customValues } = this.#h;
    this.populated = false;
    const indices = indicesOf(spans);
    return counts.map((count, i) => {
      if (count === 0) return count;
      this.populated = true;
      const index = indices[i]!;
      if (this.#linear) {
        return this.#keep(customBound(index - 1, customValues), customBound(index, customValues), count, true);
      }
      const inner = exponentialBound(index - 1, schema);
      const outer = exponentialBound(index, schema);
      return positive ? this.#keep(inner, outer, count, true) : this.#keep(-outer, -inner, count, false);
    });
  }

  /** What the zero bucket keeps; beside one populated side only, it is all on that side. */
  zeroBucket(count: number, threshold: number, hasPositive: boolean, hasNegative: boolean): number {
    const lower = hasPositive && !hasNegative ? 0 : -threshold;
    const upper = hasNegative && !hasPositive ? 0 : threshold;
    const bound = this.#bound;
    const all: Kept = [count, (lower + upper) / 2];
    if (bound <= lower) return this.#cutTo(this.#keepsLower ? NOTHING : all, count);
    if (bound >= upper) return this.#cutTo(this.#keepsLower ? all : NOTHING, count);
    const [from, to] = this.#keepsLower ? [lower, bound] : [bound, upper];
    return this.#cutTo([count * ((to - from) / (upper - lower)), (from + to) / 2], count);
  }

  /** What bucket (lower, upper] keeps. */
  #keep(lower: number, upper: number, count: number, positive: boolean): number {
    const bound = this.#bound;
    if (this.#keepsLower ? upper <= bound : lower >= bound) {
      return this.#add([count, this.#middle(lower, upper, positive)]);
    }
    const inside = this.#keepsLower ? lower < bound : upper > bound;
    return this.#cutTo(inside ? this.#part(lower, upper, count, positive) : NOTHING, count);
  }

  #cutTo(part: Kept, count: number): number {
    if (part[0] !== count) this.cut = true;
    return this.#add(part);
  }

  #add([kept, middle]: Kept): number {
    this.count += kept;
    this.sum += middle * kept;
    return kept;
  }

  /** Of a bucket with the bound inside. */
  #part(lower: number, upper: number, count: number, positive: boolean): Kept {
    const bound = this.#bound;
    // Nothing says where in an infinite bucket observations lie. The one up to +Inf is all above the bound.
    if (lower === -Infinity) return this.#partOfLowest(upper, count);
    if (upper === Infinity) return this.#keepsLower ? NOTHING : [count, bound];
    const below = count * fractionBelow(lower, upper, bound, this.#linear);
    return this.#keepsLower
      ? [below, this.#middle(lower, bound, positive)]
      : [count - below, this.#middle(bound, upper, positive)];
  }

  /** Of the bucket from -Inf: it begins at 0 if that is inside, else none of it is above the bound. */
  #partOfLowest(upper: number, count: number): Kept {
    const bound = this.#bound;
    if (this.#keepsLower) {
      if (bound > 0 && upper !== Infinity) return [(count * bound) / upper, bound / 2];
      return upper <= 0 ? [count, bound] : NOTHING;
    }
    return bound >= 0 && upper !== Infinity ? [count * (1 - bound / upper), (bound + upper) / 2] : NOTHING;
  }

  /** Stands for the observations of an interval in the sum. */
  #middle(lower: number, upper: number, positive: boolean): number {
    if (isInfinite(lower)) return isInfinite(upper) ? 0 : upper > 0 ? upper / 2 : upper;
    if (isInfinite(upper)) return lower;
    if (this.#linear) return (lower + upper) / 2;
    const mean = Math.sqrt(Math.abs(lower * upper));
    return positive ? mean : -mean;
  }
}
