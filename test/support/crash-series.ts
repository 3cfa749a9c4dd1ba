/**
 * What the writer of `crash-writer.ts` sends, by the number of the request, so that who reads it back knows every sample
 * from its series and time alone.
 */
import type { Histogram } from "#libs/model/histogram.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { HeadOptions } from "#libs/tsdb/head/state.ts";
import type { Death } from "./dying-fs.ts";

export const START = 1_699_999_200_000;
export const STEP_MS = 1000;
export const RANGE_MS = 60_000;
const LATE_MS = 45_000;
const FLOATS = 4;

export const STORE_OPTIONS: Omit<HeadOptions, "minValidTime" | "log"> = {
  rangeMs: RANGE_MS,
  outOfOrderMs: LATE_MS,
  seriesMax: 100_000,
  exemplarsMax: 1000,
  seed: 1,
  segmentBytes: 48 * 1024,
};

/** How much later than the newest they come; some land in what is in a block already. */
const LATENESS_MS = [10_500, 40_125];

export const at = (request: number): number => START + request * STEP_MS;

export interface CrashSample {
  readonly labels: Labels;
  readonly time: number;
  readonly value: number | Histogram;
  /** Its start timestamp. */
  readonly start?: number;
}

/** Labels of a series; `kind` says what it is sent. */
export function labelsOf(kind: string, series: string): Labels {
  return ["__name__", "crash", "kind", kind, "series", series];
}

export const FLOAT_SERIES: readonly Labels[] = Array.from({ length: FLOATS }, (_, k) => labelsOf("float", String(k)));

/** The samples of request `i`, in the order they are appended. */
export function samplesOf(i: number): CrashSample[] {
  const time = at(i);
  const samples: CrashSample[] = FLOAT_SERIES.map((labels) => ({ labels, time, value: i }));
  samples.push({ labels: labelsOf("histogram", "int"), time, value: intHistogram(i) });
  samples.push({ labels: labelsOf("histogram", "float"), time, value: floatHistogram(i) });
  // Each chunk of it ends after a few samples.
  samples.push({ labels: labelsOf("mixed", "0"), time, value: i % 8 < 4 ? i : intHistogram(i) });
  // It begins anew every eight samples; of some the start is unknown.
  const start = i % 20 === 3 ? 0 : at(i - (i % 8)) - 1;
  samples.push({ labels: labelsOf("started", "float"), time, value: i, start });
  samples.push({ labels: labelsOf("started", "histogram"), time, value: intHistogram(i), start });
  if (i % 10 === 0) samples.push({ labels: labelsOf("short-lived", String(i)), time, value: i });
  // A record of several pages.
  if (i % 50 === 49)
    for (let k = 0; k < 40; k++)
      samples.push({ labels: labelsOf("big", `${i} ${k} ${"x".repeat(1000)}`), time, value: i });
  for (const lateness of LATENESS_MS) {
    if (i * STEP_MS < lateness + STEP_MS) continue;
    samples.push({ labels: labelsOf("late", "float"), time: time - lateness, value: i, start });
    samples.push({ labels: labelsOf("late", "histogram"), time: time - lateness, value: intHistogram(i), start });
  }
  // Behind it the others are late.
  samples.push({ labels: labelsOf("late", "float"), time, value: i });
  samples.push({ labels: labelsOf("late", "histogram"), time, value: intHistogram(i) });
  return samples;
}

/** What a reader gets for a sample: value, of a histogram its buckets, and start timestamp. */
export function seenSample({ value, start = 0 }: CrashSample): string {
  return shown(typeof value === "number" ? value : Array.from(value.positive, Number), start);
}

export function shown(value: unknown, start = 0): string {
  return start === 0 ? String(value) : `${String(value)} since ${start}`;
}

function intHistogram(i: number): Histogram {
  return {
    ...shape(i),
    isFloat: false,
    count: BigInt(3 * i),
    zeroCount: 0n,
    positive: BigInt64Array.of(BigInt(i), BigInt(2 * i)),
    negative: new BigInt64Array(0),
  };
}

function floatHistogram(i: number): Histogram {
  return {
    ...shape(i),
    isFloat: true,
    totals: Float64Array.of(1.5 * i, 0),
    positive: Float64Array.of(i / 2, i),
    negative: new Float64Array(0),
  };
}

function shape(i: number) {
  return {
    schema: 0,
    zeroThreshold: 0.001,
    counterResetHint: 0,
    positiveSpans: [[0, 2]],
    negativeSpans: [],
    customValues: new Float64Array(0),
    sum: Float64Array.of(i),
  } as const;
}

/** An exemplar goes with every tenth request, with the first float series. */
export const hasExemplar = (i: number): boolean => i % 10 === 5;
/** What the metric is said to be changes with every tenth request. */
export const hasMetadata = (i: number): boolean => i % 10 === 7;

/** A deletion of samples in [mint, maxt] of a series. */
export interface Deletion {
  readonly labels: Labels;
  readonly mint: number;
  readonly maxt: number;
}

/** What is deleted behind request `i`: of a young series, then of one that is in blocks. */
export function deletionsAfter(i: number): Deletion[] {
  if (i % 30 !== 29) return [];
  return [20, 110].map((age, k) => ({
    labels: FLOAT_SERIES[(Math.floor(i / 30) + k) % FLOATS]!,
    mint: at(i - age),
    maxt: at(i - age + 4),
  }));
}

/** What the writer notes, one JSON array a line; what is in the notes happened before anything after it. */
export type Note =
  | readonly ["sent" | "acknowledged", request: number]
  | readonly ["deleting" | "deleted", Deletion]
  | readonly ["dropping" | "dropped", ulid: string, maxTime: number]
  | readonly ["cut", ulid: string]
  | readonly ["merging" | "merged", ulid: string, sources: readonly string[]]
  | readonly ["died", point: string]
  | readonly ["ended"];

/** What a writer is told. */
export interface Life {
  readonly folder: string;
  readonly notes: string;
  /** The first request, and how many. */
  readonly first: number;
  readonly count: number;
  readonly death?: Death | undefined;
}
