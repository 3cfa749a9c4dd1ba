import { expect, test } from "vitest";
import { CUSTOM_SCHEMA, RESET_HINT } from "../histogram.ts";
import { histogramOf, type PlainHistogram } from "./testing.ts";
import { formatHistogram, formatHistogramLiteral } from "./text.ts";

const check = (name: string, plain: PlainHistogram, text: string, literal: string): void =>
  test(name, () => {
    const h = histogramOf(plain);
    expect([formatHistogram(h), formatHistogramLiteral(h)]).toEqual([text, literal]);
  });

check("empty", {}, "{count:0, sum:0}", "{{}}");
check(
  "both sides, and gaps written out in the literal",
  {
    schema: 1,
    zeroThreshold: 1e-7,
    zeroCount: 1234567,
    sum: -0.3,
    counterResetHint: RESET_HINT.NOT_RESET,
    positiveSpans: [
      [0, 2],
      [1, 1],
    ],
    positive: [0, 2.5, 4],
    negativeSpans: [[2, 1]],
    negative: [5],
  },
  "{count:1.2345785e+06, sum:-0.3, [-2,-1.414213562373095):5, [-1e-07,1e-07]:1.234567e+06, (1,1.414213562373095]:2.5, (2,2.82842712474619]:4}",
  "{{schema:1 count:1.2345785e+06 sum:-0.3 z_bucket:1.234567e+06 z_bucket_w:1e-07 counter_reset_hint:not_reset offset:1 buckets:[2.5 0 4] n_offset:2 n_buckets:[5]}}",
);
check(
  "custom bounds",
  { schema: CUSTOM_SCHEMA, customValues: [5, 1e6], sum: NaN, positiveSpans: [[0, 3]], positive: [1, 0, 2] },
  "{count:3, sum:NaN, [-Inf,5]:1, (1e+06,+Inf]:2}",
  "{{schema:-53 count:3 sum:NaN custom_values:[5 1e+06] buckets:[1 0 2]}}",
);
