/**
 * What must be known of an index to find anything in it: symbols, and where the postings of each label pair lie.
 * Kept as the bytes of the file and arrays of offsets, no label string in the heap.
 *
 * On a gateway's disk it is Thanos's `index-header` file (thanos/pkg/block/indexheader):
 *
 *   magic 0xBAAAD792 u32 │ version 1 u8 │ index version u8 │ postings table offset in the index u64 │
 *   symbols section │ postings table to the end of the index │ symbols offset u64, postings table offset u64, crc32
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader, utf8 } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { SymbolTable } from "./symbols.ts";
import { INDEX_HEADER_BYTES, readIndexVersion, readToc, type Toc, TOC_BYTES } from "./toc.ts";

const HEADER_MAGIC = 0xbaaad792;
const HEADER_BYTES = 14;

export interface FileRange {
  readonly from: number;
  readonly to: number;
}

/** Where the UTF-8 of a list's name and value lies in `bytes`, and the list in the index. */
export interface ListEntry {
  readonly bytes: Uint8Array;
  readonly name: FileRange;
  readonly value: FileRange;
  readonly range: FileRange;
}

/** Reads a piece of the index; shorter only at the end of the file. */
export type ReadIndex = (offset: number, length: number) => Promise<Uint8Array>;

export class IndexHeader {
  readonly version: number;
  readonly toc: Toc;
  readonly symbols: SymbolTable;
  readonly file: string;
  /** Reads the table. */
  readonly #reader: ByteReader;
  /** Where each entry of the table starts in it, by name and value. */
  readonly #entries: Uint32Array;
  /** Where lists start; version 1 only. */
  readonly #sortedOffsets: Float64Array | undefined;
  /** Label name → entries [from, to), values ascending. */
  readonly #names = new Map<string, { from: number; to: number }>();

  constructor(version: number, toc: Toc, symbols: Uint8Array, table: Uint8Array, file: string) {
    this.version = version;
    this.toc = toc;
    this.file = file;
    this.symbols = new SymbolTable(symbols, toc.symbols, version, file);
    const head = new ByteReader(table, file, 0, table.length, toc.postingsTable);
    const length = head.u32();
    head.need(length + 4);
    const stored = new ByteReader(table, file, 4 + length, 8 + length, toc.postingsTable).u32();
    if (crc32c(table, 4, 4 + length) !== stored) {
      throw new CorruptionError(file, toc.postingsTable, "postings offset table: checksum");
    }
    const count = head.u32();
    if (count > length) head.fail(`${count} entries in ${length} bytes`);
    this.#entries = new Uint32Array(count);
    const reader = new ByteReader(table, file, 8, 4 + length, toc.postingsTable);
    this.#reader = reader;
    for (let i = 0; i < count; i++) {
      this.#entries[i] = reader.at;
      if (reader.uvarint() !== 2) reader.fail("entry with other than 2 keys");
      reader.skip(reader.uvarint());
      reader.skip(reader.uvarint());
      reader.uvarint();
    }
    // Version 1 was written in no order.
    if (version === 1) {
      this.#sortedOffsets = Float64Array.from({ length: count }, (_, i) => this.#entry(i).offset).sort();
      this.#entries.sort((a, b) => this.#compareAt(a, b));
    }
    let name: Uint8Array | undefined;
    let range = { from: 0, to: 0 };
    for (let i = 0; i < count; i++) {
      const entryName = this.#nameAt(this.#entries[i]!);
      if (name === undefined || Buffer.compare(name, entryName) !== 0) {
        range = { from: i, to: i };
        this.#names.set(utf8(entryName, 0, entryName.length), range);
      }
      name = entryName;
      range.to = i + 1;
    }
  }

  #nameAt(at: number): Uint8Array {
    const reader = this.#reader;
    reader.at = at;
    reader.uvarint();
    return reader.take(reader.uvarint());
  }

  /** The order of names, then values, of the entries that start at `a` and `b`. */
  #compareAt(a: number, b: number): number {
    const name = this.#nameAt(a);
    const value = this.#reader.take(this.#reader.uvarint());
    return Buffer.compare(name, this.#nameAt(b)) || Buffer.compare(value, this.#reader.take(this.#reader.uvarint()));
  }

  /** Ascending in UTF-8 order, without the name "" of the list of all series. */
  labelNames(): string[] {
    return [...this.#names.keys()].filter((name) => name !== "");
  }

  hasLabel(name: string): boolean {
    return this.#names.has(name);
  }

  /** Ascending in UTF-8 order. */
  labelValues(name: string): string[] {
    const range = this.#names.get(name);
    if (range === undefined) return [];
    const values: string[] = [];
    for (let i = range.from; i < range.to; i++) values.push(this.#entry(i).value);
    return values;
  }

  /** Value `i` of a name that has more than `i`. */
  labelValue(name: string, i: number): string {
    return this.#entry(this.#names.get(name)!.from + i).value;
  }

  /** Where the postings of each value of a name lie, in the order of `labelValues`. */
  valueRanges(name: string): FileRange[] {
    const range = this.#names.get(name);
    if (range === undefined) return [];
    return Array.from({ length: range.to - range.from }, (_, i) => this.#range(range.from + i));
  }

  /** Where the postings of a pair lie in the index file, or undefined when there are none. */
  postings(name: string, value: string): FileRange | undefined {
    const range = this.#names.get(name);
    if (range === undefined) return undefined;
    const wanted = Buffer.from(value);
    let low = range.from;
    let high = range.to;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.#valueBytes(middle), wanted) < 0) low = middle + 1;
      else high = middle;
    }
    if (low === range.to || Buffer.compare(this.#valueBytes(low), wanted) !== 0) return undefined;
    return this.#range(low);
  }

  /** Byte offset of a series entry in the index file. */
  seriesOffset(ref: number): number {
    return this.version === 1 ? ref : ref * 16;
  }

  /** How many lists there are. */
  get entryCount(): number {
    return this.#entries.length;
  }

  /** List `i` in the order of the file: by name, then value; first that of all series, with an empty name. */
  list(i: number): ListEntry {
    const reader = this.#reader;
    reader.at = this.#entries[i]!;
    reader.uvarint();
    const name = this.#text();
    return { bytes: reader.bytes, name, value: this.#text(), range: this.#range(i) };
  }

  /** Where the text that the reader is at lies. */
  #text(): FileRange {
    const reader = this.#reader;
    const length = reader.uvarint();
    reader.skip(length);
    return { from: reader.at - length, to: reader.at };
  }

  /** Lists are written in the order of the table, in version 1 in some order: each ends where the next one starts. */
  #range(i: number): FileRange {
    const from = this.#entry(i).offset;
    const end = this.toc.postingsTable;
    if (from >= end) throw new CorruptionError(this.file, end, `list ${i} at ${from}, behind all lists`);
    const next =
      this.#sortedOffsets?.find((offset) => offset > from) ??
      (this.#sortedOffsets === undefined && i + 1 < this.#entries.length ? this.#entry(i + 1).offset : end);
    return { from, to: next > from ? Math.min(next, end) : end };
  }

  #entry(i: number): { value: string; offset: number } {
    const reader = this.#atValue(i);
    return { value: reader.text(), offset: reader.uvarint() };
  }

  #valueBytes(i: number): Uint8Array {
    const reader = this.#atValue(i);
    return reader.take(reader.uvarint());
  }

  /** The one reader, at the value of entry `i`. */
  #atValue(i: number): ByteReader {
    const reader = this.#reader;
    reader.at = this.#entries[i]!;
    reader.uvarint();
    reader.skip(reader.uvarint());
    return reader;
  }
}

interface HeaderParts {
  readonly version: number;
  readonly toc: Toc;
  readonly symbols: Uint8Array;
  readonly table: Uint8Array;
  readonly tocBytes: Uint8Array;
}

/** Reads the parts out of an index of `size` bytes: four ranges. */
async function readParts(read: ReadIndex, size: number, file: string): Promise<HeaderParts> {
  if (size < INDEX_HEADER_BYTES + TOC_BYTES) throw new CorruptionError(file, 0, `an index of ${size} bytes`);
  const version = readIndexVersion(await read(0, INDEX_HEADER_BYTES), file);
  const tocBytes = await read(size - TOC_BYTES, TOC_BYTES);
  const toc = readToc(tocBytes, size - TOC_BYTES, file);
  if (toc.symbols > toc.series || toc.postings > toc.postingsTable) {
    throw new CorruptionError(file, size - TOC_BYTES, "table of contents: sections out of order");
  }
  const symbols = await read(toc.symbols, toc.series - toc.symbols);
  const table = await read(toc.postingsTable, size - TOC_BYTES - toc.postingsTable);
  return { version, toc, symbols, table, tocBytes };
}

/** Opens the header straight from an index, keeping its sections in memory. */
export async function readIndexHeader(read: ReadIndex, size: number, file: string): Promise<IndexHeader> {
  const { version, toc, symbols, table } = await readParts(read, size, file);
  return new IndexHeader(version, toc, symbols, table, file);
}

/** The bytes of an `index-header` file made from an index of `size` bytes. */
export async function buildIndexHeaderFile(read: ReadIndex, size: number, file: string): Promise<Uint8Array> {
  const { version, toc, symbols, table, tocBytes } = await readParts(read, size, file);
  const out = new ByteWriter(HEADER_BYTES + symbols.length + table.length + 100);
  out.u32(HEADER_MAGIC);
  out.u8(1);
  out.u8(version);
  out.u64(toc.postingsTable);
  out.raw(symbols);
  const tableAt = out.length;
  out.raw(table);
  out.raw(tocBytes);
  const ownToc = out.length;
  out.u64(HEADER_BYTES);
  out.u64(tableAt);
  out.crc(ownToc);
  return out.bytes;
}

/** Opens an `index-header` file; `bytes` are kept. @throws CorruptionError, then it is best built anew. */
export function readIndexHeaderFile(bytes: Uint8Array, file: string): IndexHeader {
  const head = new ByteReader(bytes, file);
  if (head.u32() !== HEADER_MAGIC) throw new CorruptionError(file, 0, "not an index-header (magic number)");
  if (head.u8() !== 1) throw new CorruptionError(file, 4, "index-header version");
  const version = head.u8();
  const tableInIndex = head.u64();
  const ownToc = bytes.length - 20;
  if (ownToc - TOC_BYTES < HEADER_BYTES) throw new CorruptionError(file, 0, `an index-header of ${bytes.length} bytes`);
  const tail = new ByteReader(bytes, file, ownToc);
  const symbolsAt = tail.u64();
  const tableAt = tail.u64();
  if (crc32c(bytes, ownToc, ownToc + 16) !== tail.u32()) throw new CorruptionError(file, ownToc, "checksum");
  if (!(symbolsAt >= HEADER_BYTES && symbolsAt <= tableAt && tableAt <= ownToc - TOC_BYTES)) {
    throw new CorruptionError(file, ownToc, "sections out of order");
  }
  const tableEnd = ownToc - TOC_BYTES;
  const toc = readToc(bytes.subarray(tableEnd, ownToc), tableInIndex + (tableEnd - tableAt), file);
  return new IndexHeader(version, toc, bytes.subarray(symbolsAt, tableAt), bytes.subarray(tableAt, tableEnd), file);
}
