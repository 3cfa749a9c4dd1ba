/**
 * The write-ahead log: segments `%08d` of 128 MiB in pages of 32 KiB, records in CRC-checked fragments.
 * Format: prometheus/tsdb/docs/format/wal.md.
 *
 *   fragment: type u8 │ length u16 │ crc32 of the data u32 │ data      (type: 1 full, 2 first, 3 middle, 4 last)
 *
 * A commit is one write to the kernel, at a position we keep ourselves: what a full disk left half-written is cut
 * off, the bytes stay in memory, and nothing else is accepted until they are written. So the log never has a hole,
 * and memory is never more than one commit ahead of it.
 */
import { closeSync, fdatasync, fdatasyncSync, ftruncateSync, openSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, UnavailableError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { ensureFolder, syncFolder, writeAll } from "../files.ts";

export const PAGE_BYTES = 32 * 1024;
export const SEGMENT_BYTES = 128 * 1024 * 1024;
export const FRAGMENT_HEADER_BYTES = 7;

export function segmentName(index: number): string {
  return String(index).padStart(8, "0");
}

/** Numbers of the segments in a folder, ascending. */
export function listSegments(folder: string): number[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return names
    .filter((name) => /^\d{8,}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

export class WalWriter {
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #pending = new ByteWriter(1 << 16);
  #fd = -1;
  #segment: number;
  /** Bytes of the segment that are in the kernel. */
  #position = 0;
  #stuck: UnavailableError | undefined;
  #failed: UnavailableError | undefined;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;
  bytesTotal = 0;
  syncsTotal = 0;

  /** Starts a new segment after the last one. */
  constructor(folder: string, segmentBytes: number = SEGMENT_BYTES) {
    this.#folder = folder;
    this.#segmentBytes = segmentBytes;
    ensureFolder(folder);
    this.#segment = -1;
    this.#open((listSegments(folder).at(-1) ?? -1) + 1);
  }

  get segment(): number {
    return this.#segment;
  }

  /** Bytes of the current segment that are handed over. */
  get position(): number {
    return this.#position;
  }

  /** Why nothing can be written now, or undefined. */
  get trouble(): string | undefined {
    return (this.#failed ?? this.#stuck)?.message;
  }

  #open(segment: number): void {
    const fd = openSync(join(this.#folder, segmentName(segment)), "wx");
    syncFolder(this.#folder);
    this.#fd = fd;
    this.#segment = segment;
    this.#position = 0;
  }

  /**
   * To be called before a commit is made: what an earlier one left is written, and a full segment is followed by a
   * new one. A record never spans two, so the segment is cut while a quarter is left for the commit.
   *
   * @throws UnavailableError when the disk does not take it; nothing has changed then.
   */
  prepare(): void {
    this.flush();
    if (this.#position > this.#segmentBytes * 0.75) this.cut();
  }

  /** Starts a new segment; the old one is padded to a page and made durable. */
  cut(): void {
    this.flush();
    try {
      this.#padPage();
      fdatasyncSync(this.#fd);
      const old = this.#fd;
      this.#open(this.#segment + 1);
      closeSync(old);
    } catch (cause) {
      throw new UnavailableError(`write-ahead log: new segment: ${messageOf(cause)}`, { cause });
    }
  }

  #padPage(): void {
    const page = this.#position % PAGE_BYTES;
    if (page !== 0) writeAll(this.#fd, new Uint8Array(PAGE_BYTES - page), this.#position);
  }

  /** Adds a record to the commit being made. */
  add(record: Uint8Array): void {
    for (let at = 0, first = true; first || at < record.length; first = false) {
      let room = PAGE_BYTES - ((this.#position + this.#pending.length) % PAGE_BYTES);
      if (room < FRAGMENT_HEADER_BYTES) {
        this.#pad(room);
        room = PAGE_BYTES;
      }
      const length = Math.min(record.length - at, room - FRAGMENT_HEADER_BYTES);
      const last = at + length === record.length;
      this.#pending.u8(first ? (last ? 1 : 2) : last ? 4 : 3);
      this.#pending.u16(length);
      this.#pending.u32(crc32c(record, at, at + length));
      this.#pending.raw(record.subarray(at, at + length));
      at += length;
    }
  }

  #pad(count: number): void {
    for (let i = 0; i < count; i++) this.#pending.u8(0);
  }

  /**
   * Hands what was added to the kernel.
   *
   * @throws UnavailableError with the reason (disk full); the bytes are kept, and the next `flush` tries again.
   */
  flush(): void {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#pending.length === 0) return;
    try {
      writeAll(this.#fd, this.#pending.bytes, this.#position);
    } catch (cause) {
      this.#stuck = new UnavailableError(
        `write-ahead log: ${messageOf(cause)}; nothing is accepted until it can be written`,
        { cause },
      );
      try {
        ftruncateSync(this.#fd, this.#position);
      } catch (error) {
        // The tail is overwritten by the next flush, or found torn by a replay: either is right.
        this.#stuck.message += ` (${messageOf(error)})`;
      }
      throw this.#stuck;
    }
    this.#stuck = undefined;
    this.#position += this.#pending.length;
    this.bytesTotal += this.#pending.length;
    this.#pending.clear();
  }

  /**
   * Resolves when everything flushed before the call is on the disk. Calls while a sync runs share the next one:
   * group commit.
   *
   * @throws UnavailableError when a sync failed: what the kernel dropped is unknown, so the log stays failed.
   */
  sync(): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    if (this.#syncing === undefined) return this.#startSync();
    this.#nextSync ??= this.#syncing.then(
      () => this.#startSync(),
      () => this.#startSync(),
    );
    return this.#nextSync;
  }

  #startSync(): Promise<void> {
    this.#nextSync = undefined;
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    this.#syncing = new Promise((resolve, reject) => {
      // A cut syncs and closes the old descriptor itself.
      const fd = this.#fd;
      fdatasync(fd, (error) => {
        this.#syncing = undefined;
        this.syncsTotal++;
        if (error === null || fd !== this.#fd) resolve();
        else {
          this.#failed = new UnavailableError(
            `write-ahead log: sync: ${error.message}; restart after the disk is repaired`,
            { cause: error },
          );
          reject(this.#failed);
        }
      });
    });
    return this.#syncing;
  }

  /** Removes the segments below `segment`, oldest first; not in this thread: one of 128 MB takes 10 ms. */
  async removeBefore(segment: number): Promise<void> {
    for (const index of listSegments(this.#folder)) {
      if (index < segment) await rm(join(this.#folder, segmentName(index)));
    }
    syncFolder(this.#folder);
  }

  /** `padded`: nothing will ever follow, and a reader is to see whether it has all of it. */
  async close(padded = false): Promise<void> {
    try {
      this.flush();
      if (padded) this.#padPage();
      await this.sync();
    } finally {
      closeSync(this.#fd);
      this.#failed ??= new UnavailableError("write-ahead log: closed");
    }
  }
}
