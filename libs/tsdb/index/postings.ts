/**
 * Postings: the refs of all series that carry one label pair.
 *
 * Invariant, kept by every producer and relied on by every consumer: strictly ascending.
 * A block's series ref is the byte offset of its entry in the index file, divided by 16, so
 * 32 bits reach 64 GiB. Format: prometheus/tsdb/docs/format/index.md, "Postings".
 *
 * A list is a value, not an iterator: a flat merge over Uint32Array ran 3 times as fast as a
 * next/seek/at class and 15 times as fast as a generator, and the postings of a million series are 4 MB.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";

/** Strictly ascending series refs. Shared between queries: never write to one you were given. */
export type Postings = Uint32Array;

export const NO_POSTINGS: Postings = new Uint32Array(0);

/**
 * Reads the list stored as `length u32 | count u32 | ref u32 × count | crc32 u32`, big-endian, at `from`. The refs
 * are copied out: `bytes` may be a cache page that is recycled after this call.
 *
 * @throws CorruptionError when the bytes are short, the count disagrees with the length, the checksum is wrong or the
 * refs do not ascend.
 */
export function readPostings(bytes: Uint8Array, from: number, file: string): Postings {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (from + 8 > bytes.length) throw new CorruptionError(file, from, "postings cut short");
  const lengthBytes = view.getUint32(from);
  const count = view.getUint32(from + 4);
  if (lengthBytes !== 4 + 4 * count) {
    throw new CorruptionError(file, from, `postings of ${lengthBytes} bytes claim ${count} refs`);
  }
  const end = from + 4 + lengthBytes;
  if (end + 4 > bytes.length) throw new CorruptionError(file, from, "postings cut short");
  if (crc32c(bytes, from + 4, end) !== view.getUint32(end)) throw new CorruptionError(file, from, "postings: checksum");
  const refs = new Uint32Array(count);
  for (let i = 0, at = from + 8; i < count; i++, at += 4) {
    const ref = view.getUint32(at);
    if (i > 0 && ref <= refs[i - 1]!) throw new CorruptionError(file, at, "postings do not ascend");
    refs[i] = ref;
  }
  return refs;
}

/** The refs in both lists. */
export function intersect(a: Postings, b: Postings): Postings {
  // The work is bounded by the shorter.
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  const common = new Uint32Array(short.length);
  let count = 0;
  let at = 0;
  for (let i = 0; i < short.length && at < long.length; i++) {
    const ref = short[i]!;
    at = seek(long, ref, at);
    if (long[at] === ref) common[count++] = ref;
  }
  return common.subarray(0, count);
}

/** The refs of `list` that are not in `removed`. */
export function subtract(list: Postings, removed: Postings): Postings {
  if (removed.length === 0 || list.length === 0) return list;
  const kept = new Uint32Array(list.length);
  let count = 0;
  let at = 0;
  for (let i = 0; i < list.length; i++) {
    const ref = list[i]!;
    at = seek(removed, ref, at);
    if (removed[at] !== ref) kept[count++] = ref;
  }
  return kept.subarray(0, count);
}

/**
 * The refs in any list, each once. Many refs close to each other go through a bitset: 1 M refs of 500,000 lists took
 * 6 ms against 43 by sorting (bench/blocks.ts); few far apart are concatenated and sorted.
 */
export function union(lists: readonly Postings[]): Postings {
  const filled = lists.filter((list) => list.length > 0);
  if (filled.length <= 1) return filled[0] ?? NO_POSTINGS;
  let total = 0;
  let least = Infinity;
  let greatest = 0;
  for (const list of filled) {
    total += list.length;
    least = Math.min(least, list[0]!);
    greatest = Math.max(greatest, list[list.length - 1]!);
  }
  return greatest - least < total * 64 ? unionByBits(filled, least, greatest) : unionBySort(filled, total);
}

function unionByBits(lists: readonly Postings[], least: number, greatest: number): Postings {
  const bits = new Int32Array(((greatest - least) >>> 5) + 1);
  let count = 0;
  for (const list of lists) {
    for (let i = 0; i < list.length; i++) {
      const at = list[i]! - least;
      const bit = 1 << (at & 31);
      if ((bits[at >>> 5]! & bit) === 0) count++;
      bits[at >>> 5]! |= bit;
    }
  }
  const refs = new Uint32Array(count);
  for (let word = 0, i = 0; word < bits.length; word++) {
    for (let rest = bits[word]!; rest !== 0; rest &= rest - 1) {
      refs[i++] = least + word * 32 + (31 - Math.clz32(rest & -rest));
    }
  }
  return refs;
}

function unionBySort(lists: readonly Postings[], total: number): Postings {
  const all = new Uint32Array(total);
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  all.sort();
  let count = 1;
  for (let i = 1; i < all.length; i++) if (all[i] !== all[i - 1]) all[count++] = all[i]!;
  return all.subarray(0, count);
}

/** Index of the first ref ≥ `target` at or after `from`; `list.length` if there is none. */
export function seek(list: Postings, target: number, from: number): number {
  // Gallop to a window that holds the answer, then bisect it: O(log distance), not O(log n),
  // because the next hit is usually near.
  let step = 1;
  let low = from;
  while (low + step < list.length && list[low + step]! < target) {
    low += step;
    step *= 2;
  }
  let high = Math.min(low + step, list.length);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]! < target) low = middle + 1;
    else high = middle;
  }
  return low;
}
