import { describe, expect, test } from "vitest";
import { CUSTOM_SCHEMA } from "../histogram.ts";
import type { NativeHistogram } from "../native-histogram.ts";
import { histogramOf } from "./testing.ts";
import { formatHistogramLiteral } from "./text.ts";
import { trimHistogram } from "./trim.ts";

const check = (h: NativeHistogram, bound: number, below: string, above: string): void =>
  test(`at ${bound}`, () => {
    expect(formatHistogramLiteral(trimHistogram(h, bound, true))).toBe(below);
    expect(formatHistogramLiteral(trimHistogram(h, bound, false))).toBe(above);
  });

// Expected texts are Prometheus's.
describe("custom buckets", () => {
  const h = histogramOf({
    schema: CUSTOM_SCHEMA,
    customValues: [10, 20],
    sum: 100,
    positiveSpans: [[0, 3]],
    positive: [7, 2, 1],
  });
  const custom = (text: string): string => `{{schema:-53 ${text}}}`;
  check(
    h,
    3,
    custom("count:2.1 sum:3.1500000000000004 custom_values:[10 20] buckets:[2.1]"),
    custom("count:7.8999999999999995 sum:81.85 custom_values:[10 20] buckets:[4.8999999999999995 2 1]"),
  );
  check(
    h,
    15,
    custom("count:8 sum:47.5 custom_values:[10 20] buckets:[7 1]"),
    custom("count:2 sum:37.5 custom_values:[10 20] offset:1 buckets:[1 1]"),
  );
  check(
    h,
    25,
    custom("count:9 sum:65 custom_values:[10 20] buckets:[7 2]"),
    custom("count:1 sum:25 custom_values:[10 20] offset:2 buckets:[1]"),
  );
  check(h, -1, custom("custom_values:[10 20]"), custom("count:3 sum:50 custom_values:[10 20] offset:1 buckets:[2 1]"));
});

describe("exponential buckets", () => {
  const h = histogramOf({
    zeroThreshold: 0.5,
    zeroCount: 4,
    sum: 20,
    positiveSpans: [[1, 2]],
    positive: [6, 4],
  });
  check(
    h,
    0.25,
    "{{count:2 sum:0.25 z_bucket:2 z_bucket_w:0.5}}",
    "{{count:12 sum:20.548989873223334 z_bucket:2 z_bucket_w:0.5 offset:1 buckets:[6 4]}}",
  );
  check(
    h,
    3,
    "{{count:12.339850002884624 sum:15.21671995595565 z_bucket:4 z_bucket_w:0.5 offset:1 buckets:[6 2.339850002884625]}}",
    "{{count:1.6601499971153748 sum:5.750928286378308 z_bucket_w:0.5 offset:2 buckets:[1.6601499971153748]}}",
  );
  test("it is itself where nothing is cut", () => expect(trimHistogram(h, 8, true)).toBe(h));
});
