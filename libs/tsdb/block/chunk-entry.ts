/**
 * Chunks in segment files `chunks/000001…`: 8-byte header, then `uvarint length | encoding u8 | data | crc32` each.
 * Format: prometheus/tsdb/docs/format/chunks.md.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader } from "../encoding/reader.ts";

export const SEGMENT_MAGIC = 0x85bd40dd;
export const SEGMENT_HEADER_BYTES = 8;
export const SEGMENT_BYTES_MAX = 512 * 1024 * 1024;
/** Most bytes around the data: length as uvarint, encoding, checksum. */
export const CHUNK_ENTRY_OVERHEAD = 10;

/** Where a chunk's data lies in `bytes`. */
export interface ChunkEntry {
  readonly encoding: number;
  readonly from: number;
  readonly length: number;
}

/** Bytes of the entry at `from` when they can be told, else undefined: the caller reads more. */
export function chunkEntryBytes(bytes: Uint8Array, from: number): number | undefined {
  let length = 0;
  let scale = 1;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) return i + 1 + 1 + length + 4;
    scale *= 128;
  }
  return 0;
}

/** @throws CorruptionError when the entry is cut short or its checksum is wrong. */
export function readChunkEntry(bytes: Uint8Array, from: number, file: string, base: number): ChunkEntry {
  const reader = new ByteReader(bytes, file, from, bytes.length, base);
  const length = reader.uvarint();
  const encodingAt = reader.at;
  reader.need(1 + length + 4);
  const end = encodingAt + 1 + length;
  const stored = new ByteReader(bytes, file, end, end + 4, base).u32();
  if (crc32c(bytes, encodingAt, end) !== stored) throw new CorruptionError(file, base + from, "chunk: checksum");
  return { encoding: bytes[encodingAt]!, from: encodingAt + 1, length };
}
