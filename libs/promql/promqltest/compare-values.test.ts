import { describe, expect, test } from "vitest";
import { almostEqual, isSameHistogram, isWanted } from "./compare-values.ts";
import { parseSeriesDescription } from "./series-description.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";

describe("floats", () => {
  const check = (a: number, b: number, equal: boolean): void =>
    test(`${a} ${equal ? "is" : "is not"} ${b}`, () => {
      expect(almostEqual(a, b)).toBe(equal);
      expect(almostEqual(b, a)).toBe(equal);
    });
  check(1, 1.000001, true);
  check(1, 1.000003, false);
  check(-1, 1, false);
  check(0, -0, true);
  check(0, 1e-300, false);
  check(0, Number.MIN_VALUE, true);
  check(2 ** -1030, 2 ** -1031, false);
  check(NaN, NaN, true);
  check(NaN, 0, false);
  check(Infinity, Infinity, true);
  check(Infinity, Number.MAX_VALUE, false);
  check(Number.MAX_VALUE, Number.MAX_VALUE * (1 - 1e-7), true);
});

test("a stale marker is nothing but a stale marker", () => {
  const timeMs = 0;
  expect(isWanted({ timeMs, kind: "stale" }, { kind: "stale" })).toBe(true);
  expect(isWanted({ timeMs, kind: "float", value: NaN }, { kind: "stale" })).toBe(false);
  expect(isWanted({ timeMs, kind: "stale" }, { kind: "float", value: NaN })).toBe(false);
});

describe("histograms", () => {
  const histogramOf = (literal: string): NativeHistogram => {
    const [value] = parseSeriesDescription(`x {{${literal}}}`).values;
    if (value?.kind !== "histogram") throw new Error(literal);
    return value.histogram;
  };
  const check = (a: string, b: string, equal: boolean, withHint = true): void =>
    test(`{{${a}}} ${equal ? "is" : "is not"} {{${b}}}`, () => {
      expect(isSameHistogram(histogramOf(a), histogramOf(b), withHint)).toBe(equal);
    });
  check("", "", true);
  check("schema:1", "schema:2", false);
  check("count:1", "count:1.0000001", true);
  check("count:1", "count:2", false);
  check("sum:NaN", "sum:NaN", true);
  check("sum:0", "sum:1e-9", false);
  check("z_bucket:1", "z_bucket:2", false);
  check("z_bucket_w:0.001", "z_bucket_w:0.0010000001", false);
  check("buckets:[1 2]", "buckets:[1 2.0000001]", true);
  check("buckets:[1 2]", "buckets:[2 1]", false);
  check("buckets:[1 2]", "n_buckets:[1 2]", false);
  check("buckets:[0 1 0]", "buckets:[1] offset:1", true);
  check("buckets:[1]", "buckets:[1] offset:1", false);
  check("n_buckets:[1 0 0 2]", "n_buckets:[1 0 2]", false);
  check("schema:-53 custom_values:[1 2] buckets:[1]", "schema:-53 custom_values:[1 2.0000001] buckets:[1]", false);
  check("counter_reset_hint:reset", "counter_reset_hint:gauge", false);
  check("counter_reset_hint:reset", "counter_reset_hint:gauge", true, false);
});
