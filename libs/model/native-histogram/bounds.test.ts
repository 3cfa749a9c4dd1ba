import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { CUSTOM_SCHEMA } from "../histogram.ts";
import { BOUNDARY, customBound, exponentialBound, listBuckets } from "./bounds.ts";
import { histogramOf } from "./testing.ts";

describe("bounds are those of Prometheus's table", () => {
  const check = (schema: number, index: number, expected: number): void =>
    test(`schema ${schema}, bucket ${index}`, () => expect(exponentialBound(index, schema)).toBe(expected));
  check(-4, 3, 281474976710656);
  check(-1, -1, 0.25);
  check(0, 3, 8);
  check(1, 3, 2.82842712474619);
  check(1, 1, 1.414213562373095);
  check(2, 3, 1.6817928305074288);
  check(3, 3, 1.2968395546510096);
  check(4, 3, 1.1387886347566916);
  check(5, 3, 1.0671404006768235);
  check(6, 3, 1.0330248790212284);
  check(7, 3, 1.0163783149109529);
  check(8, 3, 1.0081558981184175);
  check(8, 255, 1.9945921121709396);
  check(8, -1, 0.9972960560854698);
  test("all 256 of a power of two", () => {
    const bounds = Float64Array.from({ length: 256 }, (_, i) => exponentialBound(i, 8));
    expect(createHash("sha256").update(new Uint8Array(bounds.buffer)).digest("hex")).toBe(
      "5e4213c073f1eee10763b46d5e159ab20890268a68598400517a3ad3d0fcabfd",
    );
  });
  test("the last finite bucket ends at the largest float, the next at +Inf", () => {
    for (const schema of [-4, -1, 0, 1, 8]) {
      const last = 1024 * 2 ** schema;
      expect([exponentialBound(last, schema), exponentialBound(last + 1, schema)]).toEqual([
        Number.MAX_VALUE,
        Infinity,
      ]);
    }
  });
  test("custom buckets begin at -Inf and end at +Inf", () => {
    const bounds = Float64Array.of(1, 5);
    expect([-1, 0, 1, 2].map((i) => customBound(i, bounds))).toEqual([-Infinity, 1, 5, Infinity]);
  });
});

describe("lists of buckets", () => {
  test("ascend, without empty ones, and end at the zero bucket", () => {
    const h = histogramOf({
      zeroThreshold: 0.75,
      zeroCount: 3,
      positiveSpans: [[0, 3]],
      positive: [1, 0, 2],
      negativeSpans: [[0, 2]],
      negative: [4, 5],
    });
    expect(listBuckets(h)).toEqual([
      { boundary: BOUNDARY.UPPER_OPEN, lower: -2, upper: -1, count: 5 },
      { boundary: BOUNDARY.UPPER_OPEN, lower: -1, upper: -0.75, count: 4 },
      { boundary: BOUNDARY.CLOSED, lower: -0.75, upper: 0.75, count: 3 },
      { boundary: BOUNDARY.LOWER_OPEN, lower: 0.75, upper: 1, count: 1 },
      { boundary: BOUNDARY.LOWER_OPEN, lower: 2, upper: 4, count: 2 },
    ]);
  });
  test("of custom buckets", () => {
    const h = histogramOf({
      schema: CUSTOM_SCHEMA,
      customValues: [1, 5],
      positiveSpans: [
        [0, 1],
        [1, 1],
      ],
      positive: [1, 2],
    });
    expect(listBuckets(h)).toEqual([
      { boundary: BOUNDARY.CLOSED, lower: -Infinity, upper: 1, count: 1 },
      { boundary: BOUNDARY.LOWER_OPEN, lower: 5, upper: Infinity, count: 2 },
    ]);
  });
});
