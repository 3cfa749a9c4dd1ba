/**
 * Writes a block: segments of chunks and index v2, front to back, then meta.json and an empty tombstones file.
 *
 *   <dir>/<ULID>.tmp-for-creation/ ──fsync──▶ rename ──▶ <dir>/<ULID>/
 *
 * Only the postings are held in memory (8 bytes for each label of each series); the rest is streamed. A block is
 * complete or not there: what a crash leaves has the temporary name and is removed at the next start.
 * Formats: prometheus/tsdb/docs/format/{index,chunks}.md.
 */
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "#libs/kit/assert.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { type Chunk, holdsFloats, sampleCount } from "../chunk/encoding.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { FileWriter, syncFolder, writeFileAtomic } from "../files.ts";
import { INDEX_MAGIC, INDEX_VERSION } from "../index/toc.ts";
import { CHUNK_ENTRY_OVERHEAD, SEGMENT_BYTES_MAX, SEGMENT_MAGIC } from "./chunk-entry.ts";
import { type BlockMeta, formatMeta } from "./meta.ts";
import { writeTombstones } from "./tombstones.ts";

/** What only the caller knows of a block. */
export interface BlockIdentity {
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
  readonly compaction: BlockMeta["compaction"];
}

export interface WrittenBlock {
  readonly meta: BlockMeta;
  readonly path: string;
  /** Largest series entry and largest chunk, for `thanos.index_stats`. */
  readonly seriesBytesMax: number;
  readonly chunkBytesMax: number;
}

export class BlockWriter {
  readonly #path: string;
  readonly #temporary: string;
  readonly #index: FileWriter;
  readonly #symbols: readonly string[];
  readonly #out = new ByteWriter(4096);
  readonly #seriesAt: number;
  #segment: FileWriter | undefined;
  #segmentCount = 0;
  #pairIds = new Map<number, number>();
  #entryPairs: Uint32Array = new Uint32Array(1 << 12);
  #entryRefs: Uint32Array = new Uint32Array(1 << 12);
  #entryCount = 0;
  #refs: Uint32Array = new Uint32Array(1 << 10);
  #seriesCount = 0;
  #chunkCount = 0;
  #floatCount = 0;
  #histogramCount = 0;
  #seriesBytesMax = 0;
  #chunkBytesMax = 0;
  #previousLabels: Uint32Array = new Uint32Array(0);

  /** `symbols`: every name and value that will be used, ascending in UTF-8 order, each once. */
  constructor(path: string, symbols: readonly string[]) {
    this.#path = path;
    this.#temporary = `${path}.tmp-for-creation`;
    rmSync(this.#temporary, { recursive: true, force: true });
    mkdirSync(join(this.#temporary, "chunks"), { recursive: true });
    this.#index = new FileWriter(join(this.#temporary, "index"));
    this.#symbols = symbols;
    this.#writeSymbols();
    this.#seriesAt = this.#index.length;
  }

  #writeSymbols(): void {
    const out = new ByteWriter(1 << 16);
    out.u32(INDEX_MAGIC);
    out.u8(INDEX_VERSION);
    const lengthAt = out.length;
    out.u32(0);
    out.u32(this.#symbols.length);
    this.#symbols.forEach((symbol, i) => {
      assert(i === 0 || compareUtf8(this.#symbols[i - 1]!, symbol) < 0, "symbols of a block must ascend");
      out.text(symbol);
    });
    out.patchU32(lengthAt, out.length - lengthAt - 4);
    out.crc(lengthAt + 4);
    this.#index.write(out.bytes);
  }

  /**
   * Adds a series: `labels` are ordinals of symbols, name, value, …, in label order; series come in label order.
   * Chunks ascend and do not overlap. Their data is written as it is.
   */
  addSeries(labels: Uint32Array, chunks: readonly Chunk[]): void {
    assert(
      this.#seriesCount === 0 || compareOrdinals(this.#previousLabels, labels) < 0,
      "series of a block must ascend",
    );
    this.#previousLabels = labels.slice();
    this.#align(16);
    const ref = this.#index.length / 16;
    const out = this.#out;
    out.clear();
    out.uvarint(labels.length / 2);
    for (let i = 0; i < labels.length; i++) out.uvarint(labels[i]!);
    out.uvarint(chunks.length);
    let previousMaxt = 0;
    let previousRef = 0;
    chunks.forEach((chunk, i) => {
      const chunkRef = this.#writeChunk(chunk);
      assert(i === 0 || chunk.mint > previousMaxt, "chunks of a series must not overlap");
      if (i === 0) out.varint(chunk.mint);
      else out.uvarint(chunk.mint - previousMaxt);
      out.uvarint(chunk.maxt - chunk.mint);
      if (i === 0) out.uvarint(chunkRef);
      else out.varint(chunkRef - previousRef);
      previousMaxt = chunk.maxt;
      previousRef = chunkRef;
    });
    this.#writeEntry();
    this.#addPostings(ref, labels);
  }

  #align(to: number): void {
    this.#index.write(new Uint8Array((to - (this.#index.length % to)) % to));
  }

  #writeEntry(): void {
    const body = this.#out.bytes;
    const entry = new ByteWriter(body.length + 24);
    entry.uvarint(body.length);
    const from = entry.length;
    entry.raw(body);
    entry.crc(from);
    this.#seriesBytesMax = Math.max(this.#seriesBytesMax, entry.length);
    this.#index.write(entry.bytes);
  }

  #writeChunk(chunk: Chunk): number {
    const { data, encoding } = chunk;
    if (this.#segment === undefined || this.#segment.length + data.length + CHUNK_ENTRY_OVERHEAD > SEGMENT_BYTES_MAX) {
      this.#startSegment();
    }
    const segment = this.#segment!;
    const ref = (this.#segmentCount - 1) * 4294967296 + segment.length;
    const entry = new ByteWriter(data.length + CHUNK_ENTRY_OVERHEAD);
    entry.uvarint(data.length);
    const from = entry.length;
    entry.u8(encoding);
    entry.raw(data);
    entry.crc(from);
    segment.write(entry.bytes);
    this.#chunkBytesMax = Math.max(this.#chunkBytesMax, entry.length);
    this.#chunkCount++;
    const samples = sampleCount(encoding, data, 0);
    if (holdsFloats(encoding)) this.#floatCount += samples;
    else this.#histogramCount += samples;
    return ref;
  }

  #startSegment(): void {
    this.#segment?.close();
    this.#segmentCount++;
    const name = String(this.#segmentCount).padStart(6, "0");
    this.#segment = new FileWriter(join(this.#temporary, "chunks", name));
    const header = new ByteWriter(8);
    header.u32(SEGMENT_MAGIC);
    header.u8(1);
    header.align(8);
    this.#segment.write(header.bytes);
  }

  #addPostings(ref: number, labels: Uint32Array): void {
    if (this.#seriesCount === this.#refs.length) this.#refs = grown(this.#refs);
    this.#refs[this.#seriesCount++] = ref;
    for (let i = 0; i < labels.length; i += 2) {
      const key = labels[i]! * 4294967296 + labels[i + 1]!;
      let pair = this.#pairIds.get(key);
      if (pair === undefined) {
        pair = this.#pairIds.size;
        this.#pairIds.set(key, pair);
      }
      if (this.#entryCount === this.#entryPairs.length) {
        this.#entryPairs = grown(this.#entryPairs);
        this.#entryRefs = grown(this.#entryRefs);
      }
      this.#entryPairs[this.#entryCount] = pair;
      this.#entryRefs[this.#entryCount++] = ref;
    }
  }

  /** Completes the block. A block without series is a caller's mistake: there is nothing to keep. */
  finish(identity: BlockIdentity): WrittenBlock {
    assert(this.#seriesCount > 0, "a block without series");
    this.#segment?.close();
    this.#writePostings();
    this.#index.close();
    writeTombstones(join(this.#temporary, "tombstones"), []);
    const meta: BlockMeta = {
      ulid: identity.ulid,
      minTime: identity.minTime,
      maxTime: identity.maxTime,
      stats: {
        numSamples: this.#floatCount + this.#histogramCount,
        ...(this.#floatCount > 0 && { numFloatSamples: this.#floatCount }),
        ...(this.#histogramCount > 0 && { numHistogramSamples: this.#histogramCount }),
        numSeries: this.#seriesCount,
        numChunks: this.#chunkCount,
      },
      compaction: identity.compaction,
      version: 1,
    };
    writeFileAtomic(join(this.#temporary, "meta.json"), formatMeta(meta));
    syncFolder(join(this.#temporary, "chunks"));
    syncFolder(this.#temporary);
    renameSync(this.#temporary, this.#path);
    syncFolder(dirname(this.#path));
    return { meta, path: this.#path, seriesBytesMax: this.#seriesBytesMax, chunkBytesMax: this.#chunkBytesMax };
  }

  /** Removes what was written so far. */
  abandon(): void {
    this.#segment?.abandon();
    this.#index.abandon();
    rmSync(this.#temporary, { recursive: true, force: true });
  }

  #writePostings(): void {
    // Lists by counting sort over the pairs, pairs in (name, value) order, which is symbol order.
    const pairs = Float64Array.from(this.#pairIds.keys()).sort();
    const counts = new Uint32Array(this.#pairIds.size);
    for (let i = 0; i < this.#entryCount; i++) counts[this.#entryPairs[i]!]!++;
    const starts = new Uint32Array(counts.length + 1);
    for (let pair = 0; pair < counts.length; pair++) starts[pair + 1] = starts[pair]! + counts[pair]!;
    const fill = starts.slice();
    const sorted = new Uint32Array(this.#entryCount);
    for (let i = 0; i < this.#entryCount; i++) sorted[fill[this.#entryPairs[i]!]!++] = this.#entryRefs[i]!;

    const seriesEnd = this.#index.length;
    const postingsAt = this.#index.length;
    const table = new ByteWriter(1 << 16);
    table.u32(0);
    table.u32(pairs.length + 1);
    const writeList = (name: string, value: string, refs: Uint32Array): void => {
      this.#align(4);
      table.uvarint(2);
      table.text(name);
      table.text(value);
      table.uvarint(this.#index.length);
      const list = new ByteWriter(refs.length * 4 + 12);
      list.u32(4 + 4 * refs.length);
      list.u32(refs.length);
      for (let i = 0; i < refs.length; i++) list.u32(refs[i]!);
      list.crc(4);
      this.#index.write(list.bytes);
    };
    writeList("", "", this.#refs.subarray(0, this.#seriesCount));
    for (const key of pairs) {
      const pair = this.#pairIds.get(key)!;
      const nameId = Math.floor(key / 4294967296);
      writeList(
        this.#symbols[nameId]!,
        this.#symbols[key % 4294967296]!,
        sorted.subarray(starts[pair], starts[pair + 1]),
      );
    }
    const tableAt = this.#index.length;
    table.patchU32(0, table.length - 4);
    table.crc(4);
    this.#index.write(table.bytes);

    const toc = new ByteWriter(64);
    toc.u64(INDEX_HEADER_BYTES_BEFORE_SYMBOLS);
    toc.u64(this.#seriesAt);
    // The label index sections are gone since Prometheus 3: empty ranges in their place.
    toc.u64(seriesEnd);
    toc.u64(tableAt);
    toc.u64(postingsAt);
    toc.u64(tableAt);
    toc.crc(0);
    this.#index.write(toc.bytes);
  }
}

const INDEX_HEADER_BYTES_BEFORE_SYMBOLS = 5;

function grown(list: Uint32Array): Uint32Array {
  const larger = new Uint32Array(list.length * 2);
  larger.set(list);
  return larger;
}

function compareOrdinals(a: Uint32Array, b: Uint32Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
