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
import { LabelSets, type LabelSetsImage } from "./label-sets.ts";
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

const PAGE_BITS = 10;
const PAGE_SLOTS = 1 << PAGE_BITS;
const PAGE_BYTES = PAGE_SLOTS * DOUBLES * Float64Array.BYTES_PER_ELEMENT;

export interface SeriesImage {
  readonly refs: Float64Array<ArrayBuffer>;
  readonly records: readonly Float64Array<ArrayBuffer>[];
  readonly labelSets: LabelSetsImage;
  readonly symbols: SymbolsImage;
  readonly postings: PostingsImage;
  readonly full: FullChunksImage;
  readonly arena: ArenaImage;
}

export class HeadSeries {
  readonly symbols: HeadSymbols;
  /** By the addresses that records have. */
  readonly labelSets: LabelSets;
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
  /** Records, `PAGE_SLOTS` a page: they are never copied to a larger place, which would leave holes of megabytes. */
  #doubles: Float64Array<ArrayBuffer>[] = [];
  /** The same memory. */
  #words: Uint32Array<ArrayBuffer>[] = [];
  /** Replaced as it grows: not to be kept. */
  refs: Float64Array<ArrayBuffer> = new Float64Array(1024);
  readonly #xor = emptyXorState(new Uint8Array(0));

  /** `seed` is for hashes. `before`: the state that this one follows; open chunks are shared with it. */
  constructor(seed: number, before?: HeadSeries) {
    this.symbols = new HeadSymbols(seed);
    this.labelSets = new LabelSets(seed);
    this.arena = before?.arena ?? new Arena();
    this.histograms = before?.histograms ?? new Map<number, OpenHistogram>();
    this.xor2 = before?.xor2 ?? new Map<number, Xor2Appender>();
  }

  /** For a head's image: views. Open chunks that are objects are not in it. */
  get image(): SeriesImage {
    return {
      refs: this.refs.subarray(0, this.count),
      records: this.#doubles.map((page, p) => page.subarray(0, DOUBLES * (this.count - p * PAGE_SLOTS))),
      labelSets: this.labelSets.image,
      symbols: this.symbols.image,
      postings: this.postings.image,
      full: this.full.image,
      arena: this.arena.image,
    };
  }

  /** Of new series with the same seed. */
  takeImage({ refs, records, labelSets, symbols, postings, full, arena }: SeriesImage): void {
    this.count = refs.length;
    this.refs = refs;
    for (const { buffer } of records) this.#addPage(buffer.transfer(PAGE_BYTES));
    this.labelSets.takeImage(labelSets);
    this.symbols.takeImage(symbols);
    this.postings.takeImage(postings);
    this.full.takeImage(full);
    this.arena.takeImage(arena);
  }

  /** The open chunk was an object that is not there. */
  dropObject(slot: number): void {
    const list = this.fullList(slot);
    this.#wordsOf(slot)[wordAt(slot) + KIND] = NO_CHUNK;
    this.setLastTime(slot, list === 0 ? -Infinity : this.full.maxt(list - 1));
  }

  #addPage(memory: ArrayBuffer): void {
    this.#doubles.push(new Float64Array(memory));
    this.#words.push(new Uint32Array(memory));
  }

  #doublesOf(slot: number): Float64Array {
    return this.#doubles[slot >>> PAGE_BITS]!;
  }

  #wordsOf(slot: number): Uint32Array {
    return this.#words[slot >>> PAGE_BITS]!;
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
    if (slot === this.refs.length) this.refs = new Float64Array(this.refs.buffer.transfer(8 * Math.ceil(1.25 * slot)));
    if (slot >>> PAGE_BITS === this.#doubles.length) this.#addPage(new ArrayBuffer(PAGE_BYTES));
    this.refs[slot] = ref;
    this.#doublesOf(slot)[doubleAt(slot) + TIME] = -Infinity;
    this.#wordsOf(slot)[wordAt(slot) + LABELS] = this.labelSets.add(ids);
    for (let i = 0; i < ids.length; i += 2) this.postings.add(ids[i]!, ids[i + 1]!, slot);
    this.count++;
    return slot;
  }

  #labelSet(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot) + LABELS]!;
  }

  /** The id of the value of the first label, which nearly always is the metric's name. */
  firstValue(slot: number): number {
    const set = this.#labelSet(slot);
    return this.labelSets.count(this.labelSets.names(set)) === 0 ? 0 : this.labelSets.value(set, 0);
  }

  /** Sets `marks[id]` for its names and values. */
  markLabels(slot: number, marks: Uint8Array): void {
    const sets = this.labelSets;
    const set = this.#labelSet(slot);
    const names = sets.names(set);
    for (let k = 0, count = sets.count(names); k < count; k++) {
      marks[sets.name(names, k)] = 1;
      marks[sets.value(set, k)] = 1;
    }
  }

  /** `numbers[id]` of name, value, name, value, …: `into`, or fresh memory where that has another length. */
  labelNumbers(slot: number, numbers: Uint32Array, into: Uint32Array): Uint32Array {
    const sets = this.labelSets;
    const set = this.#labelSet(slot);
    const names = sets.names(set);
    const count = sets.count(names);
    const out = into.length === 2 * count ? into : new Uint32Array(2 * count);
    for (let k = 0; k < count; k++) {
      out[2 * k] = numbers[sets.name(names, k)]!;
      out[2 * k + 1] = numbers[sets.value(set, k)]!;
    }
    return out;
  }

  /** The ids of the values that these series have for a label, each once. */
  valueIds(nameId: number, slots: Uint32Array): number[] {
    // Bits: bytes for 500,000 symbols are fresh memory at each call, a request 2.5 ms of CPU instead of 1.6 (bench/figures.ts).
    const seen = new Uint32Array((this.symbols.count + 31) >>> 5);
    const found: number[] = [];
    const sets = this.labelSets;
    let lastNames = -1;
    let k = -1;
    for (let i = 0; i < slots.length; i++) {
      const set = this.#labelSet(slots[i]!);
      const names = sets.names(set);
      if (names !== lastNames) k = sets.indexOf(names, nameId);
      lastNames = names;
      if (k < 0) continue;
      const id = sets.value(set, k);
      const bit = 1 << (id & 31);
      if ((seen[id >>> 5]! & bit) === 0) found.push(id);
      seen[id >>> 5]! |= bit;
    }
    return found;
  }

  /** Order of two series by labels; `ranks` orders symbols. */
  compare(a: number, b: number, ranks: Uint32Array): number {
    return this.labelSets.compare(this.#labelSet(a), this.#labelSet(b), (x, y) => ranks[x]! - ranks[y]!);
  }

  /** The same order without ranks. */
  compareTexts(a: number, b: number): number {
    return this.labelSets.compare(this.#labelSet(a), this.#labelSet(b), (x, y) => this.symbols.compare(x, y));
  }

  labels(slot: number): Labels {
    return this.labelSets.labels(this.#labelSet(slot), this.symbols.texts);
  }

  /** Time of the last sample; -Infinity before the first. */
  lastTime(slot: number): number {
    return this.#doublesOf(slot)[doubleAt(slot) + TIME]!;
  }

  setLastTime(slot: number, time: number): void {
    this.#doublesOf(slot)[doubleAt(slot) + TIME] = time;
  }

  /** Whether the last sample has these bits. */
  lastValueIs(slot: number, low: number, high: number): boolean {
    const words = this.#wordsOf(slot);
    const at = wordAt(slot) + VALUE_WORD;
    return words[at] === low >>> 0 && words[at + 1] === high >>> 0;
  }

  /** Of the last float, low before high. */
  lastWords(slot: number): readonly [number, number] {
    const words = this.#wordsOf(slot);
    const at = wordAt(slot) + VALUE_WORD;
    return [words[at]! | 0, words[at + 1]! | 0];
  }

  /** For messages: a NaN's payload may be lost. */
  lastValue(slot: number): number {
    return this.#doublesOf(slot)[doubleAt(slot) + VALUE_WORD / 2]!;
  }

  hasOpenChunk(slot: number): boolean {
    return this.#wordsOf(slot)[wordAt(slot) + KIND] !== NO_CHUNK;
  }

  /** Whether the open chunk takes a float; one with start timestamps takes those without, too. */
  takesFloat(slot: number, start: number): boolean {
    const kind = this.#wordsOf(slot)[wordAt(slot) + KIND];
    return kind === XOR2 || (start === 0 && (kind === XOR || kind === STORED));
  }

  /** Whether the open chunk must be decoded and given to `restore` before it is written on. */
  hasStored(slot: number): boolean {
    return this.#wordsOf(slot)[wordAt(slot) + KIND] === STORED;
  }

  openCount(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot) + STATE]! & 0xffff;
  }

  /** Bytes of the open chunk as it would be stored. */
  openBytes(slot: number): number {
    return (this.#wordsOf(slot)[wordAt(slot) + BITS]! + 7) >>> 3;
  }

  openMint(slot: number): number {
    return this.#doublesOf(slot)[doubleAt(slot) + CHUNK_MINT]!;
  }

  nextAt(slot: number): number {
    return this.#doublesOf(slot)[doubleAt(slot) + NEXT_AT]!;
  }

  setNextAt(slot: number, time: number): void {
    this.#doublesOf(slot)[doubleAt(slot) + NEXT_AT] = time;
  }

  /** Starts an empty open chunk of floats; the one before has been taken by `addFull` or dropped. */
  open(slot: number, mint: number, nextAt: number, withStarts: boolean): void {
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    if (withStarts) this.xor2.set(this.refs[slot]!, new Xor2Appender());
    else {
      words[w + BLOCK] = this.arena.allocate();
      words[w + BITS] = XOR_HEADER_BYTES * 8;
    }
    words[w + STATE] = 0;
    words[w + KIND] = withStarts ? XOR2 : XOR;
    this.#doublesOf(slot)[doubleAt(slot) + CHUNK_MINT] = mint;
    this.#doublesOf(slot)[doubleAt(slot) + NEXT_AT] = nextAt;
  }

  /** Takes a stored XOR chunk as the open one; `low` and `high` are its last value. */
  takeStored(slot: number, { data, mint, maxt }: Chunk, low: number, high: number): void {
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    words[w + BLOCK] = this.arena.store(data);
    words[w + BITS] = data.length * 8;
    words[w + STATE] = xorCount(data, 0);
    words[w + KIND] = STORED;
    words[w + VALUE_WORD] = low;
    words[w + VALUE_WORD + 1] = high;
    this.#doublesOf(slot)[doubleAt(slot) + TIME] = maxt;
    this.#doublesOf(slot)[doubleAt(slot) + CHUNK_MINT] = mint;
  }

  /**
   * Takes a stored XOR chunk, just decoded, as the open one, to be written on from where `decodedEnd` says; `nextAt` as
   * for `open`.
   */
  restore(slot: number, { data, mint }: Chunk, nextAt: number, last: number, low: number, high: number): void {
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    const doubles = this.#doublesOf(slot);
    const d = doubleAt(slot);
    words[w + BLOCK] = this.arena.store(data.subarray(0, (decodedEnd.bits + 7) >>> 3));
    words[w + BITS] = decodedEnd.bits;
    words[w + STATE] = xorCount(data, 0) | (decodedEnd.leading << 16) | (decodedEnd.trailing << 24);
    words[w + KIND] = XOR;
    words[w + VALUE_WORD] = low;
    words[w + VALUE_WORD + 1] = high;
    doubles[d + TIME] = last;
    doubles[d + DELTA] = decodedEnd.delta;
    doubles[d + CHUNK_MINT] = mint;
    doubles[d + NEXT_AT] = nextAt;
  }

  /** Appends a float that `takesFloat` is true for; `start` 0 is unknown. */
  append(slot: number, time: number, low: number, high: number, start: number): void {
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    const doubles = this.#doublesOf(slot);
    const d = doubleAt(slot);
    if (words[w + KIND] === XOR2) {
      this.#appendXor2(slot, time, low, high, start);
      return;
    }
    const state = words[w + STATE]!;
    const xor = this.#xor;
    xor.count = state & 0xffff;
    xor.leading = (state >>> 16) & 0xff;
    xor.trailing = state >>> 24;
    xor.time = doubles[d + TIME]!;
    xor.delta = doubles[d + DELTA]!;
    xor.valueLow = words[w + VALUE_WORD]! | 0;
    xor.valueHigh = words[w + VALUE_WORD + 1]! | 0;
    words[w + BLOCK] = this.arena.append(words[w + BLOCK]!, words[w + BITS]!, xor, time, low, high);
    words[w + BITS] = xor.bitAt;
    words[w + STATE] = xor.count | (xor.leading << 16) | (xor.trailing << 24);
    doubles[d + TIME] = time;
    doubles[d + DELTA] = xor.delta;
    words[w + VALUE_WORD] = low;
    words[w + VALUE_WORD + 1] = high;
  }

  #appendXor2(slot: number, time: number, low: number, high: number, start: number): void {
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    const xor2 = this.xor2.get(this.refs[slot]!)!;
    xor2.append(start, time, low, high);
    words[w + BITS] = xor2.bitCount;
    words[w + STATE] = xor2.count;
    this.#doublesOf(slot)[doubleAt(slot) + TIME] = time;
    this.#doublesOf(slot)[doubleAt(slot) + DELTA] = start;
    words[w + VALUE_WORD] = low;
    words[w + VALUE_WORD + 1] = high;
  }

  /** The open chunk as it would be stored; undefined when there is none. The bytes are the chunk's own copy. */
  openChunk(slot: number): Chunk | undefined {
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    const kind = words[w + KIND]!;
    if (kind === NO_CHUNK) return undefined;
    const times = { mint: this.openMint(slot), maxt: this.lastTime(slot) };
    const ref = this.refs[slot]!;
    if (kind === XOR2) return { ...times, encoding: ENCODING.XOR2, data: this.xor2.get(ref)!.bytes().slice() };
    if (kind === HISTOGRAM) {
      const open = this.histograms.get(ref)!;
      return { ...times, encoding: open.encoding, data: open.bytes().slice() };
    }
    const data = new Uint8Array(this.openBytes(slot));
    this.arena.read(words[w + BLOCK]!, words[w + BITS]!, this.openCount(slot), data, 0);
    return { ...times, encoding: ENCODING.XOR, data };
  }

  /** Whether the open chunk is not in the arena. */
  hasObject(slot: number): boolean {
    const kind = this.#wordsOf(slot)[wordAt(slot) + KIND];
    return kind === HISTOGRAM || kind === XOR2;
  }

  /** Whether any open chunk is not in the arena. */
  get hasObjects(): boolean {
    return this.histograms.size > 0 || this.xor2.size > 0;
  }

  /** The open chunk if it is one of histograms. */
  histogram(slot: number): OpenHistogram | undefined {
    return this.#wordsOf(slot)[wordAt(slot) + KIND] === HISTOGRAM ? this.histograms.get(this.refs[slot]!) : undefined;
  }

  /** Starts an open chunk of histograms; the one before has been closed. */
  openHistogram(slot: number, chunk: OpenHistogram): void {
    this.#wordsOf(slot)[wordAt(slot) + KIND] = HISTOGRAM;
    this.histograms.set(this.refs[slot]!, chunk);
  }

  /** To be called after each append to an open chunk of histograms. */
  setHistogramTimes(slot: number, mint: number, last: number): void {
    this.#doublesOf(slot)[doubleAt(slot) + CHUNK_MINT] = mint;
    this.#doublesOf(slot)[doubleAt(slot) + TIME] = last;
  }

  /** Gives the open chunk's memory back. */
  close(slot: number): void {
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    const kind = words[w + KIND]!;
    if (kind === HISTOGRAM) this.histograms.delete(this.refs[slot]!);
    else if (kind === XOR2) this.xor2.delete(this.refs[slot]!);
    else if (kind !== NO_CHUNK) this.arena.release(words[w + BLOCK]!);
    words[w + KIND] = NO_CHUNK;
  }

  addFull(slot: number, chunk: FullChunk): void {
    this.setFullList(slot, this.full.add(this.fullList(slot), chunk));
  }

  setFullList(slot: number, list: number): void {
    this.#wordsOf(slot)[wordAt(slot) + FULL] = list;
  }

  /** Gives a series without samples the full chunks of a list that is not empty. */
  takeFull(slot: number, list: number): void {
    this.#wordsOf(slot)[wordAt(slot) + FULL] = list;
    this.#doublesOf(slot)[doubleAt(slot) + TIME] = this.full.maxt(list - 1);
  }

  /** The list of the slot's full chunks as it is now, for `full`. */
  fullList(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot) + FULL]!;
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
    const kind = this.#wordsOf(slot)[wordAt(slot) + KIND]!;
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
    const words = this.#wordsOf(slot);
    const w = wordAt(slot);
    const labels = words[w + LABELS]!;
    const newest = from.fullList(fromSlot);
    if (newest !== seenFull)
      for (const chunk of from.full.overlapping(newest, -Infinity, Infinity, seenFull)) this.addFull(slot, chunk);
    const full = words[w + FULL]!;
    const sources = from.#wordsOf(fromSlot);
    const source = wordAt(fromSlot);
    for (let i = 0; i < WORDS; i++) words[w + i] = sources[source + i]!;
    words[w + LABELS] = labels;
    words[w + FULL] = full;
  }

  /** Copies of what appends change, of the slots a reader wants: see `ReadView`. */
  snapshot(slots: Uint32Array): {
    readonly doubles: Float64Array<ArrayBuffer>;
    readonly words: Uint32Array<ArrayBuffer>;
  } {
    const doubles = new Float64Array(slots.length * DOUBLES);
    const words = new Uint32Array(doubles.buffer);
    for (let i = 0; i < slots.length; i++) {
      const sources = this.#wordsOf(slots[i]!);
      const source = wordAt(slots[i]!);
      const target = i * WORDS;
      for (let k = 0; k < WORDS; k++) words[target + k] = sources[source + k]!;
    }
    return { doubles, words };
  }

  /** Bytes of the typed arrays, for `cairn_head_arena_bytes`. */
  get bytes(): number {
    return (
      this.arena.bytes +
      this.#doubles.length * PAGE_BYTES +
      this.refs.byteLength +
      this.labelSets.bytes +
      this.full.bytes +
      this.postings.bytes
    );
  }
}

/** Where the record of a slot begins in its page. */
function wordAt(slot: number): number {
  return (slot & (PAGE_SLOTS - 1)) * WORDS;
}

function doubleAt(slot: number): number {
  return (slot & (PAGE_SLOTS - 1)) * DOUBLES;
}
