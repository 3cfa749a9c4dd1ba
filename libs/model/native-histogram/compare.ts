/** Equality of histograms, and whether a counter was reset between two (prometheus/model/histogram). */
import { CUSTOM_SCHEMA, RESET_HINT, type Span } from "../histogram.ts";
import type { NativeHistogram } from "../native-histogram.ts";
import { bucketsWithin, negativeOf, positiveOf } from "./add.ts";
import { customBound } from "./bounds.ts";
import { sameBounds } from "./custom-bounds.ts";
import { indicesOf, reduceSide, sameSpans, type Side, stretchesOf } from "./layout.ts";
import { zeroCountFor } from "./zero-bucket.ts";

/**
 * Are all numbers the same, to the sign of 0, in the same spans? Empty buckets matter; spans without buckets and hints do
 * not. All NaNs are the same; Prometheus tells payloads apart.
 */
export function equalHistograms(a: NativeHistogram, b: NativeHistogram): boolean {
  return (
    a === b ||
    (a.schema === b.schema &&
      Object.is(a.count, b.count) &&
      Object.is(a.sum, b.sum) &&
      (a.schema !== CUSTOM_SCHEMA || sameBounds(a.customValues, b.customValues)) &&
      a.zeroThreshold === b.zeroThreshold &&
      Object.is(a.zeroCount, b.zeroCount) &&
      sameLayout(a.negativeSpans, b.negativeSpans) &&
      sameCounts(a.negative, b.negative) &&
      sameLayout(a.positiveSpans, b.positiveSpans) &&
      sameCounts(a.positive, b.positive))
  );
}

function sameLayout(a: readonly Span[], b: readonly Span[]): boolean {
  return sameSpans(a, b) || sameSpans(withoutEmptySpans(a), withoutEmptySpans(b));
}

function withoutEmptySpans(spans: readonly Span[]): Span[] {
  const kept: Span[] = [];
  let gap = 0;
  for (const [offset, length] of spans) {
    gap += offset;
    if (length === 0) continue;
    kept.push([gap, length]);
    gap = 0;
  }
  return kept;
}

function sameCounts(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/**
 * Was the counter reset after `previous`? The hint of `current` decides if it says reset or no reset. Otherwise: does any
 * count (not the sum) fall, a populated bucket vanish, the resolution rise or the zero bucket shrink, or end within a
 * populated bucket of `previous`?
 */
export function detectReset(current: NativeHistogram, previous: NativeHistogram): boolean {
  if (current.counterResetHint === RESET_HINT.RESET) return true;
  if (current.counterResetHint === RESET_HINT.NOT_RESET) return false;
  if (current.count < previous.count) return true;
  if (current.schema === CUSTOM_SCHEMA) {
    if (previous.schema !== CUSTOM_SCHEMA) return true;
    if (!sameBounds(current.customValues, previous.customValues)) return sharedBoundFalls(current, previous);
    return sideFalls(positiveOf(current), positiveOf(previous), 0);
  }
  if (current.schema > previous.schema || current.zeroThreshold < previous.zeroThreshold) return true;
  const zero = zeroCountFor(previous, current.zeroThreshold);
  if (zero.threshold !== current.zeroThreshold || current.zeroCount < zero.sum) return true;
  return (
    exponentialSideFalls(positiveOf(current), positiveOf(previous), current, previous.schema) ||
    exponentialSideFalls(negativeOf(current), negativeOf(previous), current, previous.schema)
  );
}

function exponentialSideFalls(
  current: Side,
  previous: Side,
  { schema, zeroThreshold }: NativeHistogram,
  previousSchema: number,
): boolean {
  const reduced = previousSchema === schema ? previous : reduceSide(previous, previousSchema - schema);
  return sideFalls(current, reduced, bucketsWithin(zeroThreshold, reduced.spans, schema));
}

/** Has a bucket of `previous`, `skip` lowest left aside, a smaller count in `current`? */
function sideFalls(current: Side, previous: Side, skip: number): boolean {
  if (sameSpans(current.spans, previous.spans)) {
    for (let i = skip; i < previous.counts.length; i++) if (current.counts[i]! < previous.counts[i]!) return true;
    return false;
  }
  for (const { length, i, j } of stretchesOf(current.spans, previous.spans, skip)) {
    for (let k = 0; j >= 0 && k < length; k++) {
      const then = previous.counts[j + k]!;
      if (i < 0 ? then !== 0 : current.counts[i + k]! < then) return true;
    }
  }
  return false;
}

/** Does the number of observations between two bounds that both have fall? */
function sharedBoundFalls(current: NativeHistogram, previous: NativeHistogram): boolean {
  const now = new Rollup(current);
  const then = new Rollup(previous);
  let i = 0;
  let j = 0;
  while (i <= current.customValues.length && j <= previous.customValues.length) {
    const a = customBound(i, current.customValues);
    const b = customBound(j, previous.customValues);
    if (a === b && now.upTo(a) < then.upTo(a)) return true;
    if (a <= b) i++;
    if (!(a < b)) j++;
  }
  return false;
}

/** Counts of custom buckets from bound to bound, ascending. */
class Rollup {
  readonly #h: NativeHistogram;
  readonly #indices: Int32Array;
  #at = 0;

  constructor(h: NativeHistogram) {
    this.#h = h;
    this.#indices = indicesOf(h.positiveSpans);
  }

  /** Observations in buckets that end at or below `bound` and were not asked for yet. */
  upTo(bound: number): number {
    let sum = 0;
    while (this.#at < this.#indices.length && customBound(this.#indices[this.#at]!, this.#h.customValues) <= bound) {
      sum += this.#h.positive[this.#at++]!;
    }
    return sum;
  }
}
