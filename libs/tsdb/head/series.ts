/**
 * The series of a head in typed arenas: one 64-byte record a series, labels as symbol ids, full chunks as a linked
 * list into `chunks_head`. Refs of Prometheus (`ref`) are never reused; slots are indexes and die with this object:
 * a truncation builds a new `HeadSeries`, and readers of the old one finish on it undisturbed.
 *
 *   double 0 time │ 1 delta │ 2 value │ 3 mint of the open chunk │ 4 nextAt
 *   word  10 block address │ 11 bits used │ 12 count, leading << 16, trailing << 24 │ 13 size class + 1, 0: no open chunk
 *   word  14 newest full chunk + 1 │ 15 labels offset
 */
import { appendXor, emptyXorState, XOR_HEADER_BYTES, XOR_SAMPLE_BYTES_MAX } from "../chunk/xor.ts";
import type { Labels } from "#libs/model/labels.ts";
import { Arena, BLOCK_SIZES } from "./arena.ts";
import { HeadPostings } from "./postings.ts";
import { HeadSymbols } from "./symbols.ts";

const DOUBLES = 8;
const WORDS = 16;
const TIME = 0;
const DELTA = 1;
const VALUE_WORD = 4;
const CHUNK_MINT = 3;
const NEXT_AT = 4;
const ADDRESS = 10;
const BITS = 11;
const STATE = 12;
const CLASS = 13;
const FULL = 14;
const LABELS = 15;

/** Full chunk `i`: `next[i]` is the one before it + 1. */
export interface FullChunk {
  readonly mint: number;
  readonly maxt: number;
  readonly file: number;
  readonly offset: number;
  readonly length: number;
}

export class HeadSeries {
  readonly symbols = new HeadSymbols();
  readonly postings = new HeadPostings();
  readonly arena = new Arena();
  count = 0;
  #doubles = new Float64Array(1024 * DOUBLES);
  #words = new Uint32Array(this.#doubles.buffer);
  refs: Float64Array = new Float64Array(1024);
  #labelIds = new Uint32Array(1 << 14);
  #labelsEnd = 0;
  #fullTimes = new Float64Array(1024);
  #fullWords = new Uint32Array(2048);
  #fullCount = 0;
  readonly #xor = emptyXorState(new Uint8Array(0));

  add(ref: number, labels: Labels): number {
    const slot = this.count;
    if ((slot + 1) * DOUBLES > this.#doubles.length) {
      this.#doubles = grow(this.#doubles);
      this.#words = new Uint32Array(this.#doubles.buffer);
      this.refs = grow(this.refs);
    }
    if (this.#labelsEnd + labels.length + 1 > this.#labelIds.length) {
      const larger = new Uint32Array(this.#labelIds.length * 2 + labels.length);
      larger.set(this.#labelIds);
      this.#labelIds = larger;
    }
    this.refs[slot] = ref;
    this.#doubles[slot * DOUBLES + TIME] = -Infinity;
    this.#words[slot * WORDS + LABELS] = this.#labelsEnd;
    this.#labelIds[this.#labelsEnd++] = labels.length;
    for (let i = 0; i < labels.length; i += 2) {
      const nameId = this.symbols.id(labels[i]!);
      const valueId = this.symbols.id(labels[i + 1]!);
      this.#labelIds[this.#labelsEnd++] = nameId;
      this.#labelIds[this.#labelsEnd++] = valueId;
      this.postings.add(nameId, valueId, slot);
    }
    this.count++;
    return slot;
  }

  /** Ids of name, value, name, value, …; a view. */
  labelIds(slot: number): Uint32Array {
    const at = this.#words[slot * WORDS + LABELS]!;
    return this.#labelIds.subarray(at + 1, at + 1 + this.#labelIds[at]!);
  }

  /** Order of two series by labels; `ranks` orders symbols. */
  compare(a: number, b: number, ranks: Uint32Array): number {
    const ids = this.#labelIds;
    const x = this.#words[a * WORDS + LABELS]!;
    const y = this.#words[b * WORDS + LABELS]!;
    const length = Math.min(ids[x]!, ids[y]!);
    for (let i = 1; i <= length; i++) {
      if (ids[x + i] !== ids[y + i]) return ranks[ids[x + i]!]! - ranks[ids[y + i]!]!;
    }
    return ids[x]! - ids[y]!;
  }

  labels(slot: number): Labels {
    return Array.from(this.labelIds(slot), (id) => this.symbols.text(id));
  }

  /** Time of the last sample; -Infinity before the first. */
  lastTime(slot: number): number {
    return this.#doubles[slot * DOUBLES + TIME]!;
  }

  setLastTime(slot: number, time: number): void {
    this.#doubles[slot * DOUBLES + TIME] = time;
  }

  /** Whether the last sample has these bits. */
  lastValueIs(slot: number, low: number, high: number): boolean {
    const at = slot * WORDS + VALUE_WORD;
    return this.#words[at] === low >>> 0 && this.#words[at + 1] === high >>> 0;
  }

  /** For messages: a NaN's payload may be lost. */
  lastValue(slot: number): number {
    return this.#doubles[slot * DOUBLES + VALUE_WORD / 2]!;
  }

  hasOpenChunk(slot: number): boolean {
    return this.#words[slot * WORDS + CLASS] !== 0;
  }

  openCount(slot: number): number {
    return this.#words[slot * WORDS + STATE]! & 0xffff;
  }

  /** Bytes of the open chunk as it would be stored. */
  openBytes(slot: number): number {
    return (this.#words[slot * WORDS + BITS]! + 7) >>> 3;
  }

  openMint(slot: number): number {
    return this.#doubles[slot * DOUBLES + CHUNK_MINT]!;
  }

  nextAt(slot: number): number {
    return this.#doubles[slot * DOUBLES + NEXT_AT]!;
  }

  setNextAt(slot: number, time: number): void {
    this.#doubles[slot * DOUBLES + NEXT_AT] = time;
  }

  /** Starts an empty open chunk; the one before has been taken by `addFull` or dropped. */
  open(slot: number, mint: number, nextAt: number): void {
    const w = slot * WORDS;
    this.#words[w + ADDRESS] = this.arena.allocate(0);
    this.#words[w + BITS] = XOR_HEADER_BYTES * 8;
    this.#words[w + STATE] = 0;
    this.#words[w + CLASS] = 1;
    this.#doubles[slot * DOUBLES + CHUNK_MINT] = mint;
    this.#doubles[slot * DOUBLES + NEXT_AT] = nextAt;
  }

  append(slot: number, time: number, low: number, high: number): void {
    const w = slot * WORDS;
    const d = slot * DOUBLES;
    const words = this.#words;
    let address = words[w + ADDRESS]!;
    const bits = words[w + BITS]!;
    const sizeClass = words[w + CLASS]! - 1;
    if ((bits >>> 3) + XOR_SAMPLE_BYTES_MAX > BLOCK_SIZES[sizeClass]!) {
      const larger = this.arena.allocate(sizeClass + 1);
      const from = this.arena.offset(address);
      this.arena
        .slab(larger)
        .set(this.arena.slab(address).subarray(from, from + ((bits + 7) >>> 3)), this.arena.offset(larger));
      this.arena.release(address, sizeClass);
      address = larger;
      words[w + ADDRESS] = address;
      words[w + CLASS] = sizeClass + 2;
    }
    const state = words[w + STATE]!;
    const xor = this.#xor;
    const base = this.arena.offset(address) * 8;
    xor.bytes = this.arena.slab(address);
    xor.bitAt = base + bits;
    xor.count = state & 0xffff;
    xor.leading = (state >>> 16) & 0xff;
    xor.trailing = state >>> 24;
    xor.time = this.#doubles[d + TIME]!;
    xor.delta = this.#doubles[d + DELTA]!;
    xor.valueLow = words[w + VALUE_WORD]! | 0;
    xor.valueHigh = words[w + VALUE_WORD + 1]! | 0;
    appendXor(xor, time, low, high);
    words[w + BITS] = xor.bitAt - base;
    words[w + STATE] = xor.count | (xor.leading << 16) | (xor.trailing << 24);
    this.#doubles[d + TIME] = time;
    this.#doubles[d + DELTA] = xor.delta;
    words[w + VALUE_WORD] = low;
    words[w + VALUE_WORD + 1] = high;
  }

  /** Copies the open chunk, with its count in front, into `target` at `at`. @returns its length. */
  copyOpen(slot: number, target: Uint8Array, at: number): number {
    const w = slot * WORDS;
    const address = this.#words[w + ADDRESS]!;
    const length = this.openBytes(slot);
    const from = this.arena.offset(address);
    target.set(this.arena.slab(address).subarray(from, from + length), at);
    const count = this.openCount(slot);
    target[at] = count >>> 8;
    target[at + 1] = count;
    return length;
  }

  /** Gives the open chunk's memory back. */
  close(slot: number): void {
    const w = slot * WORDS;
    const sizeClass = this.#words[w + CLASS]!;
    if (sizeClass === 0) return;
    this.arena.release(this.#words[w + ADDRESS]!, sizeClass - 1);
    this.#words[w + CLASS] = 0;
  }

  addFull(slot: number, chunk: FullChunk): void {
    if ((this.#fullCount + 1) * 2 > this.#fullTimes.length) {
      this.#fullTimes = grow(this.#fullTimes);
      const words = new Uint32Array(this.#fullTimes.length * 2);
      words.set(this.#fullWords);
      this.#fullWords = words;
    }
    const i = this.#fullCount++;
    this.#fullTimes[2 * i] = chunk.mint;
    this.#fullTimes[2 * i + 1] = chunk.maxt;
    this.#fullWords[4 * i] = chunk.file;
    this.#fullWords[4 * i + 1] = chunk.offset;
    this.#fullWords[4 * i + 2] = chunk.length;
    this.#fullWords[4 * i + 3] = this.#words[slot * WORDS + FULL]!;
    this.#words[slot * WORDS + FULL] = i + 1;
  }

  get fullCount(): number {
    return this.#fullCount;
  }

  /** Full chunks that overlap [mint, maxt], oldest first. */
  fullChunks(slot: number, mint: number, maxt: number): FullChunk[] {
    const chunks: FullChunk[] = [];
    for (let i = this.#words[slot * WORDS + FULL]!; i !== 0; i = this.#fullWords[4 * (i - 1) + 3]!) {
      const k = i - 1;
      const chunkMaxt = this.#fullTimes[2 * k + 1]!;
      if (chunkMaxt < mint) break;
      const chunkMint = this.#fullTimes[2 * k]!;
      if (chunkMint > maxt) continue;
      chunks.push({
        mint: chunkMint,
        maxt: chunkMaxt,
        file: this.#fullWords[4 * k]!,
        offset: this.#fullWords[4 * k + 1]!,
        length: this.#fullWords[4 * k + 2]!,
      });
    }
    return chunks.reverse();
  }

  /** Takes over a series of an older state: its record, its open chunk and the full chunks that reach `time`. */
  adopt(from: HeadSeries, fromSlot: number, time: number): number {
    const slot = this.add(from.refs[fromSlot]!, from.labels(fromSlot));
    const labelsAt = this.#words[slot * WORDS + LABELS]!;
    this.#words.set(from.#words.subarray(fromSlot * WORDS, (fromSlot + 1) * WORDS), slot * WORDS);
    const w = slot * WORDS;
    this.#words[w + LABELS] = labelsAt;
    this.#words[w + FULL] = 0;
    const sizeClass = this.#words[w + CLASS]!;
    if (sizeClass !== 0) {
      if (from.lastTime(fromSlot) < time) this.#words[w + CLASS] = 0;
      else {
        const address = this.arena.allocate(sizeClass - 1);
        const source = from.#words[fromSlot * WORDS + ADDRESS]!;
        const at = from.arena.offset(source);
        this.arena
          .slab(address)
          .set(from.arena.slab(source).subarray(at, at + from.openBytes(fromSlot)), this.arena.offset(address));
        this.#words[w + ADDRESS] = address;
      }
    }
    for (const chunk of from.fullChunks(fromSlot, time, Infinity)) this.addFull(slot, chunk);
    return slot;
  }

  /** Bytes of the typed arrays, for `cairn_head_arena_bytes`. */
  get bytes(): number {
    return (
      this.arena.bytes +
      this.#doubles.byteLength +
      this.refs.byteLength +
      this.#labelIds.byteLength +
      this.#fullTimes.byteLength +
      this.#fullWords.byteLength
    );
  }
}

function grow(list: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer>;
function grow(list: Float64Array): Float64Array;
function grow(list: Float64Array): Float64Array {
  const larger = new Float64Array(list.length * 2);
  // As words: the value words among them may be signalling NaNs.
  new Uint32Array(larger.buffer).set(new Uint32Array(list.buffer, list.byteOffset, list.length * 2));
  return larger;
}
