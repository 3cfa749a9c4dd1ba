/**
 * The index file's frame: header and table of contents. Format: prometheus/tsdb/docs/format/index.md.
 *
 *   magic u32 │ version u8 │ symbols │ series │ postings │ postings offset table │ TOC (6 × u64, crc32 u32)
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader } from "../encoding/reader.ts";

export const INDEX_MAGIC = 0xbaaad700;
export const INDEX_VERSION = 2;
export const INDEX_HEADER_BYTES = 5;
export const TOC_BYTES = 52;

/** Absolute offsets of the sections. The label index sections of old writers are ignored. */
export interface Toc {
  readonly symbols: number;
  readonly series: number;
  readonly labelIndices: number;
  readonly labelIndicesTable: number;
  readonly postings: number;
  readonly postingsTable: number;
}

/** @throws CorruptionError when the magic or version is unknown. @returns the version: 1, 2 or 3 (read like 2). */
export function readIndexVersion(header: Uint8Array, file: string): number {
  const reader = new ByteReader(header, file);
  if (reader.u32() !== INDEX_MAGIC) throw new CorruptionError(file, 0, "not an index file (magic number)");
  const version = reader.u8();
  if (version < 1 || version > 3) throw new CorruptionError(file, 4, `index version ${version}, known are 1 to 3`);
  return version;
}

/** Reads the last `TOC_BYTES` of the file; `base` is their offset in it. */
export function readToc(bytes: Uint8Array, base: number, file: string): Toc {
  const reader = new ByteReader(bytes, file, 0, bytes.length, base);
  reader.need(TOC_BYTES);
  const stored = new ByteReader(bytes, file, 48, 52, base).u32();
  if (crc32c(bytes, 0, 48) !== stored) throw new CorruptionError(file, base, "table of contents: checksum");
  const [symbols, series, labelIndices, labelIndicesTable, postings, postingsTable] = Array.from({ length: 6 }, () =>
    reader.u64(),
  );
  const toc = {
    symbols: symbols!,
    series: series!,
    labelIndices: labelIndices!,
    labelIndicesTable: labelIndicesTable!,
    postings: postings!,
    postingsTable: postingsTable!,
  };
  for (const offset of Object.values(toc)) {
    if (offset > base) throw new CorruptionError(file, base, `table of contents points to ${offset}, past the end`);
  }
  return toc;
}
