/**
 * Reads a block: matchers → postings → series entries → chunks, each step in ranges joined over small gaps, so that
 * a folder costs few system calls and a bucket few requests.
 *
 * Order: ascending labels, because a block's series refs ascend with their labels.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import type { Matcher } from "#libs/model/matcher.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { ByteReader } from "../encoding/reader.ts";
import { type FileRange, type IndexHeader, readIndexHeader } from "../index/header.ts";
import { NO_POSTINGS, type Postings, readPostings } from "../index/postings.ts";
import { type PostingsSource, selectPostings } from "../index/select.ts";
import { ValueColumn } from "../index/value-column.ts";
import { decodeSeriesEntry, readSeriesEntry, type SeriesEntry } from "../index/series-entry.ts";
import { FRAME_BYTES, FRAME_SERIES, type SeriesQuery } from "../select.ts";
import { FrameBuilder, type SeriesFrame } from "../series/frame.ts";
import type { BlockBytes } from "./bytes.ts";
import { chunkEntryBytes } from "./chunk-entry.ts";
import { cutChunk } from "./cut-chunks.ts";
import { FetchedChunks } from "./fetched-chunks.ts";
import type { BlockMeta } from "./meta.ts";
import { ReadWindows } from "./read-windows.ts";
import { SeriesBatch, StreamSymbols } from "./series-batch.ts";
import { NO_TOMBSTONES, parseTombstones, type Tombstones } from "./tombstones.ts";

/** Guesses of sizes before the bytes are there; too small costs one more read. */
const SERIES_BYTES_GUESS = 4096;
const CHUNK_BYTES_GUESS = 2048;
const SERIES_GAP_BYTES = 64 * 1024;
const CHUNK_GAP_BYTES = 512 * 1024;
/** Series whose chunks are fetched together. */
const BATCH_SERIES = 2000;
const BATCH_CHUNKS = 8192;
/** Columns of label values kept by a reader. */
const COLUMNS_MAX = 8;
const RANGE_BYTES_MAX = 16 * 1024 * 1024;

export class BlockReader implements PostingsSource {
  readonly meta: BlockMeta;
  readonly header: IndexHeader;
  readonly #bytes: BlockBytes;
  readonly #tombstones: Tombstones;
  /** What `labelValues` keeps: 4 bytes a series for each label, and for all of them. */
  readonly #columns = new Map<string, ValueColumn>();
  #all: Postings | undefined;
  readonly #seriesBytesGuess: number;
  readonly #chunkBytesGuess: number;

  constructor(meta: BlockMeta, header: IndexHeader, bytes: BlockBytes, tombstones: Tombstones = NO_TOMBSTONES) {
    this.meta = meta;
    this.header = header;
    this.#bytes = bytes;
    this.#tombstones = tombstones;
    this.#seriesBytesGuess = meta.thanos?.index_stats?.series_max_size ?? SERIES_BYTES_GUESS;
    this.#chunkBytesGuess = meta.thanos?.index_stats?.chunk_max_size ?? CHUNK_BYTES_GUESS;
  }

  close(): void {
    this.#bytes.close();
  }

  async all(): Promise<Postings> {
    return this.of("", "");
  }

  async of(name: string, value: string): Promise<Postings> {
    const range = this.header.postings(name, value);
    if (range === undefined) return NO_POSTINGS;
    return readPostings(await this.#bytes.index(range.from, range.to - range.from), 0, `${this.#bytes.name}/index`);
  }

  async ofValues(name: string, values: readonly string[]): Promise<Postings[]> {
    const ranges = values.map((value) => this.header.postings(name, value)).filter((range) => range !== undefined);
    const lists: Postings[] = [];
    for await (const list of this.#lists(ranges.sort((a, b) => a.from - b.from))) lists.push(list);
    return lists;
  }

  /** The lists in ascending ranges, read in pieces joined over small gaps. */
  async *#lists(ranges: readonly FileRange[]): AsyncGenerator<Postings> {
    const file = `${this.#bytes.name}/index`;
    for (let i = 0; i < ranges.length;) {
      const { from } = ranges[i]!;
      let { to } = ranges[i]!;
      let j = i + 1;
      for (; j < ranges.length && ranges[j]!.from - to <= SERIES_GAP_BYTES && to - from < RANGE_BYTES_MAX; j++) {
        to = Math.max(to, ranges[j]!.to);
      }
      const bytes = await this.#bytes.index(from, to - from);
      for (; i < j; i++) yield readPostings(bytes, ranges[i]!.from - from, file);
    }
  }

  /** Ascending values that matching series have of a label, from its column: no series entry is read. */
  async labelValues(name: string, matchers: readonly Matcher[]): Promise<string[]> {
    if (matchers.length === 0) return this.header.labelValues(name);
    const refs = await selectPostings(this, matchers);
    if (refs.length === 0) return [];
    const column = await this.#column(name);
    return Array.from(column.valuesOf(refs), (i) => this.header.labelValue(name, i));
  }

  async #column(name: string): Promise<ValueColumn> {
    let column = this.#columns.get(name);
    if (column === undefined) {
      this.#all ??= await this.all();
      const lists: Postings[] = [];
      for await (const list of this.#lists(this.header.valueRanges(name))) lists.push(list);
      column = new ValueColumn(this.#all, lists);
      const oldest = this.#columns.keys().next().value;
      if (this.#columns.size >= COLUMNS_MAX && oldest !== undefined) this.#columns.delete(oldest);
    } else this.#columns.delete(name);
    this.#columns.set(name, column); // the last of the map is the one used last
    return column;
  }

  values(name: string): string[] {
    return this.header.labelValues(name);
  }

  select(query: SeriesQuery): Promise<Postings> {
    return selectPostings(this, query.matchers);
  }

  /** Entries of ascending refs, in order. */
  async *entries(refs: Postings): AsyncGenerator<SeriesEntry & { readonly ref: number }> {
    for await (const { reader, first, end } of this.#entryRanges(refs)) {
      for (let i = first; i < end; i++) {
        this.#seek(reader, refs[i]!);
        yield { ...readSeriesEntry(reader), ref: refs[i]! };
      }
    }
  }

  /** Bytes with the entries of refs [first, end), for all of `refs` in turn; there until the next are asked for. */
  async *#entryRanges(
    refs: Postings,
  ): AsyncGenerator<{ readonly reader: ByteReader; readonly first: number; readonly end: number }> {
    const file = `${this.#bytes.name}/index`;
    const offsetOf = (i: number): number => this.header.seriesOffset(refs[i]!);
    const windows = this.#windows();
    try {
      for (let first = 0; first < refs.length;) {
        windows?.reuse();
        const from = offsetOf(first);
        let last = from;
        let end = first + 1;
        for (; end < refs.length; end++) {
          const next = offsetOf(end);
          if (next - last > SERIES_GAP_BYTES || next - from >= RANGE_BYTES_MAX) break;
          last = next;
        }
        last -= from;
        let bytes = await this.#index(from, last + this.#seriesBytesGuess, windows);
        let need = entryBytes(bytes, last);
        if (need === undefined || last + need > bytes.length) {
          bytes = await this.#index(from, last + (need ?? SERIES_BYTES_GUESS * 16), windows);
          need = entryBytes(bytes, last);
        }
        if (need === undefined || last + need > bytes.length)
          throw new CorruptionError(file, from + last, "series entry cut short");
        yield { reader: new ByteReader(bytes, file, 0, bytes.length, from), first, end };
        first = end;
      }
    } finally {
      windows?.release();
    }
  }

  #index(offset: number, length: number, windows: ReadWindows | undefined): Promise<Uint8Array> {
    return this.#bytes.index(offset, length, windows?.take(length));
  }

  #windows(): ReadWindows | undefined {
    return this.#bytes.readsInto === true ? new ReadWindows() : undefined;
  }

  #seek(reader: ByteReader, ref: number): void {
    reader.at = this.header.seriesOffset(ref) - reader.base;
  }

  /** The matching series as frames, ascending by labels, without what tombstones delete. */
  async *frames(query: SeriesQuery, signal: AbortSignal): AsyncGenerator<SeriesFrame> {
    const refs = await this.select(query);
    const builder = new FrameBuilder();
    const slices = new Slices(10, signal);
    const symbols = new StreamSymbols(this.header.symbols, builder);
    const batch = new SeriesBatch();
    const windows = this.#windows();
    const { entries } = batch;
    let left = query.limit === 0 ? Infinity : query.limit;
    try {
      for await (const { reader, first, end } of this.#entryRanges(refs)) {
        for (let i = first; i < end && left > 0; i++) {
          this.#seek(reader, refs[i]!);
          decodeSeriesEntry(reader, entries);
          if (!batch.keep(refs[i]!, query, this.#tombstones.get(refs[i]!))) continue;
          left--;
          if (batch.refs.length < BATCH_SERIES && entries.chunkCount < BATCH_CHUNKS) continue;
          await this.#addBatch(batch, builder, symbols, query.skipChunks, windows);
          if (builder.dataBytes >= FRAME_BYTES || builder.seriesCount >= FRAME_SERIES) yield builder.take();
          await slices.breathe();
        }
        if (left === 0) break;
      }
      await this.#addBatch(batch, builder, symbols, query.skipChunks, windows);
      if (builder.seriesCount > 0) yield builder.take();
    } finally {
      windows?.release();
    }
  }

  async #addBatch(
    batch: SeriesBatch,
    builder: FrameBuilder,
    symbols: StreamSymbols,
    skipChunks: boolean,
    windows: ReadWindows | undefined,
  ): Promise<void> {
    const { entries, refs, labelEnds, chunkEnds } = batch;
    const { mints, maxts, segments, offsets } = entries;
    const chunks = skipChunks ? undefined : await this.#fetchChunks(segments, offsets, entries.chunkCount, windows);
    let label = 0;
    let chunk = 0;
    for (let s = 0; s < refs.length; s++) {
      const labelFrom = label;
      for (; label < labelEnds[s]!; label++) symbols.add(label - labelFrom, entries.labelRefs[label]!);
      symbols.endSeries();
      const deleted = this.#tombstones.get(refs[s]!);
      for (; chunk < chunkEnds[s]! && chunks !== undefined; chunk++) {
        if (deleted === undefined) {
          chunks.addTo(builder, entries, chunk);
          continue;
        }
        const meta = { mint: mints[chunk]!, maxt: maxts[chunk]!, segment: segments[chunk]!, offset: offsets[chunk]! };
        for (const part of cutChunk(chunks.chunk(meta), deleted, this.#bytes.name))
          builder.chunk(part.mint, part.maxt, part.encoding, part.data, 0, part.data.length);
      }
      builder.endSeries();
    }
    batch.clear();
    windows?.reuse();
  }

  /** Every chunk of an entry, for dumps and rewrites. */
  async chunksOf({ chunks }: SeriesEntry): Promise<Chunk[]> {
    const segments = chunks.map(({ segment }) => segment);
    const offsets = chunks.map(({ offset }) => offset);
    const fetched = await this.#fetchChunks(segments, offsets, chunks.length);
    return chunks.map((meta) => fetched.chunk(meta));
  }

  /** Reads chunks in ranges joined over small gaps; into `windows`, or memory of their own. */
  async #fetchChunks(
    segments: ArrayLike<number>,
    offsets: ArrayLike<number>,
    count: number,
    windows?: ReadWindows,
  ): Promise<FetchedChunks> {
    const read = (segment: number, from: number, length: number): Promise<Uint8Array> =>
      this.#bytes.chunks(segment, from, length, windows?.take(length));
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    const compare = (a: number, b: number): number => segments[a]! - segments[b]! || offsets[a]! - offsets[b]!;
    // As they are written, they ascend.
    if (order.some((i) => i > 0 && compare(i - 1, i) > 0)) order.sort(compare);
    const fetched = new FetchedChunks(this.#bytes.name);
    for (let i = 0; i < count;) {
      const segment = segments[order[i]!]!;
      const from = offsets[order[i]!]!;
      let last = from;
      let j = i + 1;
      for (; j < count && segments[order[j]!] === segment; j++) {
        const next = offsets[order[j]!]!;
        if (next - last > CHUNK_GAP_BYTES || next - from >= RANGE_BYTES_MAX) break;
        last = next;
      }
      last -= from;
      let bytes = await read(segment, from, last + this.#chunkBytesGuess);
      const need = chunkEntryBytes(bytes, last);
      if (need === undefined || last + need > bytes.length)
        bytes = await read(segment, from, last + (need ?? CHUNK_BYTES_GUESS * 8));
      fetched.add(segment, from, bytes);
      i = j;
    }
    return fetched;
  }
}

/** Bytes of a series entry from its length field on, or undefined when even that is cut short. */
function entryBytes(bytes: Uint8Array, at: number): number | undefined {
  let length = 0;
  let scale = 1;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) return i + 1 + length + 4;
    scale *= 128;
  }
  return undefined;
}

/** Opens a block's reader with the header read from its index, and its tombstones. `bytes` are closed when that fails. */
export async function openBlock(meta: BlockMeta, bytes: BlockBytes): Promise<BlockReader> {
  try {
    const header = await readIndexHeader(bytes.index, await bytes.indexSize(), `${bytes.name}/index`);
    const tombstones = await bytes.tombstones?.();
    return new BlockReader(
      meta,
      header,
      bytes,
      tombstones === undefined ? NO_TOMBSTONES : parseTombstones(tombstones, `${bytes.name}/tombstones`),
    );
  } catch (error) {
    bytes.close();
    throw error;
  }
}
