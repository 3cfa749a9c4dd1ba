/**
 * Chunks in segment files `chunks/000001…`: 8-byte header, then `uvarint length | encoding u8 | data | crc32` each.
 * Format: prometheus/tsdb/docs/format/chunks.md.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { crc32c } from "../encoding/crc32c.ts";

export const SEGMENT_MAGIC = 0x85bd40dd;
export const SEGMENT_HEADER_BYTES = 8;
export const SEGMENT_BYTES_MAX = 512 * 1024 * 1024;
/** Most bytes around the data: length as uvarint, encoding, checksum. */
export const CHUNK_ENTRY_OVERHEAD = 10;

/** A chunk in the bytes of a segment, its checksum verified: can be copied with all that is around it. */
export class StoredChunk implements Chunk {
  readonly mint: number;
  readonly maxt: number;
  readonly encoding: number;
  readonly #bytes: Uint8Array;
  readonly #at: number;
  readonly #from: number;
  readonly #length: number;

  /** The entry at `at` of `bytes`, which must outlive this. @throws CorruptionError as `readChunkEntry` does. */
  constructor(mint: number, maxt: number, bytes: Uint8Array, at: number, file: string, base: number) {
    const { encoding, from, length } = readChunkEntry(bytes, at, file, base);
    this.mint = mint;
    this.maxt = maxt;
    this.encoding = encoding;
    this.#bytes = bytes;
    this.#at = at;
    this.#from = from;
    this.#length = length;
  }

  get data(): Uint8Array {
    return this.#bytes.subarray(this.#from, this.#from + this.#length);
  }

  get dataLength(): number {
    return this.#length;
  }

  /** The entry from length field to checksum. */
  get entry(): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#from + this.#length + 4);
  }
}

/** Where a chunk's data lies in `bytes`. */
export interface ChunkEntry {
  readonly encoding: number;
  readonly from: number;
  readonly length: number;
}

/** Bytes of the entry at `from` when they can be told, else undefined: the caller reads more. 0: it is none. */
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
  const need = chunkEntryBytes(bytes, from);
  if (need === undefined || from + need > bytes.length) {
    throw new CorruptionError(
      file,
      base + from,
      `chunk of ${need ?? "unknown"} bytes, ${bytes.length - from} are left`,
    );
  }
  if (need === 0) throw new CorruptionError(file, base + from, "chunk: length of more than 5 bytes");
  const end = from + need - 4;
  let encodingAt = from + 1;
  while (bytes[encodingAt - 1]! >= 0x80) encodingAt++;
  const stored = ((bytes[end]! << 24) | (bytes[end + 1]! << 16) | (bytes[end + 2]! << 8) | bytes[end + 3]!) >>> 0;
  if (crc32c(bytes, encodingAt, end) !== stored) throw new CorruptionError(file, base + from, "chunk: checksum");
  return { encoding: bytes[encodingAt]!, from: encodingAt + 1, length: end - encodingAt - 1 };
}
