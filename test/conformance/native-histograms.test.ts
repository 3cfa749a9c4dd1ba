/**
 * Operations on random histograms as Prometheus 3.14 does them, bit for bit. A line of the recording is
 * [operation, arguments, result]; floats are their bits in hexadecimal, so every NaN is written `nan` to compare.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { SampleColumns } from "#libs/model/columns.ts";
import { formatValue } from "#libs/model/float.ts";
import { RESET_HINT, type ResetHint, type Span } from "#libs/model/histogram.ts";
import { validateHistogram } from "#libs/model/histogram-validate.ts";
import { NativeHistogram, storedHistogram } from "#libs/model/native-histogram.ts";
import { addHistograms, type CombinedHistogram, subtractHistograms } from "#libs/model/native-histogram/add.ts";
import { forEachBucket, listBuckets } from "#libs/model/native-histogram/bounds.ts";
import { detectReset, equalHistograms } from "#libs/model/native-histogram/compare.ts";
import {
  compactHistogram,
  divideHistogram,
  hasOverflow,
  reduceSchema,
  samplesInHistogram,
  scaleHistogram,
} from "#libs/model/native-histogram/scale.ts";
import { HistogramSum } from "#libs/model/native-histogram/sum.ts";
import { histogramOf } from "#libs/model/native-histogram/testing.ts";
import { formatHistogram, formatHistogramLiteral } from "#libs/model/native-histogram/text.ts";
import { trimHistogram } from "#libs/model/native-histogram/trim.ts";
import { type Bucket, bucketFraction, bucketQuantile } from "#libs/promql/functions/histogram-quantile.ts";
import { nativeFraction, nativeQuantile } from "#libs/promql/functions/native-quantile.ts";
import { histogramRate, type HistogramRate, instantHistogram, startsAnew } from "#libs/promql/functions/native-rate.ts";
import { histogramDeviation, histogramVariance } from "#libs/promql/functions/native-variance.ts";
import { CONFORMANCE, describeShared } from "../support/shared.ts";

type Recorded = readonly [
  schema: number,
  hint: ResetHint,
  zeroThreshold: string,
  zeroCount: string,
  count: string,
  sum: string,
  positiveSpans: readonly Span[],
  positive: readonly string[],
  negativeSpans: readonly Span[],
  negative: readonly string[],
  customValues: readonly string[],
];

const float = new Float64Array(1);
const bits = new BigUint64Array(float.buffer);

function parse(text: string): number {
  bits[0] = BigInt(`0x${text}`);
  return float[0]!;
}

function write(value: number): string {
  float[0] = value;
  return Number.isNaN(value) ? "nan" : bits[0]!.toString(16);
}

function read([schema, hint, ...rest]: Recorded): NativeHistogram {
  const [zeroThreshold, zeroCount, count, sum, positiveSpans, positive, negativeSpans, negative, customValues] = rest;
  return Object.assign(new NativeHistogram(), {
    schema,
    counterResetHint: hint,
    zeroThreshold: parse(zeroThreshold),
    zeroCount: parse(zeroCount),
    count: parse(count),
    sum: parse(sum),
    positiveSpans,
    positive: Float64Array.from(positive, parse),
    negativeSpans,
    negative: Float64Array.from(negative, parse),
    customValues: Float64Array.from(customValues, parse),
  });
}

function record(h: NativeHistogram): Recorded {
  return [
    h.schema,
    h.counterResetHint,
    write(h.zeroThreshold),
    write(h.zeroCount),
    write(h.count),
    write(h.sum),
    h.positiveSpans,
    Array.from(h.positive, write),
    h.negativeSpans,
    Array.from(h.negative, write),
    Array.from(h.customValues, write),
  ];
}

/** Words of Prometheus's annotations by what our functions say. */
const NOTES = {
  "mixed-schemas": "mix of histograms with exponential and custom buckets",
  "not-counter": "not a counter",
  "not-gauge": "not a gauge",
  "start-overlap": "has start time that overlaps",
  "bounds-reconciled-add": "reconciled during addition",
  "bounds-reconciled-sub": "reconciled during subtraction",
  "bounds-reconciled": "reconciled during aggregation",
  collision: "conflicting counter resets during histogram aggregation",
  result: "result is NaN",
  skew: "skewed higher",
  excluded: "excluded from all fractions",
};

/** A result and what it says, with every note replaced by the words it stands for. */
function noted(result: unknown, notes: Iterable<string>): unknown {
  return { result, notes: Array.from(notes, (note) => NOTES[note as keyof typeof NOTES]).toSorted() };
}

function combined(sum: CombinedHistogram | undefined): unknown {
  return sum === undefined ? null : [record(sum.histogram), sum.counterResetCollision, sum.boundsReconciled];
}

function total(histograms: readonly NativeHistogram[], averages: boolean): unknown {
  const sum = new HistogramSum(averages);
  for (const h of histograms) sum.add(h);
  if (sum.incompatible) return noted(null, ["mixed-schemas"]);
  const notes = [
    ...(sum.boundsReconciled ? ["bounds-reconciled"] : []),
    ...(sum.counterResetCollision ? ["collision"] : []),
  ];
  return noted(record(averages ? sum.average() : sum.sum()), notes);
}

function rate({ histogram, notes }: HistogramRate): unknown {
  return noted(histogram === undefined ? null : record(histogram), notes);
}

type Samples = readonly [histograms: Recorded[], times: number[], starts: number[] | null];

function columnsOf([histograms, times, starts]: Samples): SampleColumns {
  const columns = new SampleColumns();
  times.forEach((time, i) => columns.addHistogram(time, read(histograms[i]!)));
  if (starts !== null) columns.withStarts().set(starts);
  return columns;
}

function instant(samples: Samples, isCounter: boolean): unknown {
  const { histograms, times, starts, length } = columnsOf(samples);
  const [i, j] = [length - 2, length - 1];
  const anew = starts !== undefined && startsAnew(starts[i]!, times[i]!, starts[j]!, times[j]!);
  const { histogram, notes } = instantHistogram(histograms![i]!, histograms![j]!, isCounter, anew);
  const seconds = (times[j]! - times[i]!) / 1000;
  return rate({ histogram: histogram && (isCounter ? divideHistogram(histogram, seconds) : histogram), notes });
}

const classicBuckets = (recorded: readonly (readonly [string, string])[]): Bucket[] =>
  recorded.map(([upperBound, count]) => ({ upperBound: parse(upperBound), count: parse(count) }));

function json(h: NativeHistogram): string {
  const buckets = listBuckets(h).map(({ boundary, lower, upper, count }) => [
    boundary,
    ...[lower, upper, count].map(formatValue),
  ]);
  return JSON.stringify({
    count: formatValue(h.count),
    sum: formatValue(h.sum),
    buckets: buckets.length > 0 ? buckets : undefined,
  });
}

/** By name; each takes the arguments of its recorded lines. */
const OPERATIONS: Readonly<Record<string, (...args: never[]) => unknown>> = {
  add: (a: Recorded, b: Recorded) => combined(addHistograms(read(a), read(b))),
  sub: (a: Recorded, b: Recorded) => combined(subtractHistograms(read(a), read(b))),
  mul: (h: Recorded, factor: string) => record(scaleHistogram(read(h), parse(factor))),
  div: (h: Recorded, divisor: string) => record(divideHistogram(read(h), parse(divisor))),
  compact: (h: Recorded) => record(compactHistogram(read(h))),
  reduce: (h: Recorded, schema: number) => record(reduceSchema(read(h), schema)),
  trim: (h: Recorded, bound: string, keepsLower: boolean) => record(trimHistogram(read(h), parse(bound), keepsLower)),
  equal: (a: Recorded, b: Recorded) => equalHistograms(read(a), read(b)),
  reset: (current: Recorded, previous: Recorded) => detectReset(read(current), read(previous)),
  overflow: (h: Recorded) => hasOverflow(read(h)),
  samples: (h: Recorded) => samplesInHistogram(read(h)),
  validate: (h: Recorded) => validateHistogram(storedHistogram(read(h))) ?? null,
  text: (h: Recorded) => [formatHistogram(read(h)), formatHistogramLiteral(read(h))],
  json: (h: Recorded) => json(read(h)),
  buckets: (h: Recorded) => {
    const buckets: unknown[] = [];
    forEachBucket(read(h), (lower, upper, count, lowerInclusive, upperInclusive) =>
      buckets.push([write(lower), write(upper), write(count), lowerInclusive, upperInclusive]),
    );
    return buckets;
  },
  quantile: (q: string, h: Recorded) => {
    const { value, nan } = nativeQuantile(parse(q), read(h));
    return noted(write(value), nan === "none" ? [] : [nan]);
  },
  fraction: (lower: string, upper: string, h: Recorded) => {
    const { value, nan } = nativeFraction(parse(lower), parse(upper), read(h));
    return noted(write(value), nan ? ["excluded"] : []);
  },
  variance: (h: Recorded) => [histogramVariance(read(h)), histogramDeviation(read(h))].map(write),
  sum_over_time: (histograms: Recorded[]) => total(histograms.map(read), false),
  avg_over_time: (histograms: Recorded[]) => total(histograms.map(read), true),
  increase: (...samples: Samples) => rate(histogramRate(columnsOf(samples), 0, samples[1].length, true)),
  delta: (...samples: Samples) => rate(histogramRate(columnsOf(samples), 0, samples[1].length, false)),
  irate: (...samples: Samples) => instant(samples, true),
  idelta: (...samples: Samples) => instant(samples, false),
  bucketQuantile: (q: string, buckets: [string, string][]) => {
    const fixed = { forced: false, minBucket: 0, maxBucket: 0, maxDiff: 0 };
    const value = bucketQuantile(parse(q), classicBuckets(buckets), fixed);
    return [write(value), fixed.forced ? [fixed.minBucket, fixed.maxBucket, fixed.maxDiff].map(write) : null];
  },
  bucketFraction: (lower: string, upper: string, buckets: [string, string][]) =>
    write(bucketFraction(parse(lower), parse(upper), classicBuckets(buckets))),
};
/* oxlint-enable typescript/no-explicit-any */

const NOTED = new Set([
  "quantile",
  "fraction",
  "sum_over_time",
  "avg_over_time",
  "increase",
  "delta",
  "irate",
  "idelta",
]);

/** What is recorded, in the form our operations answer in. */
function expected(operation: string, result: unknown): unknown {
  const plain: unknown = JSON.parse(JSON.stringify(result).replaceAll(/"[7f]ff[8-f][0-9a-f]{12}"/g, '"nan"'));
  if (!NOTED.has(operation)) return plain ?? (operation === "buckets" ? [] : null);
  const [value, annotations] = plain as [unknown, string[] | null];
  const said = (annotations ?? []).map((text) => Object.values(NOTES).find((words) => text.includes(words)) ?? text);
  // Prometheus answers with half a sum, which its engine drops.
  const refused = operation.endsWith("_over_time") && said.includes(NOTES["mixed-schemas"]);
  return { result: refused ? null : value, notes: said.toSorted() };
}

describe("operations on histograms", () => {
  const lines = readFileSync(resolve(import.meta.dirname, "../golden/native-histograms.ndjson"), "utf8")
    .trim()
    .split("\n");
  const recorded = lines.map((line) => JSON.parse(line) as [string, unknown[], unknown]);
  test("all are recorded", () =>
    expect([...new Set(recorded.map(([operation]) => operation))].toSorted()).toEqual(
      Object.keys(OPERATIONS).toSorted(),
    ));
  test.each(Object.keys(OPERATIONS))("%s", (name) => {
    for (const [operation, args, result] of recorded) {
      if (operation !== name) continue;
      expect(OPERATIONS[name]!(...(args as never[])), JSON.stringify(args)).toEqual(expected(operation, result));
    }
  });
});

interface GoHistogram {
  readonly Schema?: number;
  readonly CounterResetHint?: string;
  readonly ZeroThreshold?: number;
  readonly ZeroCount?: number;
  readonly Count?: number;
  readonly Sum?: number;
  readonly PositiveSpans?: readonly { readonly Offset?: number; readonly Length: number }[];
  readonly PositiveBuckets?: readonly number[];
  readonly NegativeSpans?: readonly { readonly Offset?: number; readonly Length: number }[];
  readonly NegativeBuckets?: readonly number[];
}

const CASES = join(CONFORMANCE, "parser_cases.json");

describeShared("literals of Prometheus's own tests", CASES, () => {
  const { histogram_test_expression: cases } = JSON.parse(readFileSync(CASES, "utf8")) as {
    histogram_test_expression: { name: string; input: GoHistogram; expected: string }[];
  };
  const spans = (of: GoHistogram["PositiveSpans"] = []): Span[] =>
    of.map(({ Offset, Length }) => [Offset ?? 0, Length] as const);
  test.each(cases)("$name", ({ input, expected: literal }) => {
    const h = histogramOf({
      schema: input.Schema ?? 0,
      counterResetHint: input.CounterResetHint === "CounterReset" ? RESET_HINT.RESET : RESET_HINT.UNKNOWN,
      zeroThreshold: input.ZeroThreshold ?? 0,
      zeroCount: input.ZeroCount ?? 0,
      count: input.Count ?? 0,
      sum: input.Sum ?? 0,
      positiveSpans: spans(input.PositiveSpans),
      positive: input.PositiveBuckets ?? [],
      negativeSpans: spans(input.NegativeSpans),
      negative: input.NegativeBuckets ?? [],
    });
    expect(formatHistogramLiteral(h)).toBe(literal);
  });
});
