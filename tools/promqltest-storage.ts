/**
 * The storage behind scripts: series in chunks as our head writes them with start timestamps on, decoded for every
 * query. Floats are in XOR2 chunks, histograms in floathistogramST chunks; a chunk ends after 120 samples, where the
 * kind of sample changes, and where the histograms ask for it.
 */
import { isDeepStrictEqual } from "node:util";
import { BadRequestError } from "#libs/kit/errors.ts";
import { type Histogram, wordsOf } from "#libs/model/histogram.ts";
import { compareLabels, formatLabels, type Labels, labelsKey, labelValue } from "#libs/model/labels.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { NativeHistogram, storedHistogram } from "#libs/model/native-histogram.ts";
import { setStale } from "#libs/model/stale.ts";
import type { ScriptStorage } from "#libs/promql/promqltest/run.ts";
import type { LoadedSample, LoadedSeries } from "#libs/promql/promqltest/script.ts";
import type { QueryStorage, SelectRequest, SeriesBatch } from "#libs/promql/storage.ts";
import { decodeChunk } from "#libs/tsdb/chunk/decode.ts";
import { type Chunk, ENCODING } from "#libs/tsdb/chunk/encoding.ts";
import { HistogramAppender } from "#libs/tsdb/chunk/histogram-append.ts";
import { Xor2Appender } from "#libs/tsdb/chunk/xor2.ts";

const SAMPLES_PER_CHUNK = 120;

export class ChunkStorage implements ScriptStorage {
  #series = new Map<string, ChunkSeries>();

  clear(): Promise<void> {
    this.#series = new Map();
    return Promise.resolve();
  }

  append({ labels, samples }: LoadedSeries): void {
    if (samples.length === 0) return;
    const key = labelsKey(labels);
    let series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, (series = new ChunkSeries(labels)));
    for (const sample of samples) series.append(sample);
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.clear();
  }

  queryable(): QueryStorage {
    const series = [...this.#series.values()].sort((a, b) => compareLabels(a.labels, b.labels));
    return { select: (request) => select(series, request) };
  }
}

// oxlint-disable-next-line typescript/require-await -- the contract is asynchronous, this storage is not
async function* select(
  series: readonly ChunkSeries[],
  { matchers, mint, maxt }: SelectRequest,
): AsyncGenerator<SeriesBatch> {
  const compiled = matchers.map(createMatcher);
  const found = series.filter(
    ({ labels, chunks }) =>
      compiled.every((matcher) => matcher.matches(labelValue(labels, matcher.name))) &&
      chunks().some((chunk) => overlaps(chunk, mint, maxt)),
  );
  let at = -1;
  yield {
    next: () => ++at < found.length,
    labels: () => found[at]!.labels,
    samples: (columns) => {
      const { labels, chunks } = found[at]!;
      for (const chunk of chunks()) {
        if (!overlaps(chunk, mint, maxt)) continue;
        decodeChunk(chunk.encoding, chunk.data, 0, chunk.data.length, columns, formatLabels(labels));
      }
    },
  };
}

function overlaps(chunk: Chunk, mint: number, maxt: number): boolean {
  return chunk.mint <= maxt && chunk.maxt >= mint;
}

/** The stale marker alone. */
const STALE = new Float64Array(1);
setStale(wordsOf(STALE), 0);

class ChunkSeries {
  readonly labels: Labels;
  readonly #full: Chunk[] = [];
  /** The open chunk is one of these. */
  #floats: Xor2Appender | undefined;
  #histograms: HistogramAppender | undefined;
  #mint = 0;
  #last: LoadedSample | undefined;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  append(sample: LoadedSample): void {
    const { startMs, timeMs, value } = sample;
    const last = this.#last;
    if (last !== undefined && timeMs <= last.timeMs) {
      if (timeMs === last.timeMs && isDeepStrictEqual(value, last.value)) return;
      throw new BadRequestError(
        `${formatLabels(this.labels)}: a sample at ${timeMs} ms behind one at ${last.timeMs} ms`,
      );
    }
    if (value.kind === "histogram") this.#appendHistogram(startMs, timeMs, storedHistogram(value.histogram));
    // A series of histograms ends with a histogram.
    else if (value.kind === "stale" && this.#histograms !== undefined) {
      this.#appendHistogram(startMs, timeMs, { ...storedHistogram(new NativeHistogram()), sum: STALE });
    } else this.#appendFloat(startMs, timeMs, value.kind === "stale" ? STALE : Float64Array.of(value.value));
    this.#last = sample;
  }

  /** By time. The open one is the last, and its bytes shared. */
  readonly chunks = (): readonly Chunk[] => {
    const open = this.#openChunk();
    return open === undefined ? this.#full : [...this.#full, open];
  };

  #openChunk(): Chunk | undefined {
    const encoding = this.#floats === undefined ? ENCODING.FLOAT_HISTOGRAM_ST : ENCODING.XOR2;
    const data = this.#floats?.bytes() ?? this.#histograms?.chunk?.bytes();
    return data && { mint: this.#mint, maxt: this.#last!.timeMs, encoding, data };
  }

  /** Ends the open chunk; the next one begins at `mint`. */
  #cut(mint: number): void {
    const open = this.#openChunk();
    if (open !== undefined) this.#full.push(open);
    this.#floats = undefined;
    this.#histograms = undefined;
    this.#mint = mint;
  }

  #appendFloat(start: number, time: number, value: Float64Array): void {
    if (this.#floats === undefined || this.#floats.count === SAMPLES_PER_CHUNK) {
      this.#cut(time);
      this.#floats = new Xor2Appender();
    }
    const [low, high] = wordsOf(value);
    this.#floats.append(start, time, low!, high!);
  }

  #appendHistogram(start: number, time: number, histogram: Histogram): void {
    const before = this.#histograms;
    if (before === undefined || before.chunk?.count === SAMPLES_PER_CHUNK) {
      this.#cut(time);
      this.#histograms = new HistogramAppender(ENCODING.FLOAT_HISTOGRAM_ST);
      this.#histograms.append(start, time, histogram, before);
      return;
    }
    const open = this.#openChunk();
    if (before.append(start, time, histogram) === "new chunk") {
      this.#full.push(open!);
      this.#mint = time;
    }
  }
}
