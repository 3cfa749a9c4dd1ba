/**
 * Samples of one series as they are stored, floats and histograms, ascending by time: what is held of out-of-order
 * samples, and what chunks that overlap or lost samples to a deletion are unpacked to and packed from again.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import type { Histogram } from "#libs/model/histogram.ts";
import { CODECS } from "../chunk/codecs.ts";
import { ChunkEncoder, MERGE_ENCODING } from "../chunk/chunk-encoder.ts";
import type { Chunk } from "../chunk/encoding.ts";

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

  /** All samples in chunks of at most `countMax`, one kind each; with start timestamps if any sample has one. */
  toChunks(countMax: number): Chunk[] {
    const withStarts = this.starts.subarray(0, this.length).some((start) => start !== 0);
    const encoder = new ChunkEncoder(countMax, (histogram) => MERGE_ENCODING(histogram, withStarts));
    for (let i = 0; i < this.length; i++) {
      const histogram = this.histograms[i];
      if (histogram !== undefined && this.breaks?.has(i) === true) encoder.cut();
      encoder.append({
        start: this.starts[i]!,
        time: this.times[i]!,
        low: this.words[2 * i]!,
        high: this.words[2 * i + 1]!,
        histogram,
      });
    }
    return encoder.finish();
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
