import { describe, expect, test } from "vitest";
import { CUSTOM_SCHEMA, RESET_HINT } from "../histogram.ts";
import { detectReset, equalHistograms } from "./compare.ts";
import { histogramOf, type PlainHistogram } from "./testing.ts";

describe("a counter was reset", () => {
  const check = (name: string, previous: PlainHistogram, current: PlainHistogram, expected: boolean): void =>
    test(name, () => expect(detectReset(histogramOf(current), histogramOf(previous))).toBe(expected));
  const h = { positiveSpans: [[0, 2]], positive: [1, 2] } as const;
  check("no: all the same", h, h, false);
  check("hint says so", h, { ...h, counterResetHint: RESET_HINT.RESET }, true);
  check("no: hint says so", h, { counterResetHint: RESET_HINT.NOT_RESET }, false);
  check("count fell", h, { ...h, count: 2 }, true);
  check("bucket fell, count rose", h, { ...h, positive: [5, 1] }, true);
  check("no: sum fell", { ...h, sum: 5 }, { ...h, sum: 4 }, false);
  check("bucket vanished", h, { positiveSpans: [[0, 1]], positive: [9] }, true);
  check("no: empty bucket vanished", { ...h, positive: [1, 0] }, { positiveSpans: [[0, 1]], positive: [1] }, false);
  check("no: buckets came", h, { positiveSpans: [[-1, 4]], positive: [1, 1, 2, 1] }, false);
  check("resolution rose", { ...h, schema: 0 }, { ...h, schema: 1 }, true);
  check("no: resolution fell", { ...h, schema: 1 }, { positiveSpans: [[0, 2]], positive: [1, 2], schema: 0 }, false);
  check("merged bucket fell", { ...h, schema: 1, positive: [9, 2] }, { ...h, positive: [8, 9] }, true);
  check("zero bucket shrank", { zeroThreshold: 1 }, { zeroThreshold: 0.5 }, true);
  check(
    "zero bucket took what it now holds",
    { ...h },
    { zeroThreshold: 1, zeroCount: 1, positiveSpans: [[1, 1]], positive: [2] },
    false,
  );
  check(
    "zero bucket holds less than it took",
    h,
    { zeroThreshold: 1, zeroCount: 0, positiveSpans: [[1, 1]], positive: [9] },
    true,
  );
  check("zero bucket ends in a populated bucket", h, { ...h, zeroThreshold: 1.5, zeroCount: 9 }, true);
  const custom = (customValues: number[], positive: number[]): PlainHistogram => ({
    schema: CUSTOM_SCHEMA,
    customValues,
    positiveSpans: [[0, positive.length]],
    positive,
  });
  check(
    "no: bounds differ, what is between shared ones rose",
    custom([1, 2, 5], [1, 2, 3, 4]),
    custom([2, 5], [3, 3, 5]),
    false,
  );
  check("between shared bounds it fell", custom([1, 2, 5], [1, 2, 3, 4]), custom([2, 5], [9, 2, 5]), true);
  check("exponential became custom", h, custom([1], [9, 9]), true);
  check("custom became exponential", custom([1], [1, 1]), h, true);
});

describe("equal", () => {
  const h = { positiveSpans: [[0, 1], [2, 2]], positive: [1, 2, 3], sum: 4 } as const; // prettier-ignore
  const check = (name: string, a: PlainHistogram, b: PlainHistogram, expected: boolean): void =>
    test(name, () => expect(equalHistograms(histogramOf(a), histogramOf(b))).toBe(expected));
  check("copies", h, h, true);
  check("hints differ", h, { ...h, counterResetHint: RESET_HINT.GAUGE }, true);
  check(
    "empty spans",
    h,
    {
      ...h,
      positiveSpans: [
        [0, 1],
        [1, 0],
        [1, 2],
        [3, 0],
      ],
    },
    true,
  );
  check("NaN sums", { ...h, sum: NaN }, { ...h, sum: NaN }, true);
  check("not: sums", h, { ...h, sum: 5 }, false);
  check("not: 0 and -0", { ...h, sum: 0 }, { ...h, sum: -0 }, false);
  check(
    "not: an empty bucket more",
    h,
    {
      ...h,
      positiveSpans: [
        [0, 2],
        [1, 2],
      ],
      positive: [1, 0, 2, 3],
    },
    false,
  );
  check(
    "not: other gap",
    h,
    {
      ...h,
      positiveSpans: [
        [0, 1],
        [3, 2],
      ],
    },
    false,
  );
});
