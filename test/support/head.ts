/** A head in a temporary folder, what is appended to it and what a reader sees. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { type Histogram, isStaleHistogram, type ResetHint, RESET_HINT, type Span } from "#libs/model/histogram.ts";
import { createMatcher, type MatcherSpec } from "#libs/model/matcher.ts";
import { isStale } from "#libs/model/stale.ts";
import { Head, type Outcome } from "#libs/tsdb/head/head.ts";
import type { HeadOptions } from "#libs/tsdb/head/state.ts";
import { unpackChunk } from "#libs/tsdb/head/stored-samples.ts";
import type { SeriesFrame } from "#libs/tsdb/series/frame.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";

/** A block's border. */
export const T0 = 1_699_999_200_000;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** A folder that the running test leaves nothing of. */
export function headFolder(parent: string = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "cairn-head-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function openHead(folder: string, options: Partial<HeadOptions> = {}): Head {
  return Head.open(folder, {
    rangeMs: 2 * HOUR,
    seriesMax: 100_000,
    seed: 1,
    minValidTime: -Infinity,
    log: silentLog(),
    ...options,
  });
}

export function wordsOfFloat(value: number): [number, number] {
  const view = new Int32Array(Float64Array.of(value).buffer);
  return [view[0]!, view[1]!];
}

/** The stale marker, in place of a value. */
export const STALE = Symbol("stale");

/** `start`: a start timestamp. */
export type TestSample = readonly [time: number, value: number | Histogram | typeof STALE, start?: number];

/** One request with samples of one series. */
export function append(head: Head, labels: readonly string[], samples: readonly TestSample[]): Outcome[] {
  head.begin();
  const slot = head.getOrCreate(labels);
  const outcomes = samples.map(([time, value, start]) => {
    if (value === STALE) return head.append(slot, time, 2, 0x7ff00000, start);
    if (typeof value === "number") return head.append(slot, time, ...wordsOfFloat(value), start);
    return head.appendHistogram(slot, time, value, start);
  });
  head.commit();
  return outcomes;
}

/** An integer histogram of schema 0. */
export function intHistogram(
  spans: readonly Span[],
  counts: readonly number[],
  hint: ResetHint = RESET_HINT.UNKNOWN,
): Histogram {
  return {
    isFloat: false,
    schema: 0,
    zeroThreshold: 0.001,
    counterResetHint: hint,
    count: BigInt(counts.reduce((sum, count) => sum + count, 0)),
    zeroCount: 0n,
    sum: Float64Array.of(counts.length),
    positiveSpans: spans,
    negativeSpans: [],
    positive: BigInt64Array.from(counts, BigInt),
    negative: new BigInt64Array(0),
    customValues: new Float64Array(0),
  };
}

/** Of each sample its time, its value, a float, `stale`, or a histogram's buckets, and its start timestamp if it has one. */
export type SeenSample = readonly [time: number, value: number | string | readonly number[], start?: number];

export interface SeenSeries {
  /** Names and values in turn, as they are. */
  readonly pairs: readonly string[];
  readonly labels: string;
  readonly samples: readonly SeenSample[];
  readonly chunks: number;
}

const ALL: readonly MatcherSpec[] = [{ type: "=~", name: "__name__", value: ".+" }];

export async function read(
  head: Head,
  matchers: readonly MatcherSpec[] = ALL,
  mint = -Infinity,
  maxt = Infinity,
): Promise<SeenSeries[]> {
  const query = { matchers: matchers.map(createMatcher), mint, maxt, skipChunks: false, limit: 0 };
  return seen(head.frames(query, new AbortController().signal));
}

export async function seen(frames: AsyncIterable<SeriesFrame>): Promise<SeenSeries[]> {
  const out: SeenSeries[] = [];
  const reader = new FrameReader();
  for await (const frame of frames) {
    reader.enter(frame);
    while (reader.next()) {
      const samples: SeenSample[] = [];
      let maxt = -Infinity;
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++) {
        const chunk = reader.chunk(i);
        if (chunk.mint <= maxt) throw new Error(`chunks of ${reader.labels().join()} overlap`);
        maxt = chunk.maxt;
        const unpacked = unpackChunk(chunk, "head");
        const values = new Float64Array(unpacked.words.buffer);
        for (let k = 0; k < unpacked.length; k++) {
          const histogram = unpacked.histograms[k];
          const value =
            histogram === undefined
              ? isStale(unpacked.words, k)
                ? "stale"
                : values[k]!
              : isStaleHistogram(histogram)
                ? "stale histogram"
                : Array.from(histogram.positive, Number);
          const start = unpacked.starts[k]!;
          samples.push(start === 0 ? [unpacked.times[k]!, value] : [unpacked.times[k]!, value, start]);
        }
      }
      out.push({
        pairs: reader.labels(),
        labels: reader.labels().join(","),
        samples,
        chunks: reader.chunkTo - reader.chunkFrom,
      });
    }
  }
  return out;
}

/** The samples of the only series there is. */
export async function readOne(head: Head, mint?: number, maxt?: number): Promise<readonly SeenSample[]> {
  const series = await read(head, ALL, mint, maxt);
  if (series.length !== 1) throw new Error(`${series.length} series`);
  return series[0]!.samples;
}
