/**
 * Reads a whole block and holds every part against the others:
 *
 *   index     checksums; symbols, series, labels and chunks ascend; postings name exactly the series of each pair
 *   chunks    checksums; inside the block's time range; optionally every sample, against count, mint and maxt
 *   meta.json   counts are those found; that of tombstones is a hint to compaction
 *   cairn-extras  checksums, order
 *
 * Memory: symbols, postings table, and some 50 bytes for each distinct label pair.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import { holdsFloats } from "../chunk/encoding.ts";
import { SampleCursor } from "../chunk/sample-cursor.ts";
import { SeriesCursor } from "./series-cursor.ts";
import { utf8 } from "../encoding/reader.ts";
import { type FileRange, readIndexHeader } from "../index/header.ts";
import { type Postings, readPostings } from "../index/postings.ts";
import type { SymbolTable } from "../index/symbols.ts";
import type { BlockBytes } from "./bytes.ts";
import { EXTRAS_FILE, readExemplars, readMetadata } from "./extras.ts";
import type { StoredChunk } from "./chunk-entry.ts";
import type { BlockMeta } from "./meta.ts";
import { countTombstones, NO_TOMBSTONES, parseTombstones } from "./tombstones.ts";

/** Series or short lists between two looks at the clock. */
const STEP = 16;

export interface VerifyOptions {
  /** Decode every sample. Without, chunks are held against their checksums only. */
  readonly samples: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface BlockCounts {
  numSeries: number;
  numChunks: number;
  numSamples: number;
  numFloatSamples: number;
  numHistogramSamples: number;
  numTombstones: number;
}

/** What the block holds. @throws CorruptionError for the first thing that is wrong. */
export async function verifyBlock(
  bytes: BlockBytes,
  meta: BlockMeta,
  { samples, signal }: VerifyOptions,
): Promise<BlockCounts> {
  const metaFile = `${bytes.name}/meta.json`;
  if (meta.minTime > meta.maxTime) {
    throw new CorruptionError(metaFile, 0, `a time range from ${meta.minTime} to ${meta.maxTime}`);
  }
  const slices = new Slices(10, signal);
  const cursor = await SeriesCursor.open(bytes);
  checkSymbols(cursor.symbols, `${bytes.name}/index`);
  const pairs = new PairLists();
  const stones = await bytes.tombstones?.();
  const tombstonesFile = `${bytes.name}/tombstones`;
  const tombstones = stones === undefined ? NO_TOMBSTONES : parseTombstones(stones, tombstonesFile);
  const lost = new Set(tombstones.keys());
  const counts: BlockCounts = {
    numSeries: 0,
    numChunks: 0,
    numSamples: 0,
    numFloatSamples: 0,
    numHistogramSamples: 0,
    numTombstones: countTombstones(tombstones),
  };
  let all = 0;
  let before = new Uint32Array(64);
  let beforeCount = 0;
  /** Of the labels of the series before, which the next mostly shares. */
  let ids = new Uint32Array(64);
  while (cursor.isBuffered || (await cursor.load())) {
    cursor.next();
    const { labels, labelCount } = cursor;
    checkLabels(before, beforeCount, cursor);
    if (counts.numSeries === 0) all = pairs.idOf(ALL, 0);
    pairs.addTo(all, cursor.ref);
    if (labels.length > before.length) {
      before = doubled(before, labels.length);
      ids = doubled(ids, labels.length);
    }
    for (let i = 0; i < labelCount; i += 2) {
      if (i >= beforeCount || labels[i] !== before[i] || labels[i + 1] !== before[i + 1])
        ids[i] = pairs.idOf(labels[i]!, labels[i + 1]!);
      pairs.addTo(ids[i]!, cursor.ref);
    }
    for (let i = 0; i < labelCount; i++) before[i] = labels[i]!;
    beforeCount = labelCount;
    lost.delete(cursor.ref);
    counts.numSeries++;
    const chunks = cursor.chunks() ?? (await cursor.loadChunks());
    checkChunks(chunks, meta, counts, samples, cursor);
    if ((samples || counts.numSeries % STEP === 0) && slices.due) await slices.breathe();
  }
  await checkPostings(bytes, pairs, slices);
  await checkExtras(bytes, slices);
  for (const ref of lost) {
    throw new CorruptionError(tombstonesFile, 0, `tombstones of series ${ref}, which is not there`);
  }
  for (const [name, found] of Object.entries(counts) as [keyof BlockCounts, number][]) {
    // Tombstones are written first: a kill between the two files leaves the count of before, and nothing is lost.
    const claimed = name === "numTombstones" ? undefined : meta.stats?.[name];
    // Old writers count less, and Prometheus leaves out what is 0.
    if (claimed !== undefined && claimed !== found) {
      throw new CorruptionError(metaFile, 0, `${name} is ${claimed}, there are ${found}`);
    }
  }
  return counts;
}

async function checkExtras({ extras, name }: BlockBytes, slices: Slices): Promise<void> {
  if (extras === undefined) return;
  const file = `${name}/${EXTRAS_FILE}`;
  await readMetadata(extras, file);
  for (const _ of (await readExemplars(extras, file)).series) if (slices.due) await slices.breathe();
}

function checkSymbols(symbols: SymbolTable, file: string): void {
  for (let i = 1; i < symbols.count; i++) {
    if (symbols.compare(i - 1, symbols, i) >= 0) {
      throw new CorruptionError(file, 0, `symbol ${i} is not behind the one before`);
    }
  }
}

/** `before`: the labels of the series before. */
function checkLabels(before: Uint32Array, beforeCount: number, { name, ref, labels, labelCount }: SeriesCursor): void {
  const fail = (what: string): never => {
    throw new CorruptionError(`${name}/index`, 0, `series ${ref}: ${what}`);
  };
  for (let i = 2; i < labelCount; i += 2) if (labels[i]! <= labels[i - 2]!) fail("label names do not ascend");
  let same = 0;
  while (same < labelCount && same < beforeCount && labels[same] === before[same]) same++;
  const ascends = same < labelCount && (same === beforeCount || before[same]! < labels[same]!);
  if (!ascends && (beforeCount > 0 || labelCount > 0)) fail("not behind the series before");
}

function checkChunks(
  chunks: readonly StoredChunk[],
  { minTime, maxTime }: BlockMeta,
  counts: BlockCounts,
  decode: boolean,
  cursor: SeriesCursor,
): void {
  let end = -Infinity;
  for (const chunk of chunks) {
    const { mint, maxt } = chunk;
    if (mint > maxt || mint <= end) fail(cursor, chunk, "overlaps the chunk before or itself");
    end = maxt;
    if (mint < minTime || maxt >= maxTime) fail(cursor, chunk, `outside of the block's ${minTime} to ${maxTime}`);
    chunk.verify();
    if (chunk.dataLength < 2) fail(cursor, chunk, `${chunk.dataLength} bytes`);
    const count = chunk.sampleCount;
    if (decode) checkSamples(chunk, count, (what) => fail(cursor, chunk, what));
    counts.numChunks++;
    counts.numSamples += count;
    if (holdsFloats(chunk.encoding)) counts.numFloatSamples += count;
    else counts.numHistogramSamples += count;
  }
}

function fail({ name, ref }: SeriesCursor, { mint, maxt }: StoredChunk, what: string): never {
  throw new CorruptionError(`${name}, series ${ref}, chunk from ${mint} to ${maxt}`, 0, what);
}

function checkSamples(chunk: StoredChunk, count: number, fail: (what: string) => never): void {
  const cursor = new SampleCursor(chunk, "samples");
  let read = 0;
  let before = -Infinity;
  while (cursor.next()) {
    if (read === 0 && cursor.time !== chunk.mint) fail(`begins at ${cursor.time}`);
    if (cursor.time <= before) fail(`time ${cursor.time} behind ${before}`);
    before = cursor.time;
    read++;
  }
  if (read !== count || read === 0) fail(`${count} samples claimed, ${read} there`);
  if (before !== chunk.maxt) fail(`ends at ${before}`);
}

/**
 * For each label pair how many series have it and a hash of their refs in order: what its postings must come to. Open
 * addressing in columns: a `Map` by pair took 200 ms of a merge of 100,000 series (bench/blocks.ts).
 */
class PairLists {
  /** By place: id plus one, 0 is free. */
  #table = new Uint32Array(1 << 12);
  #names = new Uint32Array(1024);
  #values = new Uint32Array(1024);
  #counts = new Uint32Array(1024);
  #hashes = new Uint32Array(1024);
  size = 0;

  /** The id of a pair, for `addTo`. */
  idOf(name: number, value: number): number {
    const place = this.#place(name, value);
    let id = this.#table[place]! - 1;
    if (id < 0) {
      id = this.size++;
      if (id === this.#names.length) this.#grow();
      this.#names[id] = name;
      this.#values[id] = value;
      this.#table[place] = id + 1;
      if (2 * this.size > this.#table.length) this.#rehash();
    }
    return id;
  }

  /** Adds the next series of a pair. */
  addTo(id: number, ref: number): void {
    this.#counts[id]!++;
    this.#hashes[id] = hashed(this.#hashes[id]!, ref);
  }

  /** Where the pair is, or would be. */
  #place(name: number, value: number): number {
    const mask = this.#table.length - 1;
    let place = Math.imul(Math.imul(name, 0x85ebca6b) ^ value, 0x9e3779b1);
    place = (place ^ (place >>> 15)) & mask;
    for (; ; place = (place + 1) & mask) {
      const id = this.#table[place]! - 1;
      if (id < 0 || (this.#names[id] === name && this.#values[id] === value)) return place;
    }
  }

  #grow(): void {
    this.#names = doubled(this.#names);
    this.#values = doubled(this.#values);
    this.#counts = doubled(this.#counts);
    this.#hashes = doubled(this.#hashes);
  }

  #rehash(): void {
    this.#table = new Uint32Array(2 * this.#table.length);
    for (let id = 0; id < this.size; id++) this.#table[this.#place(this.#names[id]!, this.#values[id]!)] = id + 1;
  }

  /** Whether `refs` are the series of the pair. */
  holds(name: number, value: number, refs: Postings): boolean {
    const id = this.#table[this.#place(name, value)]! - 1;
    if (id < 0) return refs.length === 0;
    let hash = 0;
    for (let i = 0; i < refs.length; i++) hash = hashed(hash, refs[i]!);
    return refs.length === this.#counts[id] && hash >>> 0 === this.#hashes[id];
  }
}

/** As a name: the list of all series, which is no symbol's. */
const ALL = 0xffffffff;

function hashed(hash: number, ref: number): number {
  return Math.imul(hash ^ ref, 0x9e3779b1) + 1;
}

function doubled(list: Uint32Array<ArrayBuffer>, length = list.length): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length * 2);
  larger.set(list);
  return larger;
}

const LISTS_WINDOW_BYTES = 1 << 20;

async function checkPostings(bytes: BlockBytes, pairs: PairLists, slices: Slices): Promise<void> {
  const file = `${bytes.name}/index`;
  const header = await readIndexHeader(bytes.index, await bytes.indexSize(), file);
  let filled = 0;
  let window = { from: 0, bytes: new Uint8Array(0) as Uint8Array };
  const { symbols } = header;
  let nameBefore: number | undefined;
  let valueBefore = 0;
  for (let i = 0; i < header.entryCount; i++) {
    const list = header.list(i);
    const { from, to } = list.range;
    if (from < window.from || to > window.from + window.bytes.length) {
      window = { from, bytes: await bytes.index(from, Math.max(to - from, LISTS_WINDOW_BYTES)) };
    }
    const refs = readPostings(window.bytes, from - window.from, file);
    const textOf = ({ from: start, to: end }: FileRange): string => utf8(list.bytes, start, end);
    const isAll = list.name.from === list.name.to;
    const name = isAll ? ALL : symbols.find(list.bytes, list.name.from, list.name.to, nameBefore ?? 0);
    const value = isAll ? 0 : symbols.find(list.bytes, list.value.from, list.value.to, valueBefore);
    if (i > 0 && name === nameBefore && (value ?? 0) <= valueBefore) {
      const what = `values of ${textOf(list.name)} do not ascend at "${textOf(list.value)}"`;
      throw new CorruptionError(file, header.toc.postingsTable, what);
    }
    if (name === undefined || value === undefined || !pairs.holds(name, value, refs)) {
      const what = `postings of ${textOf(list.name)}="${textOf(list.value)}" are not the series that have it`;
      throw new CorruptionError(file, from, what);
    }
    nameBefore = name;
    valueBefore = value;
    if (refs.length > 0) filled++;
    if ((refs.length > STEP || i % STEP === 0) && slices.due) await slices.breathe();
  }
  if (filled !== pairs.size) {
    throw new CorruptionError(file, header.toc.postingsTable, `${pairs.size - filled} label pairs have no postings`);
  }
}
