/**
 * Memory of open chunks: slabs of 1 MiB in blocks of 128 bytes. A chunk is a chain of blocks, which its last one stands
 * for; what is written stays where it is, so that a reader's copy of a record finds its prefix.
 *
 *   124 bytes of data │ u32 number of the block before, or of the next free one
 *
 * All series fill their chunks at the same pace: blocks of nine sizes, each with a free list of its own, held 930 bytes
 * a series at the end of two hours, chains of 64 bytes 400 (bench/figures.ts). But to a reader each block is a cache
 * miss: a sum of rates over 28,000 series took 62 ms with 64 bytes, 45 with 128, 40 with 256. No object per chunk: a full
 * GC of a million series takes 6 ms this way, 3.2 s with objects.
 */
import { LimitError } from "#libs/kit/errors.ts";
import { appendXor, type XorState, XOR_SAMPLE_BYTES_MAX } from "../chunk/xor.ts";

const BLOCK_BITS = 7;
const BLOCK_BYTES = 1 << BLOCK_BITS;
const DATA_BYTES = BLOCK_BYTES - 4;
const DATA_BITS = DATA_BYTES * 8;
const SLAB_BYTES = 1 << 20;
const SLAB_BLOCKS_BITS = 20 - BLOCK_BITS;
const SLABS_MAX = 4096;
const NONE = 0xffffffff;

export class Arena {
  readonly #slabs: Uint8Array[] = [];
  /** The same memory. */
  readonly #words: Uint32Array[] = [];
  /** The first free block; each names the next. */
  #free = NONE;
  /** Blocks that were given out once. */
  #count = 0;
  #readers = 0;
  /** Chains released while someone read. */
  #limbo: number[] = [];
  readonly #scratch = new Uint8Array(2 * XOR_SAMPLE_BYTES_MAX);

  get bytes(): number {
    return this.#slabs.length * SLAB_BYTES;
  }

  /** The only block of a new chain. */
  allocate(): number {
    return this.#allocate(NONE);
  }

  #allocate(before: number): number {
    let block = this.#free;
    if (block !== NONE) this.#free = this.#linkOf(block);
    else {
      block = this.#count++;
      if (block >>> SLAB_BLOCKS_BITS === this.#slabs.length) {
        if (this.#slabs.length === SLABS_MAX) throw new LimitError("the head's open chunks have reached 4 GiB");
        const slab = new Uint8Array(SLAB_BYTES);
        this.#slabs.push(slab);
        this.#words.push(new Uint32Array(slab.buffer));
      }
    }
    this.#link(block, before);
    return block;
  }

  #linkOf(block: number): number {
    return this.#words[block >>> SLAB_BLOCKS_BITS]![linkAt(block)]!;
  }

  #link(block: number, to: number): void {
    this.#words[block >>> SLAB_BLOCKS_BITS]![linkAt(block)] = to;
  }

  /** Gives back the chain that ends with `last`. */
  release(last: number): void {
    if (this.#readers > 0) {
      this.#limbo.push(last);
      return;
    }
    let first = last;
    for (let before = this.#linkOf(first); before !== NONE; before = this.#linkOf(first)) first = before;
    this.#link(first, this.#free);
    this.#free = last;
  }

  /** Until the same number of calls of `letGo`, no block that is in use now is given out again. */
  hold(): void {
    this.#readers++;
  }

  letGo(): void {
    if (--this.#readers > 0) return;
    const limbo = this.#limbo;
    this.#limbo = [];
    for (const last of limbo) this.release(last);
  }

  get readers(): number {
    return this.#readers;
  }

  /**
   * Appends a sample to the chunk of `bits` bits whose last block is `last`. `xor` has its state but for bytes and
   * position; `bitAt` tells afterwards how many bits the chunk has.
   *
   * @returns the last block.
   */
  append(last: number, bits: number, xor: XorState, time: number, low: number, high: number): number {
    const used = bitsInLast(bits);
    const slab = this.#slabs[last >>> SLAB_BLOCKS_BITS]!;
    const offset = dataAt(last);
    if (used + XOR_SAMPLE_BYTES_MAX * 8 <= DATA_BITS) {
      const at = offset * 8 + used;
      xor.bytes = slab;
      xor.bitAt = at;
      appendXor(xor, time, low, high);
      xor.bitAt += bits - at;
      return last;
    }
    // It may not fit: written beside, then dealt out.
    const scratch = this.#scratch;
    const usedBytes = used >>> 3;
    const room = DATA_BYTES - usedBytes;
    if (room > 0) scratch[0] = slab[offset + usedBytes]!;
    xor.bytes = scratch;
    xor.bitAt = used & 7;
    appendXor(xor, time, low, high);
    const length = (xor.bitAt + 7) >>> 3;
    xor.bitAt += bits - (used & 7);
    copy(scratch, 0, slab, offset + usedBytes, Math.min(room, length));
    if (length <= room) return last;
    const next = this.#allocate(last);
    copy(scratch, room, this.#slabs[next >>> SLAB_BLOCKS_BITS]!, dataAt(next), length - room);
    return next;
  }

  /** A chain with these bytes. @returns its last block. */
  store(bytes: Uint8Array): number {
    let last = NONE;
    for (let at = 0; at < bytes.length || last === NONE; at += DATA_BYTES) {
      last = this.#allocate(last);
      copy(bytes, at, this.#slabs[last >>> SLAB_BLOCKS_BITS]!, dataAt(last), Math.min(DATA_BYTES, bytes.length - at));
    }
    return last;
  }

  /** Copies the chunk of `bits` bits whose last block is `last` to `target[at, …)`; what is behind its bits is zero. */
  read(last: number, bits: number, target: Uint8Array, at: number): void {
    const length = (bits + 7) >>> 3;
    let block = last;
    for (let from = Math.floor((length - 1) / DATA_BYTES) * DATA_BYTES; ; from -= DATA_BYTES) {
      const slab = this.#slabs[block >>> SLAB_BLOCKS_BITS]!;
      copy(slab, dataAt(block), target, at + from, Math.min(DATA_BYTES, length - from));
      if (from === 0) break;
      block = this.#linkOf(block);
    }
    // Of an older record, the last byte may hold bits of later samples.
    if ((bits & 7) !== 0) target[at + length - 1]! &= 0xff00 >>> (bits & 7);
  }
}

/** Offset of a block's data in its slab. */
function dataAt(block: number): number {
  return (block << BLOCK_BITS) & (SLAB_BYTES - 1);
}

/** Index of a block's link among the words of its slab. */
function linkAt(block: number): number {
  return (dataAt(block) + DATA_BYTES) >>> 2;
}

/** Of a chunk of `bits` bits, 1 at least. */
function bitsInLast(bits: number): number {
  return ((bits - 1) % DATA_BITS) + 1;
}

/** For a few bytes: half of what `set` of a `subarray` takes. */
function copy(source: Uint8Array, from: number, target: Uint8Array, at: number, length: number): void {
  for (let i = 0; i < length; i++) target[at + i] = source[from + i]!;
}
