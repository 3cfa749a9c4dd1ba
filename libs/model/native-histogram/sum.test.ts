import { describe, expect, test } from "vitest";
import { CUSTOM_SCHEMA, RESET_HINT } from "../histogram.ts";
import type { NativeHistogram } from "../native-histogram.ts";
import { HistogramSum } from "./sum.ts";
import { histogramOf } from "./testing.ts";
import { formatHistogramLiteral } from "./text.ts";

const totalOf = (averages: boolean, ...histograms: NativeHistogram[]): HistogramSum => {
  const total = new HistogramSum(averages);
  for (const h of histograms) total.add(h);
  return total;
};
const bucket = (count: number, index = 0): NativeHistogram =>
  histogramOf({ sum: count, positiveSpans: [[index, 1]], positive: [count] });

test("what rounding takes is given back", () => {
  const sum = totalOf(false, bucket(1e16), bucket(1), bucket(1, 1), bucket(1), bucket(-1e16)).sum();
  expect([sum.count, sum.sum, ...sum.positive]).toEqual([3, 3, 2, 1]);
});

test("a mean goes on where the sum would overflow", () => {
  const h = bucket(1.5e308);
  expect(totalOf(false, h, h).sum().positive).toEqual(Float64Array.of(Infinity));
  const mean = totalOf(true, h, h, bucket(0.75e308), h).average();
  expect([mean.count, mean.sum, ...mean.positive]).toEqual([1.3125e308, 1.3125e308, 1.3125e308]);
});

test("of one histogram it is that one", () => {
  const h = bucket(3);
  expect(totalOf(false, h).sum()).toBe(h);
  expect(totalOf(true, h).average()).toBe(h);
});

test("histograms that were added and results stay as they are", () => {
  const a = bucket(1);
  const total = totalOf(false, a, bucket(2));
  const before = total.sum();
  total.add(bucket(4));
  expect([a, before, total.sum()].map(formatHistogramLiteral)).toEqual([
    "{{count:1 sum:1 buckets:[1]}}",
    "{{count:3 sum:3 buckets:[3]}}",
    "{{count:7 sum:7 buckets:[7]}}",
  ]);
});

describe("what there is to say", () => {
  const custom = (bound: number): NativeHistogram =>
    histogramOf({ schema: CUSTOM_SCHEMA, customValues: [bound, 9], positiveSpans: [[0, 1]], positive: [1] });
  const hinted = (counterResetHint: 0 | 1 | 2 | 3): NativeHistogram => histogramOf({ counterResetHint });
  test("both kinds of buckets have no sum", () =>
    expect(totalOf(false, bucket(1), custom(1), bucket(1)).incompatible).toBe(true));
  test("bounds were reconciled", () => {
    expect(totalOf(false, custom(1), custom(1)).boundsReconciled).toBe(false);
    const total = totalOf(true, custom(1), custom(2));
    expect([total.boundsReconciled, total.average().customValues]).toEqual([true, Float64Array.of(9)]);
  });
  test("hints collide, wherever they came", () => {
    const { RESET, UNKNOWN, NOT_RESET } = RESET_HINT;
    expect(totalOf(false, hinted(RESET), hinted(UNKNOWN)).counterResetCollision).toBe(false);
    expect(totalOf(false, hinted(RESET), hinted(UNKNOWN), hinted(NOT_RESET)).counterResetCollision).toBe(true);
  });
});
