/**
 * The 64-byte record that a head has of a series, as doubles and as words over the same memory:
 *
 *   double 0 time │ 1 delta, of XOR2 the last start timestamp │ 2 value │ 3 mint of the open chunk │ 4 nextAt
 *   word  10 last block of the open chunk │ 11 bits used │ 12 count, leading << 16, trailing << 24
 *   word  13 what the open chunk is: `NO_CHUNK`, `XOR`, in the arena, `STORED`, the same of which 1 and 4 and the end
 *            are not known yet, `XOR2`, an object that has the delta and the rest of 12, or `HISTOGRAM`, an object that
 *            has all but 0 and 3
 *   word  14 newest full chunk + 1 │ 15 labels offset
 */
import type { Arena, ChainReads } from "./arena.ts";

export const DOUBLES = 8;
export const WORDS = 16;
export const TIME = 0;
export const DELTA = 1;
export const VALUE_WORD = 4;
export const CHUNK_MINT = 3;
export const NEXT_AT = 4;
export const BLOCK = 10;
export const BITS = 11;
export const STATE = 12;
export const KIND = 13;
export const FULL = 14;
export const LABELS = 15;
export const NO_CHUNK = 0;
export const XOR = 1;
export const HISTOGRAM = 2;
export const STORED = 3;
export const XOR2 = 4;

/** A slot's record in a snapshot of `HeadSeries.snapshot`. */
export class SnapshotRecord {
  readonly #doubles: Float64Array<ArrayBuffer>;
  readonly #words: Uint32Array;

  constructor({ doubles, words }: { readonly doubles: Float64Array<ArrayBuffer>; readonly words: Uint32Array }) {
    this.#doubles = doubles;
    this.#words = words;
  }

  /** Gives its memory back at once: a megabyte a query would call the collector every few queries. */
  release(): void {
    this.#doubles.buffer.transfer(0);
  }

  fullList(i: number): number {
    return this.#words[i * WORDS + FULL]!;
  }

  /** Where the series' label ids are. */
  labels(i: number): number {
    return this.#words[i * WORDS + LABELS]!;
  }

  /** Whether the open chunk is an XOR chunk. */
  hasXor(i: number): boolean {
    const kind = this.#words[i * WORDS + KIND];
    return kind === XOR || kind === STORED;
  }

  /** Whether the open chunk has floats. */
  hasFloats(i: number): boolean {
    return this.hasXor(i) || this.#words[i * WORDS + KIND] === XOR2;
  }

  hasObject(i: number): boolean {
    const kind = this.#words[i * WORDS + KIND];
    return kind === HISTOGRAM || kind === XOR2;
  }

  lastTime(i: number): number {
    return this.#doubles[i * DOUBLES + TIME]!;
  }

  openMint(i: number): number {
    return this.#doubles[i * DOUBLES + CHUNK_MINT]!;
  }

  openBytes(i: number): number {
    return (this.#words[i * WORDS + BITS]! + 7) >>> 3;
  }

  lastLow(i: number): number {
    return this.#words[i * WORDS + VALUE_WORD]!;
  }

  lastHigh(i: number): number {
    return this.#words[i * WORDS + VALUE_WORD + 1]!;
  }

  /** Start timestamp of the last float, 0 unknown. */
  lastStart(i: number): number {
    return this.#words[i * WORDS + KIND] === XOR2 ? this.#doubles[i * DOUBLES + DELTA]! : 0;
  }

  /** Copies the open XOR chunk to the begin of `target`. */
  copyXor(i: number, arena: Arena, target: Uint8Array): void {
    const w = i * WORDS;
    arena.read(this.#words[w + BLOCK]!, this.#words[w + BITS]!, this.#words[w + STATE]! & 0xffff, target, 0);
  }

  /** Adds the open XOR chunk to `reads`, for `target`. */
  readXor(i: number, reads: ChainReads, target: number): void {
    const w = i * WORDS;
    reads.add(this.#words[w + BLOCK]!, this.#words[w + BITS]!, this.#words[w + STATE]! & 0xffff, target);
  }
}
