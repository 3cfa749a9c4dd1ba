import { describe, expect, test } from "vitest";
import { SampleColumns } from "#libs/model/columns.ts";
import { CUSTOM_SCHEMA, RESET_HINT } from "#libs/model/histogram.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { histogramOf, type PlainHistogram } from "#libs/model/native-histogram/testing.ts";
import { formatHistogramLiteral } from "#libs/model/native-histogram/text.ts";
import { histogramRate, instantHistogram, type RateNote, startsAnew } from "./native-rate.ts";

const counter = (...positive: number[]): NativeHistogram =>
  histogramOf({ sum: 2 * positive[0]!, positiveSpans: [[0, positive.length]], positive });
const custom = (plain: PlainHistogram): NativeHistogram => histogramOf({ schema: CUSTOM_SCHEMA, ...plain });

function columnsOf(...histograms: (NativeHistogram | undefined)[]): SampleColumns {
  const columns = new SampleColumns();
  histograms.forEach((h, i) => columns.addHistogram(1000 * (i + 1), h!));
  return columns;
}

function check(
  name: string,
  columns: SampleColumns,
  isCounter: boolean,
  expected: string | undefined,
  ...notes: RateNote[]
): void {
  test(name, () => {
    const rate = histogramRate(columns, 0, columns.length, isCounter);
    expect(rate.histogram && formatHistogramLiteral(rate.histogram)).toBe(expected);
    expect([...rate.notes]).toEqual(notes);
  });
}

describe("increase", () => {
  check(
    "the last less the first, without what stayed",
    columnsOf(counter(1, 2, 3), counter(2, 2, 4), counter(3, 2, 8)),
    true,
    "{{count:7 sum:4 counter_reset_hint:gauge buckets:[2 0 5]}}",
  );
  check(
    "and what there was before a reset",
    columnsOf(counter(5), counter(7), counter(1), counter(2)),
    true,
    "{{count:4 sum:8 counter_reset_hint:gauge buckets:[4]}}",
  );
  check(
    "the first counts as empty if the second was reset",
    columnsOf(counter(5), custom({ customValues: [1], positiveSpans: [[0, 1]], positive: [2] })),
    true,
    "{{schema:-53 count:2 custom_values:[1] counter_reset_hint:gauge buckets:[2]}}",
  );
  check(
    "in the lowest schema of the window",
    columnsOf(
      histogramOf({ schema: 1, positiveSpans: [[1, 2]], positive: [1, 1] }),
      histogramOf({ schema: 0, positiveSpans: [[1, 1]], positive: [3] }),
      histogramOf({ schema: 1, positiveSpans: [[1, 2]], positive: [2, 4], counterResetHint: RESET_HINT.NOT_RESET }),
    ),
    true,
    "{{count:4 counter_reset_hint:gauge offset:1 buckets:[4]}}",
  );
  const gauge = histogramOf({ counterResetHint: RESET_HINT.GAUGE });
  check("of gauges", columnsOf(gauge, gauge), true, "{{counter_reset_hint:gauge}}", "not-counter");
  check("of floats too", columnsOf(counter(1), undefined), true, undefined, "mixed-samples");
  check(
    "of other buckets that were not reset",
    columnsOf(counter(1), custom({ customValues: [1], counterResetHint: RESET_HINT.NOT_RESET })),
    true,
    undefined,
    "mixed-schemas",
  );
  test("start timestamps say that a counter began anew, or overlap", () => {
    const anew = columnsOf(counter(1), counter(2), counter(3));
    anew.withStarts().set([500, 500, 2500]);
    expect(formatHistogramLiteral(histogramRate(anew, 0, 3, true).histogram!)).toBe(
      "{{count:4 sum:8 counter_reset_hint:gauge buckets:[4]}}",
    );
    const overlapping = columnsOf(counter(1), counter(2));
    overlapping.withStarts().set([500, 600]);
    expect([...histogramRate(overlapping, 0, 2, true).notes]).toEqual(["start-overlap"]);
  });
});

describe("delta", () => {
  check(
    "of counters, the first and the last only",
    columnsOf(counter(5), counter(1), counter(2)),
    false,
    "{{count:-3 sum:-6 counter_reset_hint:gauge buckets:[-3]}}",
    "not-gauge",
  );
});

describe("of the last two", () => {
  test("irate takes the last after a reset", () => {
    const { histogram, notes } = instantHistogram(counter(5), counter(3), true, false);
    expect([formatHistogramLiteral(histogram!), ...notes]).toEqual([
      "{{count:3 sum:6 counter_reset_hint:gauge buckets:[3]}}",
    ]);
  });
  test("idelta does not look for one", () => {
    const { histogram, notes } = instantHistogram(counter(5), counter(3), false, false);
    expect([formatHistogramLiteral(histogram!), ...notes]).toEqual([
      "{{count:-2 sum:-4 counter_reset_hint:gauge buckets:[-2]}}",
      "not-gauge",
    ]);
  });
});

describe("a start timestamp says that a counter began anew", () => {
  const startCheck = (name: string, args: [number, number, number, number], expected: boolean): void =>
    test(name, () => expect(startsAnew(...args)).toBe(expected));
  startCheck("after the sample before", [100, 1000, 1500, 2000], true);
  startCheck("no: the same start", [100, 1000, 100, 2000], false);
  startCheck("no: unknown", [100, 1000, 0, 2000], false);
  startCheck("no: at its own sample", [100, 1000, 2000, 2000], false);
  startCheck("at the sample before, as deltas do", [500, 1000, 1000, 2000], true);
  startCheck("no: at the sample before, whose start is unknown", [0, 1000, 1000, 2000], false);
  startCheck("no: at the sample before, whose start is its own time", [1000, 1000, 1000, 2000], false);
});
