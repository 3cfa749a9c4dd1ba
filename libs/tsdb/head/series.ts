/**
 * The series of a head in typed arenas: one 64-byte record a series (`series-record.ts`), labels as symbol ids, full chunks as a linked
 * list into `chunks_head`. Refs of Prometheus (`ref`) are never reused; slots are indexes and die with this object:
 * a truncation builds a new `HeadSeries` that shares the open chunks, and readers of the old one finish on their view.
 */
import { type Chunk, ENCODING } from "../chunk/encoding.ts";
import { Xor2Appender } from "../chunk/xor2.ts";
import { decodedEnd, emptyXorState, XOR_HEADER_BYTES, xorCount } from "../chunk/xor.ts";
import type { Labels } from "#libs/model/labels.ts";
import { Arena, type ArenaImage } from "./arena.ts";
import { type FullChunk, FullChunks, type FullChunksImage } from "./full-chunks.ts";
import type { OpenHistogram } from "./open-histogram.ts";
import { HeadPostings, type PostingsImage } from "./postings.ts";
import {
  BITS,
  BLOCK,
  CHUNK_MINT,
  DELTA,
  DOUBLES,
  FULL,
  HISTOGRAM,
  KIND,
  LABELS,
  NEXT_AT,
  NO_CHUNK,
  STATE,
  STORED,
  TIME,
  VALUE_WORD,
  WORDS,
  XOR,
  XOR2,
} from "./series-record.ts";
import { HeadSymbols, type SymbolsImage } from "./symbols.ts";

export interface SeriesImage {
  readonly refs: Float64Array<ArrayBuffer>;
  readonly records: Float64Array<ArrayBuffer>;
  readonly labelIds: Uint32Array<ArrayBuffer>;
  readonly symbols: SymbolsImage;
  readonly postings: PostingsImage;
  readonly full: FullChunksImage;
  readonly arena: ArenaImage;
}

export class HeadSeries {
  readonly symbols: HeadSymbols;
  readonly postings = new HeadPostings();
  readonly full = new FullChunks();
  /** The first slots by labels, as far as series-order.ts has sorted them. Replaced, never written to. */
  order: Uint32Array = new Uint32Array(0);
  readonly arena: Arena;
  /** Open chunks of histograms, by ref. */
  readonly histograms: Map<number, OpenHistogram>;
  /** Open chunks of floats with start timestamps, by ref. */
  readonly xor2: Map<number, Xor2Appender>;
  count = 0;
  #doubles = new Float64Array(1024 * DOUBLES);
  #words = new Uint32Array(this.#doubles.buffer);
  /** Replaced as it grows: not to be kept. */
  refs: Float64Array<ArrayBuffer> = new Float64Array(1024);
  #labelIds = new Uint32Array(1 << 14);
  #labelsEnd = 0;
  readonly #xor = emptyXorState(new Uint8Array(0));

  /** `seed` is for hashes. `before`: the state that this one follows; open chunks are shared with it. */
  constructor(seed: number, before?: HeadSeries) {
    this.symbols = new HeadSymbols(seed);
    this.arena = before?.arena ?? new Arena();
    this.histograms = before?.histograms ?? new Map<number, OpenHistogram>();
    this.xor2 = before?.xor2 ?? new Map<number, Xor2Appender>();
  }

  /** For a head's image: views. Open chunks that are objects are not in it. */
  get image(): SeriesImage {
    return {
      refs: this.refs.subarray(0, this.count),
      records: this.#doubles.subarray(0, this.count * DOUBLES),
      labelIds: this.#labelIds.subarray(0, this.#labelsEnd),
      symbols: this.symbols.image,
      postings: this.postings.image,
      full: this.full.image,
      arena: this.arena.image,
    };
  }

  /** Of new series with the same seed. */
  takeImage({ refs, records, labelIds, symbols, postings, full, arena }: SeriesImage): void {
    this.count = refs.length;
    this.refs = refs;
    this.#doubles = records;
    this.#words = new Uint32Array(records.buffer);
    this.#labelIds = labelIds;
    this.#labelsEnd = labelIds.length;
    this.symbols.takeImage(symbols);
    this.postings.takeImage(postings);
    this.full.takeImage(full);
    this.arena.takeImage(arena);
  }

  /** The open chunk was an object that is not there. */
  dropObject(slot: number): void {
    const list = this.fullList(slot);
    this.#words[slot * WORDS + KIND] = NO_CHUNK;
    this.setLastTime(slot, list === 0 ? -Infinity : this.full.maxt(list - 1));
  }

  /** Makes room for so many series. */
  reserve(count: number): void {
    if (count <= this.refs.length) return;
    this.#doubles = grown(this.#doubles, count * DOUBLES);
    this.#words = new Uint32Array(this.#doubles.buffer);
    this.refs = grown(this.refs, count);
  }

  add(ref: number, labels: Labels): number {
    return this.addIds(
      ref,
      labels.map((text) => this.symbols.id(text)),
    );
  }

  /** The same from ids of symbols: name, value, name, value, … */
  addIds(ref: number, ids: readonly number[]): number {
    const slot = this.count;
    if (slot === this.refs.length) this.reserve(2 * slot);
    if (this.#labelsEnd + ids.length + 1 > this.#labelIds.length) {
      // For as many series as the records have room for.
      const expected = (this.#labelsEnd / Math.max(slot, 1)) * this.refs.length;
      const larger = new Uint32Array(Math.max(1.25 * this.#labelIds.length, expected) + ids.length + 1);
      larger.set(this.#labelIds);
      this.#labelIds = larger;
    }
    this.refs[slot] = ref;
    this.#doubles[slot * DOUBLES + TIME] = -Infinity;
    this.#words[slot * WORDS + LABELS] = this.#labelsEnd;
    this.#labelIds[this.#labelsEnd++] = ids.length;
    for (let i = 0; i < ids.length; i += 2) {
      this.#labelIds[this.#labelsEnd++] = ids[i]!;
      this.#labelIds[this.#labelsEnd++] = ids[i + 1]!;
      this.postings.add(ids[i]!, ids[i + 1]!, slot);
    }
    this.count++;
    return slot;
  }

  /** The id of the value of the first label, which nearly always is the metric's name. */
  firstValue(slot: number): number {
    const at = this.#words[slot * WORDS + LABELS]!;
    return this.#labelIds[at] === 0 ? 0 : this.#labelIds[at + 2]!;
  }

  /** Ids of name, value, name, value, …; a view. */
  labelIds(slot: number): Uint32Array {
    const at = this.#words[slot * WORDS + LABELS]!;
    return this.#labelIds.subarray(at + 1, at + 1 + this.#labelIds[at]!);
  }

  /** Sets `marks[id]` for its names and values. */
  markLabels(slot: number, marks: Uint8Array): void {
    const ids = this.#labelIds;
    const at = this.#words[slot * WORDS + LABELS]!;
    for (let k = at + 1, last = at + ids[at]!; k <= last; k++) marks[ids[k]!] = 1;
  }

  /** `numbers[id]` of its names and values: `into`, or fresh memory where that has another length. */
  labelNumbers(slot: number, numbers: Uint32Array, into: Uint32Array): Uint32Array {
    const ids = this.#labelIds;
    const at = this.#words[slot * WORDS + LABELS]!;
    const out = into.length === ids[at] ? into : new Uint32Array(ids[at]!);
    for (let k = 0; k < out.length; k++) out[k] = numbers[ids[at + 1 + k]!]!;
    return out;
  }

  /** The labels of all, as `LabelRows` has them; what it has of a series now stays. */
  get ids(): Uint32Array {
    return this.#labelIds;
  }

  /** The ids of the values that these series have for a label, each once. */
  valueIds(nameId: number, slots: Uint32Array): number[] {
    // Bits: bytes for 500,000 symbols are fresh memory at each call, a request 2.5 ms of CPU instead of 1.6 (bench/figures.ts).
    const seen = new Uint32Array((this.symbols.count + 31) >>> 5);
    const found: number[] = [];
    for (let i = 0; i < slots.length; i++) {
      const at = this.#words[slots[i]! * WORDS + LABELS]!;
      const end = at + this.#labelIds[at]!;
      for (let k = at + 1; k < end; k += 2) {
        if (this.#labelIds[k] !== nameId) continue;
        const id = this.#labelIds[k + 1]!;
        const bit = 1 << (id & 31);
        if ((seen[id >>> 5]! & bit) === 0) found.push(id);
        seen[id >>> 5]! |= bit;
        break;
      }
    }
    return found;
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
    const ids = this.#labelIds;
    const x = this.#words[a * WORDS + LABELS]!;
    const y = this.#words[b * WORDS + LABELS]!;
    const length = Math.min(ids[x]!, ids[y]!);
    for (let i = 1; i <= length; i++) {
      if (ids[x + i] !== ids[y + i]) return this.symbols.compare(ids[x + i]!, ids[y + i]!);
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
    return this.#words[slot * WORDS + KIND] !== NO_CHUNK;
  }

  /** Whether the open chunk takes a float; one with start timestamps takes those without, too. */
  takesFloat(slot: number, start: number): boolean {
    const kind = this.#words[slot * WORDS + KIND];
    return kind === XOR2 || (start === 0 && (kind === XOR || kind === STORED));
  }

  /** Whether the open chunk must be decoded and given to `restore` before it is written on. */
  hasStored(slot: number): boolean {
    return this.#words[slot * WORDS + KIND] === STORED;
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

  /** Starts an empty open chunk of floats; the one before has been taken by `addFull` or dropped. */
  open(slot: number, mint: number, nextAt: number, withStarts: boolean): void {
    const w = slot * WORDS;
    if (withStarts) this.xor2.set(this.refs[slot]!, new Xor2Appender());
    else {
      this.#words[w + BLOCK] = this.arena.allocate();
      this.#words[w + BITS] = XOR_HEADER_BYTES * 8;
    }
    this.#words[w + STATE] = 0;
    this.#words[w + KIND] = withStarts ? XOR2 : XOR;
    this.#doubles[slot * DOUBLES + CHUNK_MINT] = mint;
    this.#doubles[slot * DOUBLES + NEXT_AT] = nextAt;
  }

  /** Takes a stored XOR chunk as the open one; `low` and `high` are its last value. */
  takeStored(slot: number, { data, mint, maxt }: Chunk, low: number, high: number): void {
    const w = slot * WORDS;
    this.#words[w + BLOCK] = this.arena.store(data);
    this.#words[w + BITS] = data.length * 8;
    this.#words[w + STATE] = xorCount(data, 0);
    this.#words[w + KIND] = STORED;
    this.#words[w + VALUE_WORD] = low;
    this.#words[w + VALUE_WORD + 1] = high;
    this.#doubles[slot * DOUBLES + TIME] = maxt;
    this.#doubles[slot * DOUBLES + CHUNK_MINT] = mint;
  }

  /**
   * Takes a stored XOR chunk, just decoded, as the open one, to be written on from where `decodedEnd` says; `nextAt` as
   * for `open`.
   */
  restore(slot: number, { data, mint }: Chunk, nextAt: number, last: number, low: number, high: number): void {
    const w = slot * WORDS;
    const d = slot * DOUBLES;
    this.#words[w + BLOCK] = this.arena.store(data.subarray(0, (decodedEnd.bits + 7) >>> 3));
    this.#words[w + BITS] = decodedEnd.bits;
    this.#words[w + STATE] = xorCount(data, 0) | (decodedEnd.leading << 16) | (decodedEnd.trailing << 24);
    this.#words[w + KIND] = XOR;
    this.#words[w + VALUE_WORD] = low;
    this.#words[w + VALUE_WORD + 1] = high;
    this.#doubles[d + TIME] = last;
    this.#doubles[d + DELTA] = decodedEnd.delta;
    this.#doubles[d + CHUNK_MINT] = mint;
    this.#doubles[d + NEXT_AT] = nextAt;
  }

  /** Appends a float that `takesFloat` is true for; `start` 0 is unknown. */
  append(slot: number, time: number, low: number, high: number, start: number): void {
    const w = slot * WORDS;
    const d = slot * DOUBLES;
    const words = this.#words;
    if (words[w + KIND] === XOR2) {
      this.#appendXor2(slot, time, low, high, start);
      return;
    }
    const state = words[w + STATE]!;
    const xor = this.#xor;
    xor.count = state & 0xffff;
    xor.leading = (state >>> 16) & 0xff;
    xor.trailing = state >>> 24;
    xor.time = this.#doubles[d + TIME]!;
    xor.delta = this.#doubles[d + DELTA]!;
    xor.valueLow = words[w + VALUE_WORD]! | 0;
    xor.valueHigh = words[w + VALUE_WORD + 1]! | 0;
    words[w + BLOCK] = this.arena.append(words[w + BLOCK]!, words[w + BITS]!, xor, time, low, high);
    words[w + BITS] = xor.bitAt;
    words[w + STATE] = xor.count | (xor.leading << 16) | (xor.trailing << 24);
    this.#doubles[d + TIME] = time;
    this.#doubles[d + DELTA] = xor.delta;
    words[w + VALUE_WORD] = low;
    words[w + VALUE_WORD + 1] = high;
  }

  #appendXor2(slot: number, time: number, low: number, high: number, start: number): void {
    const w = slot * WORDS;
    const xor2 = this.xor2.get(this.refs[slot]!)!;
    xor2.append(start, time, low, high);
    this.#words[w + BITS] = xor2.bitCount;
    this.#words[w + STATE] = xor2.count;
    this.#doubles[slot * DOUBLES + TIME] = time;
    this.#doubles[slot * DOUBLES + DELTA] = start;
    this.#words[w + VALUE_WORD] = low;
    this.#words[w + VALUE_WORD + 1] = high;
  }

  /** The open chunk as it would be stored; undefined when there is none. The bytes are the chunk's own copy. */
  openChunk(slot: number): Chunk | undefined {
    const w = slot * WORDS;
    const kind = this.#words[w + KIND]!;
    if (kind === NO_CHUNK) return undefined;
    const times = { mint: this.openMint(slot), maxt: this.lastTime(slot) };
    const ref = this.refs[slot]!;
    if (kind === XOR2) return { ...times, encoding: ENCODING.XOR2, data: this.xor2.get(ref)!.bytes().slice() };
    if (kind === HISTOGRAM) {
      const open = this.histograms.get(ref)!;
      return { ...times, encoding: open.encoding, data: open.bytes().slice() };
    }
    const data = new Uint8Array(this.openBytes(slot));
    this.arena.read(this.#words[w + BLOCK]!, this.#words[w + BITS]!, this.openCount(slot), data, 0);
    return { ...times, encoding: ENCODING.XOR, data };
  }

  /** Whether the open chunk is not in the arena. */
  hasObject(slot: number): boolean {
    const kind = this.#words[slot * WORDS + KIND];
    return kind === HISTOGRAM || kind === XOR2;
  }

  /** Whether any open chunk is not in the arena. */
  get hasObjects(): boolean {
    return this.histograms.size > 0 || this.xor2.size > 0;
  }

  /** The open chunk if it is one of histograms. */
  histogram(slot: number): OpenHistogram | undefined {
    return this.#words[slot * WORDS + KIND] === HISTOGRAM ? this.histograms.get(this.refs[slot]!) : undefined;
  }

  /** Starts an open chunk of histograms; the one before has been closed. */
  openHistogram(slot: number, chunk: OpenHistogram): void {
    this.#words[slot * WORDS + KIND] = HISTOGRAM;
    this.histograms.set(this.refs[slot]!, chunk);
  }

  /** To be called after each append to an open chunk of histograms. */
  setHistogramTimes(slot: number, mint: number, last: number): void {
    this.#doubles[slot * DOUBLES + CHUNK_MINT] = mint;
    this.#doubles[slot * DOUBLES + TIME] = last;
  }

  /** Gives the open chunk's memory back. */
  close(slot: number): void {
    const w = slot * WORDS;
    const kind = this.#words[w + KIND]!;
    if (kind === HISTOGRAM) this.histograms.delete(this.refs[slot]!);
    else if (kind === XOR2) this.xor2.delete(this.refs[slot]!);
    else if (kind !== NO_CHUNK) this.arena.release(this.#words[w + BLOCK]!);
    this.#words[w + KIND] = NO_CHUNK;
  }

  addFull(slot: number, chunk: FullChunk): void {
    this.setFullList(slot, this.full.add(this.fullList(slot), chunk));
  }

  setFullList(slot: number, list: number): void {
    this.#words[slot * WORDS + FULL] = list;
  }

  /** Gives a series without samples the full chunks of a list that is not empty. */
  takeFull(slot: number, list: number): void {
    this.#words[slot * WORDS + FULL] = list;
    this.#doubles[slot * DOUBLES + TIME] = this.full.maxt(list - 1);
  }

  /** The list of the slot's full chunks as it is now, for `full`. */
  fullList(slot: number): number {
    return this.#words[slot * WORDS + FULL]!;
  }

  /** Full chunks that overlap [mint, maxt], oldest first. */
  fullChunks(slot: number, mint: number, maxt: number): FullChunk[] {
    return this.full.overlapping(this.fullList(slot), mint, maxt);
  }

  /** The first time of the series' chunks that reach `from`, not below it; Infinity when there are none. */
  firstTime(slot: number, from: number): number {
    if (this.lastTime(slot) < from) return Infinity;
    const open = this.hasOpenChunk(slot) ? this.openMint(slot) : Infinity;
    return Math.max(this.full.oldestMint(this.fullList(slot), from, open), from);
  }

  /** Encoding of the newest chunk, open or full; 0 when there is none. */
  newestEncoding(slot: number): number {
    const kind = this.#words[slot * WORDS + KIND]!;
    if (kind === HISTOGRAM) return this.histogram(slot)!.encoding;
    if (kind === XOR2) return ENCODING.XOR2;
    if (kind !== NO_CHUNK) return ENCODING.XOR;
    const list = this.fullList(slot);
    return list === 0 ? 0 : this.full.encoding(list - 1);
  }

  /** Takes over a series of the state before, without full chunks that end before `time`. */
  adopt(from: HeadSeries, fromSlot: number, time: number): number {
    const slot = this.add(from.refs[fromSlot]!, from.labels(fromSlot));
    for (const chunk of from.fullChunks(fromSlot, time, Infinity)) this.addFull(slot, chunk);
    this.takeRecord(slot, from, fromSlot, from.fullList(fromSlot));
    return slot;
  }

  /** Takes over what appends have changed; full chunks newer than `seenFull` come too. */
  takeRecord(slot: number, from: HeadSeries, fromSlot: number, seenFull: number): void {
    const w = slot * WORDS;
    const labels = this.#words[w + LABELS]!;
    const newest = from.fullList(fromSlot);
    if (newest !== seenFull)
      for (const chunk of from.full.overlapping(newest, -Infinity, Infinity, seenFull)) this.addFull(slot, chunk);
    const full = this.#words[w + FULL]!;
    const source = fromSlot * WORDS;
    for (let i = 0; i < WORDS; i++) this.#words[w + i] = from.#words[source + i]!;
    this.#words[w + LABELS] = labels;
    this.#words[w + FULL] = full;
  }

  /** Copies of what appends change, of the slots a reader wants: see `ReadView`. */
  snapshot(slots: Uint32Array): {
    readonly doubles: Float64Array<ArrayBuffer>;
    readonly words: Uint32Array<ArrayBuffer>;
  } {
    const doubles = new Float64Array(slots.length * DOUBLES);
    const words = new Uint32Array(doubles.buffer);
    for (let i = 0; i < slots.length; i++) {
      const source = slots[i]! * WORDS;
      const target = i * WORDS;
      for (let k = 0; k < WORDS; k++) words[target + k] = this.#words[source + k]!;
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
      this.full.bytes +
      this.postings.bytes
    );
  }
}

/** The old memory is given back at once: nobody else has it. */
function grown(list: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  return new Float64Array(list.buffer.transfer(length * Float64Array.BYTES_PER_ELEMENT));
}
