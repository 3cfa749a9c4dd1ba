/**
 * Reads all series of a block with their chunks, front to back, in ranges of a few MiB: for a merge or a
 * verification, from a folder or a bucket alike. What it holds does not grow with the block, but for the symbols.
 *
 *   while (cursor.isBuffered || (await cursor.load())) { cursor.next(); … cursor.chunks() ?? (await cursor.loadChunks()) }
 *
 * `load` waits for bytes, once in thousands of series; `next` and `chunks` never do.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import type { BlockBytes } from "./bytes.ts";
import { chunkEntryBytes, NO_WINDOW, StoredChunk } from "./chunk-entry.ts";
import { ByteReader } from "../encoding/reader.ts";
import { SymbolTable } from "../index/symbols.ts";
import { INDEX_HEADER_BYTES, readIndexVersion, readToc, type Toc, TOC_BYTES } from "../index/toc.ts";

const INDEX_WINDOW_BYTES = 1 << 20;
const CHUNKS_WINDOW_BYTES = 4 << 20;
/** A series entry of Prometheus's is far below: hostile lengths reserve no more. */
const ENTRY_BYTES_MAX = 64 << 20;
const TWO_32 = 4294967296;

const NOTHING = new Uint8Array(0);

export class SeriesCursor {
  readonly name: string;
  readonly toc: Toc;
  readonly version: number;
  readonly symbols: SymbolTable;
  readonly #bytes: BlockBytes;
  readonly #windowBytes: number;
  readonly #seriesEnd: number;
  /** Bytes of the index at hand. */
  #reader = new ByteReader(NOTHING, "");
  /** Offset in the index of the entry that `next` reads. */
  #at: number;
  #segment = -1;
  #window = NO_WINDOW;
  /** Of the series; used again for the next. */
  readonly #chunks: StoredChunk[] = [];
  readonly #pool: StoredChunk[] = [];
  // Memory is used again: fresh windows cost a third of a merge's time, in page faults and collections.
  readonly #indexMemory = new Uint8Array(INDEX_WINDOW_BYTES);
  readonly #spare: Uint8Array[] = [];
  /** What the window lies in, if it does. */
  #memory: Uint8Array | undefined;
  /** Windows before it that chunks of the current series may lie in. */
  readonly #used: Uint8Array[] = [];
  /** Ref of the series. */
  ref = 0;
  /** Ordinals in `symbols` or as `translate` says: name, value, …; the first `labelCount` count. */
  labels = new Uint32Array(64);
  labelCount = 0;
  #ordinals: Uint32Array | undefined;
  #mints: Float64Array = new Float64Array(64);
  #maxts: Float64Array = new Float64Array(64);
  #refs: Float64Array = new Float64Array(64);
  chunkCount = 0;

  private constructor(bytes: BlockBytes, version: number, toc: Toc, symbols: SymbolTable) {
    this.name = bytes.name;
    this.version = version;
    this.toc = toc;
    this.symbols = symbols;
    this.#bytes = bytes;
    this.#windowBytes = bytes.chunkWindowBytes ?? CHUNKS_WINDOW_BYTES;
    this.#at = toc.series;
    // Old writers have label indices behind the series, new ones an empty section.
    this.#seriesEnd = toc.labelIndices > toc.series ? Math.min(toc.labelIndices, toc.postings) : toc.postings;
  }

  /** At the start of the block. `bytes` stay the caller's. @throws CorruptionError. */
  static async open(bytes: BlockBytes): Promise<SeriesCursor> {
    const file = `${bytes.name}/index`;
    const size = await bytes.indexSize();
    if (size < INDEX_HEADER_BYTES + TOC_BYTES) throw new CorruptionError(file, 0, `an index of ${size} bytes`);
    const version = readIndexVersion(await bytes.index(0, INDEX_HEADER_BYTES), file);
    const toc = readToc(await bytes.index(size - TOC_BYTES, TOC_BYTES), size - TOC_BYTES, file);
    if (toc.symbols > toc.series || toc.series > toc.postings) {
      throw new CorruptionError(file, size - TOC_BYTES, "table of contents: sections out of order");
    }
    const symbols = await bytes.index(toc.symbols, toc.series - toc.symbols);
    return new SeriesCursor(bytes, version, toc, new SymbolTable(symbols, toc.symbols, version, file));
  }

  /** From now on `labels` are `ordinals[ordinal]`. */
  translate(ordinals: Uint32Array): void {
    this.#ordinals = ordinals;
  }

  /** Whether `next` has all it needs. */
  get isBuffered(): boolean {
    const { base, bytes } = this.#reader;
    const need = entryBytes(bytes, this.#at - base);
    return need !== undefined && this.#at - base + need <= bytes.length;
  }

  /** Gets the bytes for `next`; false when there is no further series. */
  async load(): Promise<boolean> {
    const file = `${this.name}/index`;
    for (let want = INDEX_WINDOW_BYTES; this.#at < this.#seriesEnd;) {
      const length = Math.min(want, this.#seriesEnd - this.#at);
      const bytes = await this.#bytes.index(this.#at, length, this.#indexMemory);
      this.#reader = new ByteReader(bytes, file, 0, bytes.length, this.#at);
      // Padding up to the next 16 bytes is zeros, and an entry's length never is 0.
      const zero = bytes.findIndex((byte) => byte !== 0);
      if (zero === -1) {
        this.#at += length;
        continue;
      }
      if (zero >= 16) throw new CorruptionError(file, this.#at, `${zero} bytes of padding`);
      this.#at += zero;
      if (this.isBuffered) return true;
      const need = entryBytes(bytes, zero);
      if (length === this.#seriesEnd - this.#reader.base || (need !== undefined && need > ENTRY_BYTES_MAX)) {
        throw new CorruptionError(file, this.#at, "series entry cut short");
      }
      want = Math.max(want, (need ?? 16) + 16);
    }
    return false;
  }

  /** Reads the next series. @throws CorruptionError. */
  next(): void {
    while (this.#used.length > 0) this.#spare.push(this.#used.pop()!);
    const reader = this.#reader;
    const { base } = reader;
    reader.at = this.#at - base;
    const length = reader.uvarint();
    const bodyAt = reader.at;
    reader.skip(length);
    const end = reader.at + 4;
    if (reader.crcOf(bodyAt, reader.at) !== reader.u32()) {
      throw new CorruptionError(`${this.name}/index`, this.#at, "series entry: checksum");
    }
    this.ref = this.version === 1 ? this.#at : this.#at / 16;
    if (!Number.isInteger(this.ref))
      throw new CorruptionError(`${this.name}/index`, this.#at, "series entry not aligned");
    reader.at = bodyAt;
    this.#readBody(reader, end - 4);
    this.#at = base + end;
    if (this.version > 1) this.#at += (16 - (this.#at % 16)) % 16;
  }

  #readBody(reader: ByteReader, end: number): void {
    const labelCount = reader.uvarint() * 2;
    if (labelCount > end - reader.at) reader.fail(`${labelCount / 2} labels in ${end - reader.at} bytes`);
    if (labelCount > this.labels.length) this.labels = new Uint32Array(labelCount * 2);
    const { labels, symbols } = this;
    const ordinals = this.#ordinals;
    for (let i = 0; i < labelCount; i++) {
      const ordinal = symbols.ordinal(reader.uvarint());
      labels[i] = ordinals === undefined ? ordinal : ordinals[ordinal]!;
    }
    this.labelCount = labelCount;
    const chunkCount = reader.uvarint();
    if (chunkCount > end - reader.at) reader.fail(`${chunkCount} chunks in ${end - reader.at} bytes`);
    if (chunkCount > this.#mints.length) {
      this.#mints = new Float64Array(chunkCount * 2);
      this.#maxts = new Float64Array(chunkCount * 2);
      this.#refs = new Float64Array(chunkCount * 2);
    }
    let maxt = 0;
    let ref = 0;
    for (let i = 0; i < chunkCount; i++) {
      const mint = i === 0 ? reader.varint() : maxt + reader.uvarint();
      maxt = mint + reader.uvarint();
      ref = i === 0 ? reader.uvarint() : ref + reader.varint();
      if (ref < 0) reader.fail("negative chunk ref");
      this.#mints[i] = mint;
      this.#maxts[i] = maxt;
      this.#refs[i] = ref;
    }
    this.chunkCount = chunkCount;
    if (reader.at > end) reader.fail("series entry reads past its end");
  }

  /**
   * The series' chunks, valid until `next`; undefined when not all are at hand: `loadChunks`.
   *
   * @throws CorruptionError.
   */
  chunks(): StoredChunk[] | undefined {
    const chunks = this.#chunks;
    chunks.length = 0;
    for (let i = 0; i < this.chunkCount; i++) {
      const chunk = this.#chunk(i);
      if (chunk === undefined) return undefined;
      chunks.push(chunk);
    }
    return chunks;
  }

  async loadChunks(): Promise<StoredChunk[]> {
    const chunks = this.#chunks;
    chunks.length = 0;
    for (let i = 0; i < this.chunkCount; i++) {
      let chunk = this.#chunk(i);
      if (chunk === undefined) {
        const ref = this.#refs[i]!;
        this.#segment = Math.floor(ref / TWO_32);
        const offset = ref % TWO_32;
        await this.#loadWindow(offset, this.#windowBytes);
        const need = chunkEntryBytes(this.#window.bytes, 0) ?? 0;
        if (need > this.#window.bytes.length) await this.#loadWindow(offset, need);
        chunk = this.#chunk(i);
      }
      if (chunk === undefined) throw new CorruptionError(this.#window.file, this.#window.base, "chunk cut short");
      chunks.push(chunk);
    }
    return chunks;
  }

  /** Chunk `i` of the series, undefined when it is not all at hand. */
  #chunk(i: number): StoredChunk | undefined {
    const ref = this.#refs[i]!;
    const at = ref - this.#segment * TWO_32 - this.#window.base;
    if (at < 0 || at >= this.#window.bytes.length) return undefined;
    const chunk = (this.#pool[i] ??= new StoredChunk());
    return chunk.take(this.#mints[i]!, this.#maxts[i]!, this.#window, at) ? chunk : undefined;
  }

  async #loadWindow(offset: number, length: number): Promise<void> {
    const memory = this.#spare.pop() ?? new Uint8Array(this.#windowBytes);
    if (this.#memory !== undefined) this.#used.push(this.#memory);
    this.#memory = memory;
    const bytes = await this.#bytes.chunks(this.#segment, offset, length, memory);
    const file = `${this.name}/chunks/${String(this.#segment + 1).padStart(6, "0")}`;
    this.#window = { bytes, file, base: offset };
  }
}

/** Bytes of the series entry at `at`, undefined when even its length is not all there. */
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
  return Infinity;
}
