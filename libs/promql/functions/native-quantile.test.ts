import { describe, expect, test } from "vitest";
import { CUSTOM_SCHEMA } from "#libs/model/histogram.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { histogramOf } from "#libs/model/native-histogram/testing.ts";
import { nativeFraction, nativeQuantile } from "./native-quantile.ts";

const exponential = histogramOf({
  zeroThreshold: 0.5,
  zeroCount: 4,
  sum: 20,
  positiveSpans: [[1, 2]],
  positive: [6, 4],
});
const custom = histogramOf({
  schema: CUSTOM_SCHEMA,
  customValues: [10, 20],
  sum: 100,
  positiveSpans: [[0, 3]],
  positive: [7, 2, 1],
});
const withNaN = histogramOf({ sum: NaN, count: 8, positiveSpans: [[0, 2]], positive: [3, 3] });

describe("quantile", () => {
  const check = (q: number, h: NativeHistogram, value: number, nan: "none" | "result" | "skew" = "none"): void =>
    test(`${q}`, () => expect(nativeQuantile(q, h)).toEqual({ value, nan }));
  // Linear in the zero bucket, which begins at 0 where nothing is negative.
  check(0.1, exponential, 0.17500000000000002);
  check(0.5, exponential, 1.414213562373095);
  check(0.9, exponential, 3.1383363915870035);
  check(0.1, custom, 1.4285714285714284);
  check(0.5, custom, 7.142857142857143);
  check(0.9, custom, 20);
  check(0.99, custom, 20);
  check(-0.1, custom, -Infinity);
  check(1.1, custom, Infinity);
  check(NaN, custom, NaN);
  check(0.5, histogramOf({}), NaN);
  check(0.9, withNaN, NaN, "result");
  check(0.5, withNaN, 1.2599210498948732, "skew");
});

describe("fraction", () => {
  const check = (lower: number, upper: number, h: NativeHistogram, value: number, nan = false): void =>
    test(`${lower} to ${upper}`, () => expect(nativeFraction(lower, upper, h)).toEqual({ value, nan }));
  check(-Infinity, Infinity, exponential, 1);
  check(0, 0.25, exponential, 2 / 14);
  check(1, 2, exponential, 6 / 14);
  check(-Infinity, 5, custom, 0.35);
  check(2, 1, custom, 0);
  check(NaN, 1, custom, NaN);
  check(0, 1, histogramOf({}), NaN);
  check(-Infinity, Infinity, withNaN, 0.75, true);
});
