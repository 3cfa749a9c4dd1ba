/**
 * `chunks_head/`: full chunks of the head, written once and read in place, so that memory holds only open chunks.
 * Format: prometheus/tsdb/docs/format/head_chunks.md.
 *
 *   header: magic u32, version 1 u8, 3 zero bytes
 *   entry:  series ref u64 │ mint u64 │ maxt u64 │ encoding u8 │ uvarint length │ data │ crc32 of all before
 *
 * The logs hold the same samples until the head is cut, so nothing here needs a sync but for a snapshot. A torn tail is
 * dropped; an entry that is damaged inside a file is passed over and the file left as it is.
 */
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { copyBytes } from "#libs/kit/copy-bytes.ts";
import { CorruptionError } from "#libs/kit/errors.ts";
import { atOnce } from "#libs/kit/slices.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { ensureFolder, setAside, syncFolder, writeAll } from "../files.ts";
import type { Chunk } from "../chunk/encoding.ts";
import type { FullChunk, FullChunks } from "./full-chunks.ts";

const MAGIC = 0x0130bc91;
const FILE_BYTES_MAX = 128 * 1024 * 1024;
const HEADER_BYTES = 8;
const FLUSH_BYTES = 1 << 20;
/** Largest read, and the gap over which two are joined: reading 16 KiB costs what a system call does. */
const WINDOW_BYTES = 1 << 20;
const GAP_BYTES = 16 * 1024;
/** Bit of the encoding byte that marks an out-of-order chunk. */
const OUT_OF_ORDER_BIT = 0x80;
/** Of an entry, before the length of its data. */
const ENTRY_HEAD_BYTES = 25;
const CRC_BYTES = 4;

/** A chunk that was found in a file. */
export type OnStoredChunk = (ref: number, outOfOrder: boolean, chunk: FullChunk) => void;

/** Where the entry of a chunk begins in its file: what markers in the log of out-of-order samples name. */
export function entryOffset({ offset, length }: FullChunk): number {
  return offset - headBytes(length);
}

/** Of an entry, before its data. */
function headBytes(length: number): number {
  let lengthBytes = 1;
  for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 128)) lengthBytes++;
  return lengthBytes + ENTRY_HEAD_BYTES;
}

/** Chunks to read and where to put their data, in columns: there may be tens of thousands. */
export class ChunkReads {
  files: Uint32Array<ArrayBuffer>;
  offsets: Uint32Array<ArrayBuffer>;
  lengths: Uint32Array<ArrayBuffer>;
  targets: Uint32Array<ArrayBuffer>;
  count = 0;

  constructor(capacity: number) {
    this.files = new Uint32Array(capacity);
    this.offsets = new Uint32Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.targets = new Uint32Array(capacity);
  }

  add(file: number, offset: number, length: number, target: number): void {
    if (this.count === this.files.length) {
      const { files, offsets, lengths, targets } = this;
      Object.assign(this, new ChunkReads(2 * this.count), { count: this.count });
      this.files.set(files);
      this.offsets.set(offsets);
      this.lengths.set(lengths);
      this.targets.set(targets);
    }
    const i = this.count++;
    this.files[i] = file;
    this.offsets[i] = offset;
    this.lengths[i] = length;
    this.targets[i] = target;
  }

  /** Indexes by file and offset. */
  inFileOrder(): ArrayLike<number> {
    const { files, offsets, count } = this;
    if (count === 1) return [0];
    let first = Infinity;
    let last = 0;
    for (let i = 0; i < count; i++) {
      first = Math.min(first, files[i]!);
      last = Math.max(last, files[i]!);
    }
    if (last - first >= FILES_PACKED || count > INDEXES_PACKED) {
      return Uint32Array.from({ length: count }, (_, i) => i).sort(
        (a, b) => files[a]! - files[b]! || offsets[a]! - offsets[b]!,
      );
    }
    const keys = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      keys[i] = (files[i]! - first) * 2 ** 28 + offsets[i]!;
    }
    return inKeyOrder(keys);
  }
}

/** 32 files of 28 bits of offset, and 20 bits of index. */
const FILES_PACKED = 32;
const INDEXES_PACKED = 2 ** 20;

/**
 * The indexes of up to 2^20 keys below 2^33, those of equal keys as they came. One number each sorts ten times as fast as
 * a comparison does. Takes the keys' memory.
 */
function inKeyOrder(keys: Float64Array): Uint32Array {
  for (let i = 0; i < keys.length; i++) keys[i] = keys[i]! * INDEXES_PACKED + i;
  keys.sort();
  const order = new Uint32Array(keys.length);
  for (let i = 0; i < keys.length; i++) order[i] = keys[i]! - Math.floor(keys[i]! / INDEXES_PACKED) * INDEXES_PACKED;
  return order;
}

/** Entries behind each other at the end of the tail, whose places are not final. */
class Movable {
  /** Where each begins in the tail. */
  readonly starts: number[] = [];
  readonly keys: number[] = [];
  /** Which chunk of `into` each is. */
  readonly chunks: number[] = [];
  into: FullChunks | undefined;

  add(start: number, key: number, chunk: number): void {
    this.starts.push(start);
    this.keys.push(key);
    this.chunks.push(chunk);
  }

  clear(): void {
    this.starts.length = this.keys.length = this.chunks.length = 0;
    this.into = undefined;
  }

  get isFull(): boolean {
    return this.starts.length === INDEXES_PACKED;
  }
}

interface OpenFile {
  fd: number;
  /** Of its in-order chunks. */
  maxt: number;
  /** Out-of-order chunks that no block has yet. */
  late: number;
  /** Bytes that the kernel has. */
  written: number;
}

/** A file as it was when it was listed: while nobody writes to it, it has the same chunks. */
export interface ListedFile {
  readonly number: number;
  readonly maxt: number;
  readonly late: number;
  readonly size: number;
  readonly mtimeMs: number;
}

export class HeadChunkFiles {
  readonly #folder: string;
  readonly #files = new Map<number, OpenFile>();
  /** Deleted files that readers of an older state may still read; closed when none is left. */
  readonly #retired = new Map<number, OpenFile>();
  #readers = 0;
  readonly #tail = new ByteWriter(FLUSH_BYTES);
  /** Number of the file being written; the first is 1: a real Prometheus takes 0 for none. */
  #current = 0;
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  readonly #movable = new Movable();
  /** Of the entry added last, in the tail. */
  #lastStart = 0;
  /** Whether damage was found, when they were loaded or read. */
  #isDamaged = false;

  constructor(folder: string) {
    this.#folder = folder;
    ensureFolder(folder);
  }

  /**
   * Reads what is there, by steps. `onDamage` is told of everything that is no chunk; `hasHoles` when more than the newest
   * chunks are missing, so that some samples may be older than chunks that are there.
   */
  *loadSteps(
    onChunk: OnStoredChunk,
    onDamage: (what: string) => void,
  ): Generator<void, { readonly hasHoles: boolean }> {
    let hasHoles = false;
    const numbers = this.#numbers();
    for (const number of numbers) {
      const path = this.#path(number);
      const file = { fd: -1, maxt: -Infinity, late: 0, written: 0 };
      const { size, goodBytes, skipped } = yield* scanHeadChunkFile(
        path,
        number,
        (ref, outOfOrder, chunk) => {
          if (outOfOrder) file.late++;
          else if (chunk.maxt > file.maxt) file.maxt = chunk.maxt;
          onChunk(ref, outOfOrder, chunk);
        },
        (what) => {
          this.#isDamaged = true;
          onDamage(what);
        },
      );
      if (goodBytes === 0) {
        setAside(path);
        hasHoles = true;
        continue;
      }
      // What a kill leaves at the end of the last file is dropped; any other damage stays to be looked at.
      if (number === numbers.at(-1) && !skipped) truncateSync(path, goodBytes);
      else hasHoles ||= skipped || goodBytes < size;
      file.fd = openSync(path, "r+");
      file.written = goodBytes;
      this.#files.set(number, file);
      this.#current = number;
    }
    // Goes on in a new file, as Prometheus does.
    if (this.#files.size > 0) this.#start(this.#current + 1);
    return { hasHoles };
  }

  /** Of the files that have anything, ascending; those begun by a process that ended before it had a chunk are deleted. */
  #numbers(): number[] {
    const numbers = readdirSync(this.#folder)
      .filter((name) => /^\d{6,}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
    return numbers.filter((number) => {
      const isEmpty = statSync(this.#path(number)).size === 0;
      if (isEmpty) rmSync(this.#path(number));
      return !isEmpty;
    });
  }

  /** The files after `sync`, for `areListed`; undefined when something is wrong with one. */
  list(): ListedFile[] | undefined {
    if (this.#isDamaged) return undefined;
    return Array.from(this.#files, ([number, { fd, maxt, late }]) => {
      const { size, mtimeMs } = fstatSync(fd);
      return { number, maxt, late, size, mtimeMs };
    });
  }

  /** Whether the files are those that were listed. */
  areListed(listed: readonly ListedFile[]): boolean {
    const numbers = this.#numbers();
    return (
      numbers.length === listed.length &&
      listed.every(({ number, size, mtimeMs }, i) => {
        if (number !== numbers[i]) return false;
        const stat = statSync(this.#path(number));
        return stat.size === size && stat.mtimeMs === mtimeMs;
      })
    );
  }

  /** In place of `loadSteps`: takes the files unread, which `areListed`. */
  takeListed(listed: readonly ListedFile[]): void {
    for (const { number, maxt, late, size } of listed) {
      this.#files.set(number, { fd: openSync(this.#path(number), "r+"), maxt, late, written: size });
      this.#current = number;
    }
    if (listed.length > 0) this.#start(this.#current + 1);
  }

  #path(number: number): string {
    return join(this.#folder, String(number).padStart(6, "0"));
  }

  #start(number: number): void {
    const fd = openSync(this.#path(number), "wx+");
    this.#files.set(number, { fd, maxt: -Infinity, late: 0, written: 0 });
    this.#current = number;
    this.#tail.clear();
    this.#tail.u32(MAGIC);
    this.#tail.u8(1);
    this.#tail.align(8);
  }

  /**
   * Adds a chunk in front of `list` of `into`, as `FullChunks.add` does. When it is written it lies next to others with
   * its key, so that they are read together: of a metric's chunks among those of all targets each would take a read.
   */
  addTo(into: FullChunks, list: number, ref: number, chunk: Chunk, key: number): number {
    if (this.#movable.into !== into || this.#movable.isFull) this.settle();
    const added = into.add(list, this.#add(ref, chunk, false));
    this.#movable.into = into;
    this.#movable.add(this.#lastStart, key, added - 1);
    return added;
  }

  /** Adds a chunk; it can be read at once, and stays where it is said to be. */
  add(ref: number, chunk: Chunk, outOfOrder: boolean): FullChunk {
    this.settle();
    return this.#add(ref, chunk, outOfOrder);
  }

  /** From here on all chunks so far stay where they are; sorted, unless someone reads them where they are now. */
  settle(): void {
    const { starts, keys, chunks, into } = this.#movable;
    if (starts.length > 1 && this.#readers === 0) {
      const { bytes } = this.#tail;
      const first = starts[0]!;
      const before = bytes.slice(first);
      let at = first;
      for (const i of inKeyOrder(Float64Array.from(keys))) {
        const from = starts[i]!;
        const to = starts[i + 1] ?? bytes.length;
        copyBytes(before, from - first, to - first, bytes, at);
        into!.move(chunks[i]!, at - from);
        at += to - from;
      }
    }
    this.#movable.clear();
  }

  #add(ref: number, { mint, maxt, encoding, data }: Chunk, outOfOrder: boolean): FullChunk {
    let file = this.#files.get(this.#current);
    if (file === undefined || file.written + this.#tail.length + data.length + 64 > FILE_BYTES_MAX) {
      if (file !== undefined) this.flush();
      this.#start(this.#current + 1);
      file = this.#files.get(this.#current)!;
    }
    const start = (this.#lastStart = this.#tail.length);
    this.#tail.u64(ref);
    this.#tail.u64(mint);
    this.#tail.u64(maxt);
    this.#tail.u8(outOfOrder ? encoding | OUT_OF_ORDER_BIT : encoding);
    this.#tail.uvarint(data.length);
    const offset = file.written + this.#tail.length;
    this.#tail.raw(data);
    this.#tail.crc(start);
    if (outOfOrder) file.late++;
    else file.maxt = Math.max(file.maxt, maxt);
    return { mint, maxt, encoding, file: this.#current, offset, length: data.length };
  }

  /** Hands the tail to the kernel. @throws the system's error; the tail is kept. */
  flush(): void {
    const file = this.#files.get(this.#current);
    if (file === undefined || this.#tail.length === 0) return;
    this.settle();
    writeAll(file.fd, this.#tail.bytes, file.written);
    file.written += this.#tail.length;
    this.#tail.clear();
  }

  flushIfLarge(): void {
    if (this.#tail.length >= FLUSH_BYTES) this.flush();
  }

  /** Makes all chunks durable: for who is about to say that the logs need not be read. */
  sync(): void {
    this.flush();
    for (const { fd } of this.#files.values()) fdatasyncSync(fd);
    syncFolder(this.#folder);
  }

  /** Copies a chunk's data into `target`. */
  read(number: number, offset: number, length: number, target: Uint8Array, at: number): void {
    const one = new ChunkReads(1);
    one.add(number, offset, length, at);
    atOnce(this.readSteps(one, target));
  }

  /**
   * Copies many chunks into `target`, in the order of the files whatever the order asked: series are asked for by
   * labels, chunks lie by the time they were filled. Reordered and joined over gaps, 20,000 series take 20 reads
   * instead of 60,000. A step is a read of 1 MiB at most, in memory that all readers share. Empties `wanted`.
   *
   * @throws CorruptionError when a checksum is wrong.
   */
  *readSteps(wanted: ChunkReads, target: Uint8Array): Generator<void> {
    const { files, offsets, lengths, targets } = wanted;
    const order = wanted.inFileOrder();
    for (let i = 0; i < order.length;) {
      const first = order[i]!;
      const number = files[first]!;
      const file = (this.#files.get(number) ?? this.#retired.get(number))!;
      if (offsets[first]! >= file.written) {
        const start = offsets[first]! - file.written;
        target.set(this.#tail.bytes.subarray(start, start + lengths[first]!), targets[first]!);
        i++;
        continue;
      }
      // Whole entries, for their checksums.
      const from = offsets[first]! - headBytes(lengths[first]!);
      let end = offsets[first]! + lengths[first]! + CRC_BYTES;
      let j = i + 1;
      for (; j < order.length; j++) {
        const next = order[j]!;
        const offset = offsets[next]!;
        const nextEnd = offset + lengths[next]! + CRC_BYTES;
        const isFar = offset >= file.written || offset - end > GAP_BYTES || nextEnd - from > WINDOW_BYTES;
        if (files[next] !== number || isFar) break;
        end = nextEnd;
      }
      const length = end - from;
      const bytes = length <= WINDOW_BYTES ? this.#window : Buffer.allocUnsafeSlow(length);
      if (readSync(file.fd, bytes, 0, length, from) !== length) {
        this.#isDamaged = true;
        throw new CorruptionError(this.#path(number), from, "head chunk past the end of its file");
      }
      for (; i < j; i++) {
        const k = order[i]!;
        const start = offsets[k]! - from;
        const entry = start - headBytes(lengths[k]!);
        const crcAt = start + lengths[k]!;
        if (crc32c(bytes, entry, crcAt) !== bytes.readUInt32BE(crcAt)) {
          this.#isDamaged = true;
          const what = "head chunk: checksum; a restart takes its samples from the log";
          throw new CorruptionError(this.#path(number), from + entry, what);
        }
        copyBytes(bytes, start, crcAt, target, targets[k]!);
      }
      yield;
    }
    wanted.count = 0;
  }

  /** An out-of-order chunk is in a block now; `truncate` deletes its file when nothing else needs it. */
  dropLate(chunk: FullChunk): void {
    const file = this.#files.get(chunk.file);
    if (file !== undefined) file.late--;
  }

  /** Deletes files whose in-order chunks all end before `time` and whose others are dropped. */
  truncate(time: number): void {
    for (const [number, file] of this.#files) {
      if (number === this.#current || file.maxt >= time || file.late > 0) continue;
      rmSync(this.#path(number));
      this.#retired.set(number, file);
      this.#files.delete(number);
    }
    this.#closeRetired();
  }

  /** Until the same number of calls of `letGo`, deleted files can still be read. */
  hold(): void {
    this.#readers++;
  }

  letGo(): void {
    this.#readers--;
    this.#closeRetired();
  }

  #closeRetired(): void {
    if (this.#readers > 0) return;
    for (const { fd } of this.#retired.values()) closeSync(fd);
    this.#retired.clear();
  }

  close(): void {
    try {
      this.flush();
    } finally {
      for (const { fd } of this.#files.values()) closeSync(fd);
      for (const { fd } of this.#retired.values()) closeSync(fd);
      this.#retired.clear();
    }
  }

  get bytes(): number {
    let bytes = this.#tail.length;
    for (const { fd } of this.#files.values()) bytes += fstatSync(fd).size;
    return bytes;
  }
}

/**
 * The chunks of one file, a window at each step. What is damaged is passed over as long as the entry behind it can be found by
 * its length; `skipped` says so. `goodBytes`: the end of the last chunk; 0 when not even the header holds.
 */
export function* scanHeadChunkFile(
  path: string,
  number: number,
  onChunk: OnStoredChunk,
  onDamage: (what: string) => void,
): Generator<void, { size: number; goodBytes: number; skipped: boolean }> {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    let window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
    let goodBytes = 0;
    let passedOver = false;
    let skipped = false;
    let needed = WINDOW_BYTES;
    for (let base = 0; base < size;) {
      if (needed > window.length) window = Buffer.allocUnsafeSlow(needed);
      const bytes = window.subarray(0, readSync(fd, window, 0, window.length, base));
      const isLast = base + bytes.length >= size;
      let at = 0;
      if (base === 0) {
        if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(0) !== MAGIC || bytes[4] !== 1) {
          onDamage(`${path}: corrupt at byte 0: not a head chunk file of version 1`);
          break;
        }
        at = goodBytes = HEADER_BYTES;
      }
      needed = WINDOW_BYTES;
      while (at < bytes.length) {
        const lengthAt = at + ENTRY_HEAD_BYTES;
        let length = 0;
        let dataAt = lengthAt;
        for (let scale = 1; dataAt < bytes.length && dataAt < lengthAt + 5; scale *= 128) {
          const byte = bytes[dataAt++]!;
          length += (byte & 0x7f) * scale;
          if (byte < 0x80) break;
        }
        const end = dataAt + length;
        if (end + CRC_BYTES > bytes.length || dataAt === lengthAt) {
          if (!isLast && end + CRC_BYTES - at <= FILE_BYTES_MAX) {
            // Cut by the window: again from here on, with a window that holds it.
            needed = Math.max(WINDOW_BYTES, end + CRC_BYTES - at);
            break;
          }
          // A file that was pre-allocated ends in zeros.
          if (!bytes.subarray(at).every((byte) => byte === 0))
            onDamage(`${path}: corrupt at byte ${base + at}: the file ends inside a chunk`);
          return { size, goodBytes, skipped };
        }
        const ref = bytes.readUInt32BE(at) * 4294967296 + bytes.readUInt32BE(at + 4);
        if (crc32c(bytes, at, end) !== bytes.readUInt32BE(end)) {
          if (ref === 0 && bytes.subarray(at).every((byte) => byte === 0)) return { size, goodBytes, skipped };
          onDamage(`${path}: corrupt at byte ${base + at}: head chunk: checksum`);
          passedOver = true;
        } else {
          const encoding = bytes[lengthAt - 1]!;
          onChunk(ref, (encoding & OUT_OF_ORDER_BIT) !== 0, {
            mint: timeAt(bytes, at + 8),
            maxt: timeAt(bytes, at + 16),
            encoding: encoding & ~OUT_OF_ORDER_BIT,
            file: number,
            offset: base + dataAt,
            length,
          });
          goodBytes = base + end + CRC_BYTES;
          skipped ||= passedOver;
        }
        at = end + CRC_BYTES;
      }
      base += at;
      yield;
    }
    return { size, goodBytes, skipped };
  } finally {
    closeSync(fd);
  }
}

/** A signed 64-bit number, rounded outside ±2^53. */
function timeAt(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 4294967296 + bytes.readUInt32BE(at + 4);
}
