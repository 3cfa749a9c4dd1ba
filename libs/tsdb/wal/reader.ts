/**
 * Reads a log's segments record by record. Damage does not end the reading: it is reported by file and offset, and
 * reading goes on at the next page that starts a record; what does not match its checksum is never returned.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
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

/** Records of all segments of `folder` from number `first` on, in order. */
export function* readWal(folder: string, onDamage: (damage: Damage) => void, first = 0): Generator<WalRecord> {
  for (const segment of listSegments(folder)) {
    const file = join(folder, segmentName(segment));
    if (segment >= first) yield* readSegment(readFileSync(file), file, segment, onDamage);
  }
}

/** The same up to segment `last`, read without holding up the event loop: records come between its turns. */
export async function* readWalSlowly(
  folder: string,
  onDamage: (damage: Damage) => void,
  first: number,
  last: number,
): AsyncGenerator<WalRecord> {
  for (const segment of listSegments(folder)) {
    if (segment < first || segment > last) continue;
    const file = join(folder, segmentName(segment));
    yield* readSegment(await readFile(file), file, segment, onDamage);
  }
}

function* readSegment(
  bytes: Buffer,
  file: string,
  segment: number,
  onDamage: (damage: Damage) => void,
): Generator<WalRecord> {
  let parts: Uint8Array[] = [];
  /** Whether we are inside a record; after damage, fragments are skipped until a record starts. */
  let inside = false;
  let skipping = false;
  let at = 0;
  const damaged = (offset: number, what: string, torn = false): void => {
    onDamage({ segment, file, offset, what, torn });
    parts = [];
    inside = false;
    skipping = true;
  };
  while (at < bytes.length) {
    const pageEnd = Math.min((Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES, bytes.length);
    const start = at;
    const head = bytes[at]!;
    const type = head & 0x07;
    if (type === 0) {
      // The rest of a page that was too small for a fragment, or that a clean close padded.
      const zero = bytes.subarray(at, pageEnd).every((byte) => byte === 0);
      at = pageEnd;
      if (!zero) damaged(start, "padding is not zero");
      else if (inside && at < bytes.length && start % PAGE_BYTES === 0)
        damaged(start, "a page of zeros inside a record");
      continue;
    }
    if (at + FRAGMENT_HEADER_BYTES > pageEnd) {
      damaged(start, "fragment header cut short", pageEnd === bytes.length);
      at = pageEnd;
      continue;
    }
    const length = bytes.readUInt16BE(at + 1);
    const from = at + FRAGMENT_HEADER_BYTES;
    if (type > 4 || from + length > pageEnd) {
      const torn = type <= 4 && pageEnd === bytes.length && bytes.length % PAGE_BYTES !== 0;
      damaged(start, type > 4 ? `fragment type ${type}` : "fragment reaches past its page", torn);
      at = pageEnd;
      continue;
    }
    if (crc32c(bytes, from, from + length) !== bytes.readUInt32BE(at + 3)) {
      damaged(start, "fragment checksum");
      at = pageEnd;
      continue;
    }
    at = from + length;
    const opens = type === 1 || type === 2;
    if (opens === inside) {
      if (!opens && skipping) continue;
      damaged(start, opens ? "a record starts inside another" : "a record goes on that never began");
      if (!opens) continue;
    }
    skipping = false;
    if (opens) parts = [];
    parts.push(bytes.subarray(from, from + length));
    inside = type === 2 || type === 3;
    if (inside) continue;
    const packed = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    parts = [];
    let record: Uint8Array;
    try {
      record = unpack(packed, head);
    } catch (error) {
      damaged(start, `decompression: ${messageOf(error)}`);
      continue;
    }
    yield { segment, bytes: record, end: at };
  }
  if (inside) damaged(bytes.length, "the last record is cut short", true);
}

function unpack(bytes: Uint8Array, head: number): Uint8Array {
  if ((head & SNAPPY) !== 0) return uncompress(bytes, RECORD_BYTES_MAX);
  if ((head & ZSTD) !== 0) return zstdDecompressSync(bytes, { maxOutputLength: RECORD_BYTES_MAX });
  return bytes;
}
