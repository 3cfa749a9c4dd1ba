/**
 * The series of a head in typed arenas: one 64-byte record a series, labels as symbol ids, full chunks as a linked
 * list into `chunks_head`. Refs of Prometheus (`ref`) are never reused; slots are indexes and die with this object:
 * a truncation builds a new `HeadSeries` that shares the open chunks, and readers of the old one finish on their view.
 *
 *   double 0 time │ 1 delta │ 2 value │ 3 mint of the open chunk │ 4 nextAt
 *   word  10 block address │ 11 bits used │ 12 count, leading << 16, trailing << 24
 *   word  13 size class + 1, 0: no open chunk, `OBJECT`: the open chunk is an object of `objects`
 *   word  14 newest full chunk + 1 │ 15 labels offset
 */
import { type Chunk, ENCODING } from "../chunk/encoding.ts";
import {
  appendXor,
  decodedEnd,
  emptyXorState,
  XOR_HEADER_BYTES,
  XOR_SAMPLE_BYTES_MAX,
  xorCount,
} from "../chunk/xor.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { FrameBuilder } from "../series/frame.ts";
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
const OBJECT = 0xff;
/** Length and encoding of a full chunk share a word. */
const LENGTH_BITS = 29;
const LENGTH_MASK = (1 << LENGTH_BITS) - 1;

/** A chunk in `chunks_head`. */
export interface FullChunk {
  readonly mint: number;
  readonly maxt: number;
  readonly encoding: number;
  readonly file: number;
  /** Of the data. */
  readonly offset: number;
  readonly length: number;
}

/** An open chunk that is an object. */
export interface OpenChunk {
  readonly encoding: number;
  readonly mint: number;
  /** As it would be stored; its bytes are valid until the next append. */
  chunk(): Chunk;
}

export class HeadSeries {
  readonly symbols = new HeadSymbols();
  readonly postings = new HeadPostings();
  /** The first slots by labels, as far as series-order.ts has sorted them. Replaced, never written to. */
  order: Uint32Array = new Uint32Array(0);
  readonly arena: Arena;
  /** Open chunks that are objects, by ref. */
  readonly objects: Map<number, OpenChunk>;
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

  /** `before`: the state that this one follows; open chunks are shared with it. */
  constructor(before?: HeadSeries) {
    this.arena = before?.arena ?? new Arena();
    this.objects = before?.objects ?? new Map<number, OpenChunk>();
  }

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

  /** Adds the labels to the series being built; `idOf` gives the builder's id of a symbol. */
  addLabels(slot: number, builder: FrameBuilder, idOf: (symbol: number) => number): void {
    const ids = this.#labelIds;
    const at = this.#words[slot * WORDS + LABELS]!;
    const last = at + ids[at]!;
    for (let k = at + 1; k <= last; k += 2) builder.label(idOf(ids[k]!), idOf(ids[k + 1]!));
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

  /** The same order without ranks. */
  compareTexts(a: number, b: number): number {
    const x = this.labelIds(a);
    const y = this.labelIds(b);
    const length = Math.min(x.length, y.length);
    for (let i = 0; i < length; i++) if (x[i] !== y[i]) return this.symbols.compare(x[i]!, y[i]!);
    return x.length - y.length;
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

  /** Of the last float, low before high. */
  lastWords(slot: number): readonly [number, number] {
    const at = slot * WORDS + VALUE_WORD;
    return [this.#words[at]! | 0, this.#words[at + 1]! | 0];
  }

  /** For messages: a NaN's payload may be lost. */
  lastValue(slot: number): number {
    return this.#doubles[slot * DOUBLES + VALUE_WORD / 2]!;
  }

  hasOpenChunk(slot: number): boolean {
    return this.#words[slot * WORDS + CLASS] !== 0;
  }

  /** Whether the open chunk is an XOR chunk in the arena. */
  hasXor(slot: number): boolean {
    const sizeClass = this.#words[slot * WORDS + CLASS]!;
    return sizeClass !== 0 && sizeClass !== OBJECT;
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

  /**
   * Takes a stored XOR chunk as the open one, to be written on from where `decodedEnd` says; `nextAt` as for `open`.
   * @returns false, and nothing changes, when it is larger than an open chunk can be.
   */
  restore(slot: number, chunk: Chunk, nextAt: number, last: number, low: number, high: number): boolean {
    const { data, mint } = chunk;
    const sizeClass = BLOCK_SIZES.findIndex((size) => size >= data.length);
    if (sizeClass < 0) return false;
    const w = slot * WORDS;
    const d = slot * DOUBLES;
    const address = this.arena.allocate(sizeClass);
    this.arena.slab(address).set(data, this.arena.offset(address));
    this.#words[w + ADDRESS] = address;
    this.#words[w + BITS] = decodedEnd.bits;
    this.#words[w + STATE] = xorCount(data, 0) | (decodedEnd.leading << 16) | (decodedEnd.trailing << 24);
    this.#words[w + CLASS] = sizeClass + 1;
    this.#words[w + VALUE_WORD] = low;
    this.#words[w + VALUE_WORD + 1] = high;
    this.#doubles[d + TIME] = last;
    this.#doubles[d + DELTA] = decodedEnd.delta;
    this.#doubles[d + CHUNK_MINT] = mint;
    this.#doubles[d + NEXT_AT] = nextAt;
    return true;
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

  /** The open chunk as it would be stored; undefined when there is none. The bytes are the chunk's own copy. */
  openChunk(slot: number): Chunk | undefined {
    const open = this.object(slot);
    if (open !== undefined) {
      const chunk = open.chunk();
      return { ...chunk, data: chunk.data.slice() };
    }
    if (!this.hasOpenChunk(slot)) return undefined;
    const data = new Uint8Array(this.openBytes(slot));
    copyXor(this.arena, this.#words, slot * WORDS, data, 0);
    return { mint: this.openMint(slot), maxt: this.lastTime(slot), encoding: ENCODING.XOR, data };
  }

  /** The open chunk if it is an object. */
  object(slot: number): OpenChunk | undefined {
    return this.#words[slot * WORDS + CLASS] === OBJECT ? this.objects.get(this.refs[slot]!) : undefined;
  }

  /** Starts an open chunk that is an object; the one before has been closed. */
  openObject(slot: number, chunk: OpenChunk): void {
    this.#words[slot * WORDS + CLASS] = OBJECT;
    this.objects.set(this.refs[slot]!, chunk);
  }

  /** To be called after each append to an open chunk that is an object. */
  setObjectTimes(slot: number, mint: number, last: number): void {
    this.#doubles[slot * DOUBLES + CHUNK_MINT] = mint;
    this.#doubles[slot * DOUBLES + TIME] = last;
  }

  /** Gives the open chunk's memory back. */
  close(slot: number): void {
    const w = slot * WORDS;
    const sizeClass = this.#words[w + CLASS]!;
    if (sizeClass === OBJECT) this.objects.delete(this.refs[slot]!);
    else if (sizeClass !== 0) this.arena.release(this.#words[w + ADDRESS]!, sizeClass - 1);
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
    this.#fullWords[4 * i + 2] = chunk.length | (chunk.encoding << LENGTH_BITS);
    this.#fullWords[4 * i + 3] = this.#words[slot * WORDS + FULL]!;
    this.#words[slot * WORDS + FULL] = i + 1;
  }

  get fullCount(): number {
    return this.#fullCount;
  }

  /** Where the list of full chunks of a slot begins now, for `fullChunksFrom`. */
  newestFull(slot: number): number {
    return this.#words[slot * WORDS + FULL]!;
  }

  /** Full chunks that overlap [mint, maxt], oldest first. */
  fullChunks(slot: number, mint: number, maxt: number): FullChunk[] {
    return this.fullChunksFrom(this.newestFull(slot), mint, maxt);
  }

  /** Those of the list that begins at `newest` and ends before `until`, 0 for all of it. */
  fullChunksFrom(newest: number, mint: number, maxt: number, until = 0): FullChunk[] {
    const listed: number[] = [];
    const count = this.listFull(newest, mint, maxt, listed, until);
    return Array.from({ length: count }, (_, n) => {
      const k = listed[count - 1 - n]!;
      return {
        mint: this.fullMint(k),
        maxt: this.fullMaxt(k),
        encoding: this.fullEncoding(k),
        file: this.fullFile(k),
        offset: this.fullOffset(k),
        length: this.fullLength(k),
      };
    });
  }

  /** The same as places for `fullMint` and its like, newest first, put into `listed`. @returns how many. */
  listFull(newest: number, mint: number, maxt: number, listed: number[], until = 0): number {
    let count = 0;
    for (let i = newest; i !== until; i = this.#fullWords[4 * (i - 1) + 3]!) {
      const k = i - 1;
      if (this.#fullTimes[2 * k + 1]! < mint) break;
      if (this.#fullTimes[2 * k]! <= maxt) listed[count++] = k;
    }
    return count;
  }

  fullMint(k: number): number {
    return this.#fullTimes[2 * k]!;
  }

  fullMaxt(k: number): number {
    return this.#fullTimes[2 * k + 1]!;
  }

  fullFile(k: number): number {
    return this.#fullWords[4 * k]!;
  }

  fullOffset(k: number): number {
    return this.#fullWords[4 * k + 1]!;
  }

  fullLength(k: number): number {
    return this.#fullWords[4 * k + 2]! & LENGTH_MASK;
  }

  fullEncoding(k: number): number {
    return this.#fullWords[4 * k + 2]! >>> LENGTH_BITS;
  }

  /** The first time of the series' chunks that reach `from`, not below it; Infinity when there are none. */
  firstTime(slot: number, from: number): number {
    if (this.lastTime(slot) < from) return Infinity;
    let first = this.hasOpenChunk(slot) ? this.openMint(slot) : Infinity;
    for (let i = this.newestFull(slot); i !== 0; i = this.#fullWords[4 * (i - 1) + 3]!) {
      if (this.#fullTimes[2 * i - 1]! < from) break;
      first = this.#fullTimes[2 * i - 2]!;
    }
    return Math.max(first, from);
  }

  /** Encoding of the newest chunk, open or full; 0 when there is none. */
  newestEncoding(slot: number): number {
    const sizeClass = this.#words[slot * WORDS + CLASS]!;
    if (sizeClass === OBJECT) return this.object(slot)!.encoding;
    if (sizeClass !== 0) return ENCODING.XOR;
    const newest = this.newestFull(slot);
    return newest === 0 ? 0 : this.#fullWords[4 * (newest - 1) + 2]! >>> LENGTH_BITS;
  }

  /** Takes over labels and full chunks that reach `time` of a series of the state before; `takeRecord` does the rest. */
  adopt(from: HeadSeries, fromSlot: number, time: number): number {
    const slot = this.add(from.refs[fromSlot]!, from.labels(fromSlot));
    for (const chunk of from.fullChunks(fromSlot, time, Infinity)) this.addFull(slot, chunk);
    return slot;
  }

  /** Takes over what appends change; full chunks newer than `seenFull` come too. */
  takeRecord(slot: number, from: HeadSeries, fromSlot: number, seenFull: number): void {
    const w = slot * WORDS;
    const labels = this.#words[w + LABELS]!;
    const newest = from.newestFull(fromSlot);
    if (newest !== seenFull)
      for (const chunk of from.fullChunksFrom(newest, -Infinity, Infinity, seenFull)) this.addFull(slot, chunk);
    const full = this.#words[w + FULL]!;
    const source = fromSlot * WORDS;
    for (let i = 0; i < WORDS; i++) this.#words[w + i] = from.#words[source + i]!;
    this.#words[w + LABELS] = labels;
    this.#words[w + FULL] = full;
  }

  /** Copies of what appends change, of the slots a reader wants: see `ReadView`. */
  snapshot(slots: Uint32Array): { readonly doubles: Float64Array; readonly words: Uint32Array } {
    const doubles = new Float64Array(slots.length * DOUBLES);
    const words = new Uint32Array(doubles.buffer);
    for (let i = 0; i < slots.length; i++) {
      const source = slots[i]! * WORDS;
      const target = i * WORDS;
      words[target] = this.#words[source]!;
      words[target + 1] = this.#words[source + 1]!;
      words[target + VALUE_WORD] = this.#words[source + VALUE_WORD]!;
      words[target + VALUE_WORD + 1] = this.#words[source + VALUE_WORD + 1]!;
      for (let k = 2 * CHUNK_MINT; k < WORDS; k++) words[target + k] = this.#words[source + k]!;
    }
    return { doubles, words };
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

const ONE_SAMPLE = new Uint8Array(XOR_HEADER_BYTES + XOR_SAMPLE_BYTES_MAX);

/** A slot's record in a snapshot of `HeadSeries.snapshot`. */
export class SnapshotRecord {
  readonly #doubles: Float64Array;
  readonly #words: Uint32Array;

  constructor({ doubles, words }: { readonly doubles: Float64Array; readonly words: Uint32Array }) {
    this.#doubles = doubles;
    this.#words = words;
  }

  newestFull(i: number): number {
    return this.#words[i * WORDS + FULL]!;
  }

  /** Whether the open chunk is an XOR chunk. */
  hasXor(i: number): boolean {
    const sizeClass = this.#words[i * WORDS + CLASS]!;
    return sizeClass !== 0 && sizeClass !== OBJECT;
  }

  hasObject(i: number): boolean {
    return this.#words[i * WORDS + CLASS] === OBJECT;
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
function copyXor(arena: Arena, words: Uint32Array, w: number, target: Uint8Array, at: number): void {
  const address = words[w + ADDRESS]!;
  const bits = words[w + BITS]!;
  const length = (bits + 7) >>> 3;
  const from = arena.offset(address);
  target.set(arena.slab(address).subarray(from, from + length), at);
  // Of an older record, the last byte may hold bits of later samples.
  if ((bits & 7) !== 0) target[at + length - 1]! &= 0xff00 >>> (bits & 7);
  const count = words[w + STATE]! & 0xffff;
  target[at] = count >>> 8;
  target[at + 1] = count;
}

function grow(list: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer>;
function grow(list: Float64Array): Float64Array;
function grow(list: Float64Array): Float64Array {
  const larger = new Float64Array(list.length * 2);
  // As words: the value words among them may be signalling NaNs.
  new Uint32Array(larger.buffer).set(new Uint32Array(list.buffer, list.byteOffset, list.length * 2));
  return larger;
}
