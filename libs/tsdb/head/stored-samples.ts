/**
 * Samples of one series as they are stored, floats and histograms, ascending by time: what is held of out-of-order
 * samples, and what chunks that overlap or lost samples to a deletion are unpacked to and packed from again.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import type { Histogram } from "#libs/model/histogram.ts";
import { CODECS } from "../chunk/codecs.ts";
import { type Chunk, ENCODING } from "../chunk/encoding.ts";
import { HistogramAppender } from "../chunk/histogram-append.ts";
import { appendXor, emptyXorState, XOR_SAMPLE_BYTES_MAX } from "../chunk/xor.ts";
import { Xor2Appender } from "../chunk/xor2.ts";
import { histogramEncoding } from "./open-histogram.ts";

export class StoredSamples {
  length = 0;
  times: Float64Array;
  /** The value of float i is words 2i (low) and 2i + 1. */
  words: Int32Array;
  /** Start timestamps, 0 unknown. */
  starts: Float64Array;
  /** Sparse: undefined for a float. */
  histograms: (Histogram | undefined)[] = [];
  /** Samples of which nothing is known about the one before: a histogram chunk begins there. */
  breaks: Set<number> | undefined;

  constructor(capacity = 4) {
    this.times = new Float64Array(capacity);
    this.words = new Int32Array(2 * capacity);
    this.starts = new Float64Array(capacity);
  }

  get mint(): number {
    return this.times[0]!;
  }

  get maxt(): number {
    return this.times[this.length - 1]!;
  }

  /** Appends a sample later than all. */
  push(time: number, low: number, high: number, histogram: Histogram | undefined, start: number): void {
    if (this.length === this.times.length) this.#grow();
    this.#set(this.length++, time, low, high, histogram, start);
  }

  /** Inserts a sample in its place. @returns false, and nothing changes, when there is one at this time. */
  insert(time: number, low: number, high: number, histogram: Histogram | undefined, start: number): boolean {
    let at = this.length;
    while (at > 0 && this.times[at - 1]! > time) at--;
    if (at > 0 && this.times[at - 1] === time) return false;
    if (this.length === this.times.length) this.#grow();
    this.times.copyWithin(at + 1, at, this.length);
    this.words.copyWithin(2 * at + 2, 2 * at, 2 * this.length);
    this.starts.copyWithin(at + 1, at, this.length);
    this.histograms.splice(at, 0, undefined);
    this.length++;
    this.#set(at, time, low, high, histogram, start);
    return true;
  }

  #set(i: number, time: number, low: number, high: number, histogram: Histogram | undefined, start: number): void {
    this.times[i] = time;
    this.words[2 * i] = low;
    this.words[2 * i + 1] = high;
    this.starts[i] = start;
    this.histograms[i] = histogram;
  }

  #grow(): void {
    const grown = <T extends Float64Array | Int32Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.times = grown(this.times, new Float64Array(2 * this.times.length));
    this.words = grown(this.words, new Int32Array(2 * this.words.length));
    this.starts = grown(this.starts, new Float64Array(2 * this.starts.length));
  }

  clone(): StoredSamples {
    const copy = new StoredSamples(Math.max(1, this.length));
    for (let i = 0; i < this.length; i++) copy.pushFrom(this, i);
    return copy;
  }

  pushFrom(other: StoredSamples, i: number): void {
    this.push(other.times[i]!, other.words[2 * i]!, other.words[2 * i + 1]!, other.histograms[i], other.starts[i]!);
  }

  /** Packs samples [from, to) into chunks of at most `countMax`, one kind each. */
  toChunks(from: number, to: number, countMax: number, withStarts: boolean): Chunk[] {
    const chunks: Chunk[] = [];
    for (let i = from; i < to;) {
      const histogram = this.histograms[i];
      i =
        histogram === undefined
          ? this.#packFloats(i, to, countMax, withStarts, chunks)
          : this.#packHistograms(i, to, countMax, histogramEncoding(histogram, withStarts), withStarts, chunks);
    }
    return chunks;
  }

  #packFloats(from: number, limit: number, countMax: number, withStarts: boolean, chunks: Chunk[]): number {
    let to = from;
    while (to < limit && to - from < countMax && this.histograms[to] === undefined) to++;
    let data: Uint8Array;
    if (withStarts) {
      const appender = new Xor2Appender();
      for (let i = from; i < to; i++)
        appender.append(this.starts[i]!, this.times[i]!, this.words[2 * i]!, this.words[2 * i + 1]!);
      data = appender.bytes().slice();
    } else {
      const state = emptyXorState(new Uint8Array(2 + (to - from) * XOR_SAMPLE_BYTES_MAX));
      for (let i = from; i < to; i++) appendXor(state, this.times[i]!, this.words[2 * i]!, this.words[2 * i + 1]!);
      data = state.bytes.slice(0, (state.bitAt + 7) >>> 3);
      data[0] = (to - from) >>> 8;
      data[1] = to - from;
    }
    const encoding = withStarts ? ENCODING.XOR2 : ENCODING.XOR;
    chunks.push({ mint: this.times[from]!, maxt: this.times[to - 1]!, encoding, data });
    return to;
  }

  /** Until the chunk is full or the next sample does not go into it. */
  #packHistograms(
    from: number,
    limit: number,
    countMax: number,
    encoding: number,
    withStarts: boolean,
    chunks: Chunk[],
  ): number {
    const appender = new HistogramAppender(encoding);
    let mint = this.times[from]!;
    let i = from;
    let count = 0;
    for (; i < limit && count < countMax; i++) {
      const histogram = this.histograms[i];
      if (histogram === undefined || histogramEncoding(histogram, withStarts) !== encoding) break;
      if (i > from && this.breaks?.has(i) === true) break;
      const before = appender.chunk;
      if (appender.append(this.starts[i]!, this.times[i]!, histogram) === "new chunk") {
        chunks.push({ mint, maxt: this.times[i - 1]!, encoding, data: before!.bytes().slice() });
        mint = this.times[i]!;
        count = 0;
      }
      count++;
    }
    chunks.push({ mint, maxt: this.times[i - 1]!, encoding, data: appender.chunk!.bytes().slice() });
    return i;
  }
}

const columns = new SampleColumns();

/** The samples of a chunk. @throws CorruptionError, naming `where`. */
export function unpackChunk({ encoding, data }: Chunk, where: string): StoredSamples {
  const codec = CODECS[encoding];
  if (codec === undefined) throw new CorruptionError(where, 0, `a chunk of encoding ${encoding}`);
  if (codec.kind === "histogram") {
    const samples = new StoredSamples(32);
    for (const { start, time, histogram } of codec.decode(data, 0, data.length, where))
      samples.push(time, 0, 0, histogram, start);
    return samples;
  }
  columns.clear();
  codec.decode(data, 0, data.length, columns, where);
  const samples = new StoredSamples(Math.max(1, columns.length));
  samples.length = columns.length;
  samples.times.set(columns.times.subarray(0, columns.length));
  samples.words.set(columns.words.subarray(0, 2 * columns.length));
  if (columns.starts !== undefined) samples.starts.set(columns.starts.subarray(0, columns.length));
  samples.histograms.length = columns.length;
  return samples;
}

/**
 * The samples of all lists; of several at one time the first list's. Each list ascends. What a histogram says of its
 * counter refers to the sample before it in its list: where another list's comes between, there is a break.
 */
export function mergeSamples(lists: readonly StoredSamples[]): StoredSamples {
  if (lists.length === 1) return lists[0]!;
  const merged = new StoredSamples(
    Math.max(
      1,
      lists.reduce((sum, list) => sum + list.length, 0),
    ),
  );
  const at = new Uint32Array(lists.length);
  const breaks = (merged.breaks = new Set());
  let last = -1;
  for (;;) {
    let next = -1;
    let time = Infinity;
    for (let k = 0; k < lists.length; k++) {
      const list = lists[k]!;
      if (at[k]! < list.length && list.times[at[k]!]! < time) {
        time = list.times[at[k]!]!;
        next = k;
      }
    }
    if (next < 0) return merged;
    if (next !== last) breaks.add(merged.length);
    last = next;
    merged.pushFrom(lists[next]!, at[next]!);
    for (let k = 0; k < lists.length; k++) if (lists[k]!.times[at[k]!] === time && at[k]! < lists[k]!.length) at[k]!++;
  }
}
