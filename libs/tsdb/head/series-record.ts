/**
 * The 64-byte record that a head has of a series, as doubles and as words over the same memory:
 *
 *   double 0 time │ 1 delta │ 2 value │ 3 mint of the open chunk │ 4 nextAt
 *   word  10 last block of the open chunk │ 11 bits used │ 12 count, leading << 16, trailing << 24
 *   word  13 what the open chunk is: `NO_CHUNK`, `XOR`, in the arena, `STORED`, the same of which 1 and 4 and the end
 *            are not known yet, or `OBJECT`, in `objects`
 *   word  14 newest full chunk + 1 │ 15 labels offset
 */
import { ENCODING } from "../chunk/encoding.ts";
import { appendXor, emptyXorState, XOR_HEADER_BYTES, XOR_SAMPLE_BYTES_MAX } from "../chunk/xor.ts";
import type { FrameBuilder } from "../series/frame.ts";
import type { Arena } from "./arena.ts";

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
export const OBJECT = 2;
export const STORED = 3;

const ONE_SAMPLE = new Uint8Array(XOR_HEADER_BYTES + XOR_SAMPLE_BYTES_MAX);

/** A slot's record in a snapshot of `HeadSeries.snapshot`. */
export class SnapshotRecord {
  readonly #doubles: Float64Array;
  readonly #words: Uint32Array;

  constructor({ doubles, words }: { readonly doubles: Float64Array; readonly words: Uint32Array }) {
    this.#doubles = doubles;
    this.#words = words;
  }

  fullList(i: number): number {
    return this.#words[i * WORDS + FULL]!;
  }

  /** Whether the open chunk is an XOR chunk. */
  hasXor(i: number): boolean {
    const kind = this.#words[i * WORDS + KIND];
    return kind === XOR || kind === STORED;
  }

  hasObject(i: number): boolean {
    return this.#words[i * WORDS + KIND] === OBJECT;
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

  /** Adds the newest sample of an open XOR chunk as a chunk of its own: nothing needs decoding (bench/query-head.ts). */
  addNewest(i: number, builder: FrameBuilder): void {
    const time = this.lastTime(i);
    const low = this.#words[i * WORDS + VALUE_WORD]! | 0;
    const high = this.#words[i * WORDS + VALUE_WORD + 1]! | 0;
    const xor = emptyXorState(ONE_SAMPLE);
    appendXor(xor, time, low, high);
    ONE_SAMPLE[1] = 1;
    builder.chunk(time, time, ENCODING.XOR, ONE_SAMPLE, 0, xor.bitAt >>> 3);
  }

  /** Copies the open XOR chunk into `target` at `at`. */
  copyXor(i: number, arena: Arena, target: Uint8Array, at: number): void {
    copyXor(arena, this.#words, i * WORDS, target, at);
  }
}

/** Copies the open chunk of the record at `words[w]` as it would be stored, with its count in front. */
export function copyXor(arena: Arena, words: Uint32Array, w: number, target: Uint8Array, at: number): void {
  arena.read(words[w + BLOCK]!, words[w + BITS]!, target, at);
  const count = words[w + STATE]! & 0xffff;
  target[at] = count >>> 8;
  target[at + 1] = count;
}
