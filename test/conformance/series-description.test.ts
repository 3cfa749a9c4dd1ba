/** Series descriptions as Prometheus's parser reads them: its own cases. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { messageOf } from "#libs/kit/errors.ts";
import { RESET_HINT } from "#libs/model/histogram.ts";
import { labelsToObject } from "#libs/model/labels.ts";
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import { parseSeriesDescription, type SequenceValue } from "#libs/promql/promqltest/series-description.ts";
import { CONFORMANCE, describeShared } from "../support/shared.ts";

const CASES = join(CONFORMANCE, "parser_cases.json");

type ListedValue = number | "OMITTED" | { Histogram: null; Omitted: boolean; Value: number };

interface ListedHistogram {
  Schema?: number;
  Sum?: number;
  Count?: number;
  ZeroCount?: number;
  ZeroThreshold?: number;
  CounterResetHint?: keyof typeof HINTS;
  PositiveSpans?: { Offset: number; Length: number }[];
  NegativeSpans?: { Offset: number; Length: number }[];
  PositiveBuckets?: number[];
  NegativeBuckets?: number[];
}

interface Cases {
  series_descriptions: {
    input: string;
    fail?: boolean;
    expectedMetric?: Record<string, string>;
    expectedValues?: ListedValue[];
  }[];
  series_descriptions_named: {
    name: string;
    input?: string;
    expectError?: string;
    expectedLabels?: Record<string, string>;
    expectedValues?: ListedValue[];
  }[];
  histogram_series: { name: string; input: string; expected?: ListedHistogram[]; expectedError?: string }[];
}

const HINTS = {
  UnknownCounterReset: RESET_HINT.UNKNOWN,
  CounterReset: RESET_HINT.RESET,
  NotCounterReset: RESET_HINT.NOT_RESET,
  GaugeType: RESET_HINT.GAUGE,
};

const cases: Cases = existsSync(CASES)
  ? (JSON.parse(readFileSync(CASES, "utf8")) as Cases)
  : { series_descriptions: [], series_descriptions_named: [], histogram_series: [] };

function valueOf(listed: ListedValue): SequenceValue {
  if (listed === "OMITTED") return { kind: "omitted" };
  return { kind: "float", value: typeof listed === "number" ? listed : listed.Value };
}

function histogramOf(listed: ListedHistogram): NativeHistogram {
  const h = new NativeHistogram();
  h.schema = listed.Schema ?? 0;
  h.sum = listed.Sum ?? 0;
  h.count = listed.Count ?? 0;
  h.zeroCount = listed.ZeroCount ?? 0;
  h.zeroThreshold = listed.ZeroThreshold ?? 0;
  h.counterResetHint = HINTS[listed.CounterResetHint ?? "UnknownCounterReset"];
  h.positiveSpans = (listed.PositiveSpans ?? []).map(({ Offset, Length }) => [Offset, Length]);
  h.negativeSpans = (listed.NegativeSpans ?? []).map(({ Offset, Length }) => [Offset, Length]);
  h.positive = Float64Array.from(listed.PositiveBuckets ?? []);
  h.negative = Float64Array.from(listed.NegativeBuckets ?? []);
  return h;
}

function errorOf(input: string): string {
  try {
    parseSeriesDescription(input);
  } catch (error) {
    return messageOf(error);
  }
  return "no error";
}

describeShared("series descriptions", CASES, () => {
  test("are all there", () => {
    expect(cases.series_descriptions.length).toBe(23);
    expect(cases.series_descriptions_named.length).toBe(6);
    expect(cases.histogram_series.length).toBe(25);
  });

  describe("of floats", () => {
    for (const { input, fail, expectedMetric, expectedValues } of cases.series_descriptions) {
      test(input, () => {
        if (fail === true) {
          expect(errorOf(input)).toContain("parse error: ");
          return;
        }
        const { labels, values } = parseSeriesDescription(input);
        expect({ ...labelsToObject(labels) }).toEqual(expectedMetric);
        expect(values).toEqual(expectedValues!.map(valueOf));
      });
    }
  });

  describe("of names and labels", () => {
    for (const { name, input = "", expectError, expectedLabels, expectedValues } of cases.series_descriptions_named) {
      test(name, () => {
        if (expectError !== undefined) {
          expect(errorOf(input)).toContain(expectError);
          return;
        }
        const { labels, values } = parseSeriesDescription(input);
        expect({ ...labelsToObject(labels) }).toEqual(expectedLabels);
        expect(values).toEqual(expectedValues!.map(valueOf));
      });
    }
  });

  describe("of histograms", () => {
    for (const { name, input, expected, expectedError } of cases.histogram_series) {
      test(name, () => {
        if (expectedError !== undefined) {
          expect(errorOf(input)).toContain(expectedError);
          return;
        }
        const { labels, values } = parseSeriesDescription(input);
        expect(labels).toEqual([]);
        expect(values).toEqual(
          expected!.map((listed) => ({
            kind: "histogram",
            histogram: histogramOf(listed),
            hintGiven: input.includes("counter_reset_hint"),
          })),
        );
      });
    }
  });
});
