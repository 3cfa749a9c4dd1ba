/**
 * Reads a log's segments record by record. Damage does not end the reading: it is reported by file and offset, and
 * reading goes on with the next fragment of the page that is intact, or with the next page; what does not match its
 * checksum is never returned.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { uncompress } from "snappyjs";
import { messageOf } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { FRAGMENT_HEADER_BYTES, listSegments, PAGE_BYTES, segmentName } from "./writer.ts";

const SNAPPY = 0x08;
const ZSTD = 0x10;
/** Most bytes a record may unpack to; a commit of ours or of Prometheus is far below. */
const RECORD_BYTES_MAX = 256 * 1024 * 1024;

export interface Damage {
  readonly segment: number;
  readonly file: string;
  readonly offset: number;
  readonly what: string;
  /** The bytes simply end: what a kill leaves at the end of the last segment. */
  readonly torn: boolean;
}

/** A record, valid until the next is asked for. */
export interface WalRecord {
  readonly segment: number;
  readonly bytes: Uint8Array;
  /** Where the record ends in its segment. */
  readonly end: number;
}

/** Of a segment that are in memory at a time; whole pages, so that no fragment lies in two windows. */
const WINDOW_BYTES = 32 * PAGE_BYTES;

/** Damaged pages of a segment that are searched for what is intact: 3 ms each of random bytes, 44 at worst. */
const SEARCHES_MAX = 100;

/** Which part of a log is read. */
export interface WalRange {
  /** The first segment, and where in it. */
  readonly first?: number;
  readonly offset?: number;
  /** The last segment. */
  readonly last?: number;
  /** Its writer closed it: segments end with a page, and one that does not was cut. */
  readonly isClosed?: boolean;
}

/** Records of the segments of `folder`, in order. */
export function* readWal(
  folder: string,
  onDamage: (damage: Damage) => void,
  { first = 0, offset = 0, last = Infinity, isClosed = false }: WalRange = {},
): Generator<WalRecord> {
  let window = Buffer.alloc(0);
  for (const segment of listSegments(folder)) {
    if (segment < first || segment > last) continue;
    const file = join(folder, segmentName(segment));
    const fd = openSync(file, "r");
    try {
      const reader = new SegmentReader(file, segment, isClosed, onDamage);
      const from = segment === first ? offset : 0;
      const { size } = fstatSync(fd);
      const windowBytes = Math.min(WINDOW_BYTES, Math.ceil(size / PAGE_BYTES) * PAGE_BYTES);
      if (window.length < windowBytes) window = Buffer.allocUnsafeSlow(windowBytes);
      for (let base = from - (from % PAGE_BYTES); base < size;) {
        const count = readSync(fd, window, 0, window.length, base);
        if (count === 0) break;
        // A short read in the middle ends at a page.
        const usable = base + count >= size ? count : count - (count % PAGE_BYTES);
        if (usable === 0) throw new Error(`${file}: ${count} bytes read at ${base} of ${size}`);
        yield* reader.records(window.subarray(0, usable), base, Math.max(from - base, 0), base + usable >= size);
        base += usable;
      }
      reader.end(size);
    } finally {
      closeSync(fd);
    }
  }
}

class SegmentReader {
  readonly #file: string;
  readonly #segment: number;
  readonly #isClosed: boolean;
  readonly #onDamage: (damage: Damage) => void;
  #parts: Uint8Array[] = [];
  #searches = SEARCHES_MAX;
  /** Whether we are inside a record; after damage, fragments are skipped until a record starts. */
  #inside = false;
  #skipping = false;

  constructor(file: string, segment: number, isClosed: boolean, onDamage: (damage: Damage) => void) {
    this.#file = file;
    this.#segment = segment;
    this.#isClosed = isClosed;
    this.#onDamage = onDamage;
  }

  #damaged(offset: number, what: string, torn = false): void {
    this.#onDamage({ segment: this.#segment, file: this.#file, offset, what, torn: torn && !this.#isClosed });
    this.#parts = [];
    this.#inside = false;
    this.#skipping = true;
  }

  /** The records that end in `bytes`, which lie at `base` in the file; `isLast`: the file ends with them. */
  *records(bytes: Buffer, base: number, from: number, isLast: boolean): Generator<WalRecord> {
    let at = from;
    while (at < bytes.length) {
      const pageEnd = Math.min((Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES, bytes.length);
      const isEnd = isLast && pageEnd === bytes.length;
      const begin = at;
      const head = bytes[at]!;
      const type = head & 0x07;
      if (type === 0) {
        // The rest of a page that was too small for a fragment, or that a clean close padded.
        const zero = bytes.subarray(at, pageEnd).every((byte) => byte === 0);
        at = zero ? pageEnd : this.#nextIntact(bytes, at + 1, pageEnd);
        if (!zero) this.#damaged(base + begin, "padding is not zero");
        else if (this.#inside && !isEnd && begin % PAGE_BYTES === 0)
          this.#damaged(base + begin, "a page of zeros inside a record");
        continue;
      }
      if (at + FRAGMENT_HEADER_BYTES > pageEnd) {
        this.#damaged(base + begin, "fragment header cut short", isEnd);
        at = pageEnd;
        continue;
      }
      const length = bytes.readUInt16BE(at + 1);
      const start = at + FRAGMENT_HEADER_BYTES;
      if (type > 4 || start + length > pageEnd) {
        at = this.#nextIntact(bytes, at + 1, pageEnd);
        // Where others follow, it is its length that is wrong.
        const torn = type <= 4 && isEnd && bytes.length % PAGE_BYTES !== 0 && at === pageEnd;
        this.#damaged(base + begin, type > 4 ? `fragment type ${type}` : "fragment reaches past its page", torn);
        continue;
      }
      if (crc32c(bytes, start, start + length) !== bytes.readUInt32BE(at + 3)) {
        this.#damaged(base + begin, "fragment checksum");
        // What it holds may look like fragments, so first where it claims to end.
        at = isIntact(bytes, start + length, pageEnd) ? start + length : this.#nextIntact(bytes, at + 1, pageEnd);
        continue;
      }
      at = start + length;
      const record = this.#fragment(type, bytes.subarray(start, at), head, base + begin);
      if (record !== undefined) yield { segment: this.#segment, bytes: record, end: base + at };
    }
    // The window is about to be overwritten.
    this.#parts = this.#parts.map((part) => Uint8Array.prototype.slice.call(part));
  }

  /** Where the next intact fragment of the page begins; its end when there is none. */
  #nextIntact(bytes: Buffer, from: number, pageEnd: number): number {
    if (this.#searches-- <= 0) return pageEnd;
    for (let at = from; at < pageEnd; at++) if (isIntact(bytes, at, pageEnd)) return at;
    return pageEnd;
  }

  /** Takes a fragment; gives the record that it completes. */
  #fragment(type: number, bytes: Uint8Array, head: number, offset: number): Uint8Array | undefined {
    const opens = type === 1 || type === 2;
    if (opens === this.#inside) {
      if (!opens && this.#skipping) return undefined;
      this.#damaged(offset, opens ? "a record starts inside another" : "a record goes on that never began");
      if (!opens) return undefined;
    }
    this.#skipping = false;
    if (opens) this.#parts = [];
    this.#parts.push(bytes);
    this.#inside = type === 2 || type === 3;
    if (this.#inside) return undefined;
    const packed = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    try {
      return unpack(packed, head);
    } catch (error) {
      this.#damaged(offset, `decompression: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** Called at the end of the file. */
  end(size: number): void {
    if (this.#inside) this.#damaged(size, "the last record is cut short", true);
    else if (this.#isClosed && size % PAGE_BYTES !== 0 && !this.#skipping) this.#damaged(size, "the file is cut short");
  }
}

/** Whether a fragment begins at `at` whose checksum holds. */
function isIntact(bytes: Buffer, at: number, pageEnd: number): boolean {
  if (at + FRAGMENT_HEADER_BYTES > pageEnd) return false;
  const type = bytes[at]! & ~(SNAPPY | ZSTD);
  const start = at + FRAGMENT_HEADER_BYTES;
  const end = start + bytes.readUInt16BE(at + 1);
  return (
    type >= 1 && type <= 4 && end > start && end <= pageEnd && crc32c(bytes, start, end) === bytes.readUInt32BE(at + 3)
  );
}

function unpack(bytes: Uint8Array, head: number): Uint8Array {
  if ((head & SNAPPY) !== 0) return uncompress(bytes, RECORD_BYTES_MAX);
  if ((head & ZSTD) !== 0) return zstdDecompressSync(bytes, { maxOutputLength: RECORD_BYTES_MAX });
  return bytes;
}
