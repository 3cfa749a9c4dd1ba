import { describe, expect, test } from "vitest";
import { CUSTOM_SCHEMA, RESET_HINT, type ResetHint } from "../histogram.ts";
import { addHistograms, subtractHistograms } from "./add.ts";
import { histogramOf, type PlainHistogram } from "./testing.ts";
import { formatHistogramLiteral } from "./text.ts";

const add = (a: PlainHistogram, b: PlainHistogram): string =>
  formatHistogramLiteral(addHistograms(histogramOf(a), histogramOf(b))!.histogram);

describe("layouts", () => {
  test("buckets that one lacks are inserted", () => {
    const a = { sum: 1, positiveSpans: [[0, 2]], positive: [1, 2] } as const;
    const b = { sum: 2, positiveSpans: [[-1, 2]], positive: [4, 8], negativeSpans: [[3, 1]], negative: [5] } as const;
    expect(add(a, b)).toBe("{{count:20 sum:3 offset:-1 buckets:[4 9 2] n_offset:3 n_buckets:[5]}}");
  });
  test("spans of the first stay apart", () => {
    const a = histogramOf({
      positiveSpans: [
        [0, 1],
        [1, 1],
      ],
      positive: [1, 1],
    });
    const filled = addHistograms(a, histogramOf({ positiveSpans: [[1, 1]], positive: [1] }))!.histogram;
    expect(filled.positiveSpans).toEqual([
      [0, 2],
      [0, 1],
    ]);
  });
  test("the lower schema wins", () => {
    const fine = { schema: 1, positiveSpans: [[0, 4]], positive: [1, 2, 3, 4] } as const;
    const coarse = { schema: 0, positiveSpans: [[1, 1]], positive: [10] } as const;
    // (0.7, 1] is all of (0.5, 1]; (1, 1.4] and (1.4, 2] are (1, 2].
    expect(add(fine, coarse)).toBe("{{count:20 buckets:[1 15 4]}}");
    expect(add(coarse, fine)).toBe("{{count:20 buckets:[1 15 4]}}");
  });
});

describe("zero buckets", () => {
  test("grow to the larger, and on to the end of a populated bucket", () => {
    const narrow = {
      zeroThreshold: 1,
      zeroCount: 1,
      sum: 8,
      positiveSpans: [[1, 2]],
      positive: [1, 2],
    } as const;
    const wide = { zeroThreshold: 3, zeroCount: 5, sum: 30, positiveSpans: [[3, 1]], positive: [4] } as const;
    const both = "{{count:13 sum:38 z_bucket:9 z_bucket_w:4 offset:3 buckets:[4]}}";
    expect(add(narrow, wide)).toBe(both);
    expect(add(wide, narrow)).toBe(both);
  });
  test("cut an empty bucket", () => {
    const a = { zeroThreshold: 1, positiveSpans: [[1, 3]], positive: [2, 0, 3] } as const;
    expect(add(a, { zeroThreshold: 3 })).toBe("{{count:5 z_bucket:2 z_bucket_w:3 offset:3 buckets:[3]}}");
  });
});

describe("custom bounds", () => {
  const a = histogramOf({
    schema: CUSTOM_SCHEMA,
    customValues: [1, 2, 5],
    positiveSpans: [[0, 4]],
    positive: [1, 2, 3, 4],
  });
  const b = histogramOf({
    schema: CUSTOM_SCHEMA,
    customValues: [2, 3, 5],
    positiveSpans: [[0, 4]],
    positive: [5, 6, 7, 8],
  });
  test("that differ become those in both", () => {
    const { histogram, boundsReconciled } = addHistograms(a, b)!;
    expect(boundsReconciled).toBe(true);
    expect(formatHistogramLiteral(histogram)).toBe("{{schema:-53 count:36 custom_values:[2 5] buckets:[8 16 12]}}");
  });
  test("that are equal stay", () => expect(subtractHistograms(a, a)!.boundsReconciled).toBe(false));
  test("do not mix with exponential buckets", () => expect(addHistograms(a, histogramOf({}))).toBeUndefined());
});

describe("hints", () => {
  const { UNKNOWN, RESET, NOT_RESET, GAUGE } = RESET_HINT;
  const check = (a: ResetHint, b: ResetHint, expected: ResetHint, collides: boolean): void =>
    test(`${a} and ${b}`, () => {
      const sum = subtractHistograms(histogramOf({ counterResetHint: a }), histogramOf({ counterResetHint: b }))!;
      expect([sum.histogram.counterResetHint, sum.counterResetCollision]).toEqual([expected, collides]);
    });
  check(RESET, RESET, RESET, false);
  check(GAUGE, RESET, GAUGE, false);
  check(NOT_RESET, GAUGE, GAUGE, false);
  check(UNKNOWN, NOT_RESET, UNKNOWN, false);
  check(RESET, UNKNOWN, UNKNOWN, false);
  check(RESET, NOT_RESET, UNKNOWN, true);
});
