/** When a value counts as the one that was wanted: floats up to rounding, histograms bucket by bucket. */
import type { Span } from "#libs/model/histogram.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import type { SequenceValue } from "./series-description.ts";
import type { Point } from "./result.ts";

/** Relative to the sum of both magnitudes. */
const TOLERANCE = 1e-6;
const SMALLEST_NORMAL = 2 ** -1022;

/** Whether the point is what the script wants there. */
export function isWanted(point: Point, wanted: SequenceValue): boolean {
  switch (wanted.kind) {
    case "omitted":
      return false;
    case "stale":
      return point.kind === "stale";
    case "float":
      return point.kind === "float" && almostEqual(point.value, wanted.value);
    case "histogram":
      return point.kind === "histogram" && isSameHistogram(point.histogram, wanted.histogram, wanted.hintGiven);
  }
}

/** NaN equals NaN; 0 equals nothing else. */
export function almostEqual(a: number, b: number): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  const magnitude = Math.abs(a) + Math.abs(b);
  const difference = Math.abs(a - b);
  if (a === 0 || b === 0 || magnitude < SMALLEST_NORMAL) return difference < TOLERANCE * SMALLEST_NORMAL;
  return difference / Math.min(magnitude, Number.MAX_VALUE) < TOLERANCE;
}

/** Empty buckets do not count, and the hint only where the script gives one. */
export function isSameHistogram(got: NativeHistogram, wanted: NativeHistogram, withHint: boolean): boolean {
  return (
    got.schema === wanted.schema &&
    almostEqual(got.count, wanted.count) &&
    almostEqual(got.sum, wanted.sum) &&
    got.zeroThreshold === wanted.zeroThreshold &&
    almostEqual(got.zeroCount, wanted.zeroCount) &&
    got.customValues.length === wanted.customValues.length &&
    got.customValues.every((bound, i) => bound === wanted.customValues[i]) &&
    isSameBuckets(filled(got.positiveSpans, got.positive), filled(wanted.positiveSpans, wanted.positive)) &&
    isSameBuckets(filled(got.negativeSpans, got.negative), filled(wanted.negativeSpans, wanted.negative)) &&
    (!withHint || got.counterResetHint === wanted.counterResetHint)
  );
}

type Bucket = readonly [index: number, count: number];

/** The buckets that are not empty, however the spans are cut. */
function filled(spans: readonly Span[], counts: Float64Array): Bucket[] {
  const buckets: Bucket[] = [];
  let index = 0;
  let at = 0;
  for (const [offset, length] of spans) {
    index += offset;
    for (let i = 0; i < length; i++, index++, at++) if (counts[at] !== 0) buckets.push([index, counts[at]!]);
  }
  return buckets;
}

function isSameBuckets(got: readonly Bucket[], wanted: readonly Bucket[]): boolean {
  return (
    got.length === wanted.length &&
    got.every(([index, count], i) => index === wanted[i]![0] && almostEqual(count, wanted[i]![1]))
  );
}
