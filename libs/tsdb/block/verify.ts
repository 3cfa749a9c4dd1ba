/**
 * Reads a whole block and holds every part against the others:
 *
 *   index     checksums; symbols, series, labels and chunks ascend; postings name exactly the series of each pair
 *   chunks    checksums; inside the block's time range; optionally every sample, against count, mint and maxt
 *   meta.json, tombstones   counts are those found
 *   cairn-extras            checksums, order
 *
 * Memory: symbols, postings table, and some 50 bytes for each distinct label pair.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import { holdsFloats } from "../chunk/encoding.ts";
import { SampleCursor } from "../chunk/sample-cursor.ts";
import { SeriesCursor } from "./series-cursor.ts";
import { readIndexHeader } from "../index/header.ts";
import { type Postings, readPostings } from "../index/postings.ts";
import type { SymbolTable } from "../index/symbols.ts";
import type { BlockBytes } from "./bytes.ts";
import { EXTRAS_FILE, readExemplars, readMetadata } from "./extras.ts";
import type { StoredChunk } from "./chunk-entry.ts";
import type { BlockMeta } from "./meta.ts";
import { countTombstones, NO_TOMBSTONES, parseTombstones } from "./tombstones.ts";

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
  let before: Uint32Array = new Uint32Array(0);
  while (cursor.isBuffered || (await cursor.load())) {
    cursor.next();
    const labels = cursor.labels.slice(0, cursor.labelCount);
    checkLabels(before, labels, cursor);
    before = labels;
    pairs.add(0, 0, cursor.ref, "all");
    for (let i = 0; i < labels.length; i += 2) pairs.add(labels[i]!, labels[i + 1]!, cursor.ref, "pair");
    lost.delete(cursor.ref);
    counts.numSeries++;
    const chunks = cursor.chunks() ?? (await cursor.loadChunks());
    checkChunks(chunks, meta, counts, samples, cursor);
    if (slices.due) await slices.breathe();
  }
  await checkPostings(bytes, pairs, slices);
  await checkExtras(bytes, slices);
  for (const ref of lost) {
    throw new CorruptionError(tombstonesFile, 0, `tombstones of series ${ref}, which is not there`);
  }
  for (const [name, found] of Object.entries(counts) as [keyof BlockCounts, number][]) {
    const claimed = meta.stats?.[name];
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
    if (Buffer.compare(symbols.bytes(i - 1), symbols.bytes(i)) >= 0) {
      throw new CorruptionError(file, 0, `symbol ${i} is not behind the one before`);
    }
  }
}

function checkLabels(before: Uint32Array, labels: Uint32Array, { name, ref }: SeriesCursor): void {
  const fail = (what: string): never => {
    throw new CorruptionError(`${name}/index`, 0, `series ${ref}: ${what}`);
  };
  for (let i = 2; i < labels.length; i += 2) if (labels[i]! <= labels[i - 2]!) fail("label names do not ascend");
  let same = 0;
  while (same < labels.length && labels[same] === before[same]) same++;
  const ascends = same < labels.length && (same >= before.length || before[same]! < labels[same]!);
  if (!ascends && (before.length > 0 || labels.length > 0)) fail("not behind the series before");
}

function checkChunks(
  chunks: readonly StoredChunk[],
  { minTime, maxTime }: BlockMeta,
  counts: BlockCounts,
  decode: boolean,
  { name, ref }: SeriesCursor,
): void {
  let end = -Infinity;
  for (const chunk of chunks) {
    const { mint, maxt, encoding } = chunk;
    const fail = (what: string): never => {
      throw new CorruptionError(`${name}, series ${ref}, chunk from ${mint} to ${maxt}`, 0, what);
    };
    if (mint > maxt || mint <= end) fail("overlaps the chunk before or itself");
    end = maxt;
    if (mint < minTime || maxt >= maxTime) fail(`outside of the block's ${minTime} to ${maxTime}`);
    if (chunk.data.length < 2) fail(`${chunk.data.length} bytes`); // verifies the checksum, too
    const count = chunk.sampleCount;
    if (decode) checkSamples(chunk, count, fail);
    counts.numChunks++;
    counts.numSamples += count;
    if (holdsFloats(encoding)) counts.numFloatSamples += count;
    else counts.numHistogramSamples += count;
  }
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

/** For each label pair how many series have it and a hash of their refs in order: what its postings must come to. */
class PairLists {
  readonly #ids = new Map<number, number>();
  #counts = new Uint32Array(1024);
  #hashes = new Uint32Array(1024);

  /** Kind "all" is the list of all series, whose name and value are no symbols. */
  add(name: number, value: number, ref: number, kind: "all" | "pair"): void {
    const key = kind === "all" ? -1 : name * 4294967296 + value;
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(key, id);
      if (id === this.#counts.length) {
        this.#counts = doubled(this.#counts);
        this.#hashes = doubled(this.#hashes);
      }
    }
    this.#counts[id]!++;
    this.#hashes[id] = hashed(this.#hashes[id]!, ref);
  }

  get size(): number {
    return this.#ids.size;
  }

  /** Whether `refs` are the series of the pair; -1, 0 for all series. */
  holds(name: number, value: number, refs: Postings): boolean {
    const id = this.#ids.get(name === -1 ? -1 : name * 4294967296 + value);
    if (id === undefined) return refs.length === 0;
    let hash = 0;
    for (let i = 0; i < refs.length; i++) hash = hashed(hash, refs[i]!);
    return refs.length === this.#counts[id] && hash >>> 0 === this.#hashes[id];
  }
}

function hashed(hash: number, ref: number): number {
  return Math.imul(hash ^ ref, 0x9e3779b1) + 1;
}

function doubled(list: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(list.length * 2);
  larger.set(list);
  return larger;
}

const LISTS_WINDOW_BYTES = 1 << 20;

async function checkPostings(bytes: BlockBytes, pairs: PairLists, slices: Slices): Promise<void> {
  const file = `${bytes.name}/index`;
  const header = await readIndexHeader(bytes.index, await bytes.indexSize(), file);
  let filled = 0;
  let window = { from: 0, bytes: new Uint8Array(0) as Uint8Array };
  let name = "";
  let nameOrdinal: number | undefined = -1;
  let valueBefore = 0;
  for (let i = 0; i < header.entryCount; i++) {
    const list = header.list(i);
    const { from, to } = list.range;
    if (from < window.from || to > window.from + window.bytes.length) {
      window = { from, bytes: await bytes.index(from, Math.max(to - from, LISTS_WINDOW_BYTES)) };
    }
    const refs = readPostings(window.bytes, from - window.from, file);
    const isNewName = list.name !== name;
    if (isNewName) nameOrdinal = header.symbols.find(list.name);
    name = list.name;
    const valueOrdinal = name === "" ? 0 : header.symbols.find(list.value);
    if (!isNewName && i > 0 && (valueOrdinal ?? 0) <= valueBefore) {
      throw new CorruptionError(file, header.toc.postingsTable, `values of ${name} do not ascend at "${list.value}"`);
    }
    valueBefore = valueOrdinal ?? 0;
    if (nameOrdinal === undefined || valueOrdinal === undefined || !pairs.holds(nameOrdinal, valueOrdinal, refs)) {
      throw new CorruptionError(file, from, `postings of ${name}="${list.value}" are not the series that have it`);
    }
    if (refs.length > 0) filled++;
    if (slices.due) await slices.breathe();
  }
  if (filled !== pairs.size) {
    throw new CorruptionError(file, header.toc.postingsTable, `${pairs.size - filled} label pairs have no postings`);
  }
}
