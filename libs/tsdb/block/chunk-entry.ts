/**
 * Chunks in segment files `chunks/000001…`: 8-byte header, then `uvarint length | encoding u8 | data | crc32` each.
 * Format: prometheus/tsdb/docs/format/chunks.md.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { type Chunk, sampleCount } from "../chunk/encoding.ts";
import { crc32c } from "../encoding/crc32c.ts";

export const SEGMENT_MAGIC = 0x85bd40dd;
export const SEGMENT_HEADER_BYTES = 8;
export const SEGMENT_BYTES_MAX = 512 * 1024 * 1024;
/** Most bytes around the data: length as uvarint, encoding, checksum. */
export const CHUNK_ENTRY_OVERHEAD = 10;

/** Bytes of a segment from `base` of the file on; they outlive all chunks made of them. */
export interface SegmentWindow {
  readonly bytes: Uint8Array;
  readonly file: string;
  readonly base: number;
}

export const NO_WINDOW: SegmentWindow = { bytes: new Uint8Array(0), file: "", base: 0 };

/**
 * A chunk in the bytes of a segment. Its checksum is verified when `data` is asked for first: an entry that is only
 * copied takes its checksum along. Who goes through a block uses few of them again and again: a merge reads millions.
 */
export class StoredChunk implements Chunk {
  mint = 0;
  maxt = 0;
  /** The entry is `bytes[from, to)`. */
  bytes = NO_WINDOW.bytes;
  from = 0;
  to = 0;
  encoding = 0;
  #dataFrom = 0;
  #window = NO_WINDOW;
  #isVerified = false;

  /** Becomes the chunk at `from` of the window. @returns false, and it is none, when the entry is not all there. */
  take(mint: number, maxt: number, window: SegmentWindow, from: number): boolean {
    const { bytes } = window;
    const length = chunkEntryBytes(bytes, from);
    if (length === undefined || length === 0 || from + length > bytes.length) return false;
    const encodingAt = encodingOffset(bytes, from);
    this.mint = mint;
    this.maxt = maxt;
    this.bytes = bytes;
    this.from = from;
    this.to = from + length;
    this.encoding = bytes[encodingAt]!;
    this.#dataFrom = encodingAt + 1;
    this.#window = window;
    this.#isVerified = false;
    return true;
  }

  /** @throws CorruptionError when the checksum is wrong. */
  verify(): void {
    if (this.#isVerified) return;
    const { file, base } = this.#window;
    checkCrc(this.bytes, this.#dataFrom - 1, this.to - 4, file, base + this.from);
    this.#isVerified = true;
  }

  /** @throws CorruptionError when the checksum is wrong. */
  get data(): Uint8Array {
    this.verify();
    return this.bytes.subarray(this.#dataFrom, this.to - 4);
  }

  get dataLength(): number {
    return this.to - 4 - this.#dataFrom;
  }

  /** As `sampleCount` of data that need not be verified; 0 when it is too short for a count. */
  get sampleCount(): number {
    return this.dataLength < 2 ? 0 : sampleCount(this.encoding, this.bytes, this.#dataFrom);
  }
}

/** Where a chunk's data lies in its bytes. One for all: an object a chunk is garbage that queries feel. */
const entry = { encoding: 0, from: 0, length: 0 };
export type ChunkEntry = Readonly<typeof entry>;

/** Bytes of the entry at `from` when they can be told, else undefined: the caller reads more. 0: it is none. */
export function chunkEntryBytes(bytes: Uint8Array, from: number): number | undefined {
  let length = 0;
  for (let i = 0; i < 4; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) return undefined;
    length |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return i + 1 + 1 + length + 4;
  }
  const last = bytes[from + 4];
  if (last === undefined) return undefined;
  return last < 0x80 ? 5 + 1 + length + last * 2 ** 28 + 4 : 0;
}

/** @returns what is valid until the next call. @throws CorruptionError when the entry is cut short or its checksum is wrong. */
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
  const encodingAt = encodingOffset(bytes, from);
  checkCrc(bytes, encodingAt, end, file, base + from);
  entry.encoding = bytes[encodingAt]!;
  entry.from = encodingAt + 1;
  entry.length = end - encodingAt - 1;
  return entry;
}

/** Where the encoding of the entry at `from` is: behind the length of its data. */
function encodingOffset(bytes: Uint8Array, from: number): number {
  let at = from + 1;
  while (bytes[at - 1]! >= 0x80) at++;
  return at;
}

/** The checksum of [from, at) is at `at`; `entry` is the entry's offset in the file. */
function checkCrc(bytes: Uint8Array, from: number, at: number, file: string, entry: number): void {
  const stored = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  if (crc32c(bytes, from, at) !== stored) throw new CorruptionError(file, entry, "chunk: checksum");
}
