/** File system steps that a crash must not undo or half show. */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ByteWriter } from "./encoding/writer.ts";

/** Makes the entries of a folder durable. */
export function syncFolder(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Writes a file under a temporary name, syncs it and renames it: there is the old content or the new, never half. */
export function writeFileAtomic(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.tmp`;
  const fd = openSync(temporary, "w");
  try {
    writeAll(fd, typeof content === "string" ? Buffer.from(content) : content, 0);
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Writes all of `bytes` at `position`. */
export function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) {
    at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  }
}

/** Cuts a file off, durably. */
export function truncateFile(path: string, length: number): void {
  const fd = openSync(path, "r+");
  try {
    ftruncateSync(fd, length);
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** So many damaged files are left of a folder for somebody to look at: a log's have 128 MiB each. */
const SET_ASIDE_MAX = 3;

/** Renames a damaged file to `<name>.corrupt`. Of those in its folder the first by name go when they are too many. */
export function setAside(path: string): void {
  renameSync(path, `${path}.corrupt`);
  const folder = dirname(path);
  const names = readdirSync(folder).filter((name) => name.endsWith(".corrupt"));
  for (const name of names.sort().slice(0, -SET_ASIDE_MAX)) rmSync(join(folder, name));
}

/** Lengths above are held against the file's size before memory is taken: they may come from corrupt bytes. */
const UNCHECKED_BYTES_MAX = 1 << 20;

/** Reads `length` bytes at `position`, into fresh memory or, when they fit, `into`; shorter only at the file's end. */
export function readAt(fd: number, position: number, length: number, into?: Uint8Array): Uint8Array {
  const there = length > UNCHECKED_BYTES_MAX ? Math.max(0, fstatSync(fd).size - position) : length;
  const most = Math.min(length, there);
  const bytes = into !== undefined && into.length >= most ? into.subarray(0, most) : Buffer.allocUnsafeSlow(most);
  let at = 0;
  while (at < bytes.length) {
    const count = readSync(fd, bytes, at, bytes.length - at, position + at);
    if (count === 0) break;
    at += count;
  }
  return bytes.subarray(0, at);
}

/** Renames out of sight first, so that a half-deleted folder is never taken for a block. */
export function removeFolder(path: string): void {
  const hidden = `${path}.tmp-for-deletion`;
  rmSync(hidden, { recursive: true, force: true }); // what a crash left of another try
  renameSync(path, hidden);
  syncFolder(dirname(path));
  rmSync(hidden, { recursive: true, force: true });
}

/** A durable copy of a folder whose files are hard links: they must not be written in place. */
export function linkFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkFolder(source, target);
    else linkSync(source, target);
  }
  syncFolder(to);
}

/** Makes a folder and those it is in, durably: what is synced in them is not to be lost with their names. */
export function ensureFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  if (first === undefined) return;
  for (let made = resolve(path); ; made = dirname(made)) {
    syncFolder(dirname(made));
    if (made === resolve(first)) return;
  }
}

const FLUSH_BYTES = 1 << 20;
/** Records that are written in place seldom go further over `FLUSH_BYTES`. */
const RECORD_BYTES = 1 << 14;

/** A file written front to back through a buffer. What was written can be read again before it is closed. */
export class FileWriter {
  readonly #fd: number;
  /** What the file goes on with: for records that are written in place; call `settle` behind each. */
  readonly out = new ByteWriter(FLUSH_BYTES + RECORD_BYTES);
  #flushed = 0;
  #open = true;

  constructor(path: string) {
    this.#fd = openSync(path, "wx+");
  }

  get length(): number {
    return this.#flushed + this.out.length;
  }

  write(bytes: Uint8Array): void {
    if (bytes.length > FLUSH_BYTES) {
      this.#flush();
      writeAll(this.#fd, bytes, this.#flushed);
      this.#flushed += bytes.length;
    } else {
      this.out.raw(bytes);
      this.settle();
    }
  }

  /** Hands `out` to the kernel once it is large. */
  settle(): void {
    if (this.out.length >= FLUSH_BYTES) this.#flush();
  }

  /** Zeros up to the next multiple of `to`, a power of two. */
  align(to: number): void {
    this.out.zeros(-this.length & (to - 1));
  }

  /** Bytes written earlier; shorter only at the end. */
  read(position: number, length: number): Uint8Array {
    this.#flush();
    return readAt(this.#fd, position, length);
  }

  #flush(): void {
    writeAll(this.#fd, this.out.bytes, this.#flushed);
    this.#flushed += this.out.length;
    this.out.clear();
  }

  /** Resolves when what was written is on the disk: `close` then does not wait. */
  sync(): Promise<void> {
    this.#flush();
    return new Promise((resolve, reject) =>
      fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error))),
    );
  }

  /** Durable once it returns. */
  close(): void {
    try {
      this.#flush();
      fdatasyncSync(this.#fd);
    } finally {
      this.abandon();
    }
  }

  /** Closes the file, if it is open, as it is. */
  abandon(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}
