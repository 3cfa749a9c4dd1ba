/**
 * Writes samples of one series, floats and histograms in any order, into chunks: those of a merge of overlapping
 * chunks, what deletions leave of a chunk, and a head's late samples. A chunk ends when the kind of its samples changes, when it is full, and
 * where `histogram-append.ts` ends it.
 */
import type { Histogram } from "#libs/model/histogram.ts";
import { type Chunk, ENCODING } from "./encoding.ts";
import { HistogramAppender } from "./histogram-append.ts";
import type { Sample } from "./sample-cursor.ts";
import { appendXor, emptyXorState, XOR_SAMPLE_BYTES_MAX, type XorState } from "./xor.ts";
import { Xor2Appender } from "./xor2.ts";

/** The encoding for a sample. */
export type ChooseEncoding = (histogram: Histogram | undefined, hasStart: boolean) => number;

/** What Prometheus's merge writes: start timestamps where there are any. */
export const MERGE_ENCODING: ChooseEncoding = (histogram, hasStart) => {
  if (histogram === undefined) return hasStart ? ENCODING.XOR2 : ENCODING.XOR;
  if (histogram.isFloat) return hasStart ? ENCODING.FLOAT_HISTOGRAM_ST : ENCODING.FLOAT_HISTOGRAM;
  return hasStart ? ENCODING.HISTOGRAM_ST : ENCODING.HISTOGRAM;
};

export class ChunkEncoder {
  readonly #samplesMax: number;
  readonly #choose: ChooseEncoding;
  readonly #chunks: Chunk[] = [];
  #encoding = 0;
  #count = 0;
  #mint = 0;
  #maxt = 0;
  /** The open chunk's appender, by its encoding. */
  #xor: XorState | undefined;
  #xor2: Xor2Appender | undefined;
  #histograms: HistogramAppender | undefined;

  /** At most `samplesMax` (≤ 65535) samples a chunk. */
  constructor(samplesMax: number, choose: ChooseEncoding) {
    this.#samplesMax = samplesMax;
    this.#choose = choose;
  }

  /** Appends a sample; times ascend. */
  append({ start, time, low, high, histogram }: Sample): void {
    const encoding = this.#choose(histogram, start !== 0);
    if (this.#count === 0 || this.#count >= this.#samplesMax || !this.#canHold(encoding)) {
      this.#close();
      this.#open(encoding, time);
    }
    if (histogram !== undefined) this.#appendHistogram(start, time, histogram);
    else if (this.#xor2 !== undefined) this.#xor2.append(start, time, low, high);
    else {
      const xor = this.#xor!;
      if ((xor.bitAt >>> 3) + XOR_SAMPLE_BYTES_MAX > xor.bytes.length) {
        const larger = new Uint8Array(xor.bytes.length * 2);
        larger.set(xor.bytes);
        xor.bytes = larger;
      }
      appendXor(xor, time, low, high);
    }
    this.#maxt = time;
    this.#count++;
  }

  /** Ends the open chunk: the next sample begins another. */
  cut(): void {
    this.#close();
  }

  /** The chunks, ascending. */
  finish(): Chunk[] {
    this.#close();
    return this.#chunks;
  }

  /** XOR2 goes on for floats without a start timestamp. */
  #canHold(encoding: number): boolean {
    return encoding === this.#encoding || (encoding === ENCODING.XOR && this.#encoding === ENCODING.XOR2);
  }

  #appendHistogram(start: number, time: number, histogram: Histogram): void {
    const before = this.#histograms!.chunk;
    if (this.#histograms!.append(start, time, histogram) !== "new chunk") return;
    this.#push(before!.bytes().slice());
    this.#mint = time;
    this.#count = 0;
  }

  #open(encoding: number, mint: number): void {
    this.#encoding = encoding;
    this.#mint = mint;
    if (encoding === ENCODING.XOR) this.#xor = emptyXorState(new Uint8Array(1024));
    else if (encoding === ENCODING.XOR2) this.#xor2 = new Xor2Appender();
    else this.#histograms = new HistogramAppender(encoding);
  }

  #close(): void {
    if (this.#count === 0) return;
    if (this.#xor !== undefined) {
      const { bytes, count, bitAt } = this.#xor;
      bytes[0] = count >>> 8;
      bytes[1] = count;
      this.#push(bytes.slice(0, (bitAt + 7) >>> 3));
    } else this.#push((this.#xor2 ?? this.#histograms!.chunk!).bytes().slice());
    this.#xor = undefined;
    this.#xor2 = undefined;
    this.#histograms = undefined;
    this.#count = 0;
  }

  #push(data: Uint8Array): void {
    this.#chunks.push({ mint: this.#mint, maxt: this.#maxt, encoding: this.#encoding, data });
  }
}
