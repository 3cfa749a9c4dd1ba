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
import { type ChunkMeta, readSeriesEntry, type SeriesEntry } from "../index/series-entry.ts";
import { FRAME_BYTES, FRAME_SERIES, type SeriesQuery } from "../select.ts";
import { FrameBuilder, type SeriesFrame } from "../series/frame.ts";
import type { BlockBytes } from "./bytes.ts";
import { chunkEntryBytes, readChunkEntry } from "./chunk-entry.ts";
import { cutChunk, isDeleted } from "./cut-chunks.ts";
import type { BlockMeta } from "./meta.ts";
import { NO_TOMBSTONES, parseTombstones, type Tombstones } from "./tombstones.ts";

/** Guesses of sizes before the bytes are there; too small costs one more read. */
const SERIES_BYTES_GUESS = 4096;
const CHUNK_BYTES_GUESS = 2048;
const SERIES_GAP_BYTES = 64 * 1024;
const CHUNK_GAP_BYTES = 512 * 1024;
/** Series whose chunks are fetched together. */
const BATCH_SERIES = 2000;
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
    const file = `${this.#bytes.name}/index`;
    const offsetOf = (ref: number): number => this.header.seriesOffset(ref);
    for (let i = 0; i < refs.length;) {
      const from = offsetOf(refs[i]!);
      let j = i + 1;
      while (
        j < refs.length &&
        offsetOf(refs[j]!) - offsetOf(refs[j - 1]!) <= SERIES_GAP_BYTES &&
        offsetOf(refs[j]!) - from < RANGE_BYTES_MAX
      ) {
        j++;
      }
      const length = offsetOf(refs[j - 1]!) - from + this.#seriesBytesGuess;
      let bytes = await this.#bytes.index(from, length);
      for (; i < j; i++) {
        const at = offsetOf(refs[i]!) - from;
        let need = entryBytes(bytes, at);
        if (need === undefined || at + need > bytes.length) {
          // The last entry of a range was longer than guessed.
          bytes = await this.#bytes.index(from + at, need ?? SERIES_BYTES_GUESS * 16);
          need = entryBytes(bytes, 0);
          if (need === undefined || need > bytes.length)
            throw new CorruptionError(file, from + at, "series entry cut short");
          const entry = readSeriesEntry(new ByteReader(bytes, file, 0, bytes.length, from + at));
          yield { ...entry, ref: refs[i]! };
          i++;
          break;
        }
        yield { ...readSeriesEntry(new ByteReader(bytes, file, at, bytes.length, from)), ref: refs[i]! };
      }
    }
  }

  /**
   * The matching series as frames, without what tombstones delete. `external` labels are added to each (they win over the series' own) and `dropped`
   * ones left out; the order is that of the block's own labels.
   */
  async *frames(query: SeriesQuery, signal: AbortSignal): AsyncGenerator<SeriesFrame> {
    const refs = await this.select(query);
    const builder = new FrameBuilder();
    const slices = new Slices(10, signal);
    const streamIds = new Map<number, number>();
    const idOf = (symbolRef: number): number => {
      const ordinal = this.header.symbols.ordinal(symbolRef);
      let id = streamIds.get(ordinal);
      if (id === undefined) {
        id = builder.symbolId(this.header.symbols.text(ordinal));
        streamIds.set(ordinal, id);
      }
      return id;
    };
    let sent = 0;
    let batch: { readonly entry: SeriesEntry; readonly wanted: readonly ChunkMeta[]; readonly ref: number }[] = [];
    const addBatch = async (): Promise<void> => {
      const chunks = query.skipChunks ? undefined : await this.#fetchChunks(batch.flatMap(({ wanted }) => wanted));
      for (const { entry, wanted, ref } of batch) {
        for (let i = 0; i < entry.labelRefs.length; i += 2)
          builder.label(idOf(entry.labelRefs[i]!), idOf(entry.labelRefs[i + 1]!));
        const deleted = this.#tombstones.get(ref);
        if (chunks !== undefined && deleted !== undefined) {
          for (const meta of wanted) {
            for (const { mint, maxt, encoding, data } of cutChunk(chunks.chunk(meta), deleted, this.#bytes.name))
              builder.chunk(mint, maxt, encoding, data, 0, data.length);
          }
        } else if (chunks !== undefined) for (const meta of wanted) chunks.addTo(builder, meta);
        builder.endSeries();
      }
      batch = [];
    };
    for await (const entry of this.entries(refs)) {
      const wanted = this.#wantedChunks(entry, query);
      if (wanted.length === 0) continue;
      batch.push({ entry, wanted, ref: entry.ref });
      sent++;
      if (batch.length >= BATCH_SERIES || sent === query.limit) {
        await addBatch();
        if (builder.dataBytes >= FRAME_BYTES || builder.seriesCount >= FRAME_SERIES) yield builder.take();
        await slices.breathe();
      }
      if (sent === query.limit) break;
    }
    if (batch.length > 0) await addBatch();
    if (builder.seriesCount > 0) yield builder.take();
  }

  /** The chunks that reach into the range and are not deleted as a whole. */
  #wantedChunks({ chunks, ref }: SeriesEntry & { readonly ref: number }, { mint, maxt }: SeriesQuery): ChunkMeta[] {
    const deleted = this.#tombstones.get(ref);
    return chunks.filter(
      (chunk) => chunk.maxt >= mint && chunk.mint <= maxt && (deleted === undefined || !isDeleted(chunk, deleted)),
    );
  }

  /** Every chunk of an entry, for dumps and rewrites. */
  async chunksOf(entry: SeriesEntry): Promise<Chunk[]> {
    const fetched = await this.#fetchChunks(entry.chunks);
    return entry.chunks.map((meta) => fetched.chunk(meta));
  }

  async #fetchChunks(wanted: readonly ChunkMeta[]): Promise<FetchedChunks> {
    const metas = wanted.toSorted((a, b) => a.segment - b.segment || a.offset - b.offset);
    const fetched = new FetchedChunks(this.#bytes.name);
    for (let i = 0; i < metas.length;) {
      const first = metas[i]!;
      let last = first;
      let j = i + 1;
      while (
        j < metas.length &&
        metas[j]!.segment === first.segment &&
        metas[j]!.offset - last.offset <= CHUNK_GAP_BYTES &&
        metas[j]!.offset - first.offset < RANGE_BYTES_MAX
      ) {
        last = metas[j++]!;
      }
      const length = last.offset - first.offset + this.#chunkBytesGuess;
      let bytes = await this.#bytes.chunks(first.segment, first.offset, length);
      const need = chunkEntryBytes(bytes, last.offset - first.offset);
      if (need === undefined || last.offset - first.offset + need > bytes.length) {
        bytes = await this.#bytes.chunks(
          first.segment,
          first.offset,
          last.offset - first.offset + (need ?? CHUNK_BYTES_GUESS * 8),
        );
      }
      fetched.add(first.segment, first.offset, bytes);
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

/** Ranges of segment files, ascending, and the chunks in them. */
class FetchedChunks {
  readonly #name: string;
  readonly #ranges: { readonly segment: number; readonly from: number; readonly bytes: Uint8Array }[] = [];
  #hint = 0;

  constructor(name: string) {
    this.#name = name;
  }

  add(segment: number, from: number, bytes: Uint8Array): void {
    this.#ranges.push({ segment, from, bytes });
  }

  #rangeOf(meta: ChunkMeta): { from: number; bytes: Uint8Array; file: string } {
    const holds = (i: number): boolean => {
      const range = this.#ranges[i];
      return (
        range !== undefined &&
        range.segment === meta.segment &&
        meta.offset >= range.from &&
        meta.offset < range.from + range.bytes.length
      );
    };
    if (!holds(this.#hint))
      this.#hint = holds(this.#hint + 1) ? this.#hint + 1 : this.#ranges.findIndex((_, i) => holds(i));
    const range = this.#ranges[this.#hint];
    const file = `${this.#name}/chunks/${String(meta.segment + 1).padStart(6, "0")}`;
    if (range === undefined) {
      this.#hint = 0;
      throw new CorruptionError(file, meta.offset, "chunk past the end of the segment");
    }
    return { from: range.from, bytes: range.bytes, file };
  }

  addTo(builder: FrameBuilder, meta: ChunkMeta): void {
    const { from, bytes, file } = this.#rangeOf(meta);
    const entry = readChunkEntry(bytes, meta.offset - from, file, from);
    builder.chunk(meta.mint, meta.maxt, entry.encoding, bytes, entry.from, entry.length);
  }

  chunk(meta: ChunkMeta): Chunk {
    const { from, bytes, file } = this.#rangeOf(meta);
    const entry = readChunkEntry(bytes, meta.offset - from, file, from);
    return {
      mint: meta.mint,
      maxt: meta.maxt,
      encoding: entry.encoding,
      data: bytes.subarray(entry.from, entry.from + entry.length),
    };
  }
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
