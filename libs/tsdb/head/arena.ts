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

/** Chunks to read: last block, bytes, bits, samples and target of each. */
export class ChainReads {
  words: Uint32Array<ArrayBuffer>;
  count = 0;

  constructor(capacity: number) {
    this.words = new Uint32Array(READ_WORDS * capacity);
  }

  add(last: number, bits: number, samples: number, target: number): void {
    const w = READ_WORDS * this.count++;
    if (w === this.words.length) {
      const larger = new Uint32Array(2 * w);
      larger.set(this.words);
      this.words = larger;
    }
    const { words } = this;
    words[w] = last;
    words[w + 1] = (bits + 7) >>> 3;
    words[w + 2] = bits;
    words[w + 3] = samples;
    words[w + 4] = target;
  }
}

const READ_WORDS = 5;
/** Chunks that are read together: a block of each fits the processor's first cache. */
const READ_TOGETHER = 128;

export interface ArenaImage {
  readonly slabs: readonly Uint8Array<ArrayBuffer>[];
  readonly free: number;
  readonly count: number;
}

export class Arena {
  readonly #slabs: Buffer<ArrayBuffer>[] = [];
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
  #looked = 0; // oxlint-disable-line no-unused-private-class-members -- what `#look` loads is not to be optimized away

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
        this.#addSlab(new ArrayBuffer(SLAB_BYTES));
      }
    }
    this.#link(block, before);
    return block;
  }

  #addSlab(memory: ArrayBuffer): void {
    this.#slabs.push(Buffer.from(memory));
    this.#words.push(new Uint32Array(memory));
  }

  /** For a head's image: views. Chains released while someone reads stay taken. */
  get image(): ArenaImage {
    const slabs = this.#slabs.map((slab, i) => slab.subarray(0, this.#count * BLOCK_BYTES - i * SLAB_BYTES));
    return { slabs, free: this.#free, count: this.#count };
  }

  /** Of a new arena. */
  takeImage({ slabs, free, count }: ArenaImage): void {
    for (const { buffer } of slabs) this.#addSlab(buffer.transfer(SLAB_BYTES));
    this.#free = free;
    this.#count = count;
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

  /** Copies the chunk of `bits` bits and `samples` samples whose last block is `last` to `target[at, …)`, as it is stored. */
  read(last: number, bits: number, samples: number, target: Uint8Array, at: number): void {
    const one = new ChainReads(1);
    one.add(last, bits, samples, at);
    this.#readGroup(one.words, 0, 1, target);
  }

  /**
   * The same of many chunks, by steps; empties `reads`. To wait for one block after the other takes most of the time, so
   * all chains' blocks are asked for before the first is copied: 0.5 µs instead of 1.15 for 560 bytes (bench/query-head.ts).
   */
  *readSteps(reads: ChainReads, target: Uint8Array): Generator<void> {
    const { words, count } = reads;
    reads.count = 0;
    for (let first = 0; first < count; first += READ_TOGETHER) {
      const end = Math.min(first + READ_TOGETHER, count);
      this.#readGroup(words, first, end, target);
      yield;
    }
  }

  #readGroup(words: Uint32Array, first: number, end: number, target: Uint8Array): void {
    while (this.#readBlocks(words, first, end, target)) continue;
    for (let w = READ_WORDS * first; w < READ_WORDS * end; w += READ_WORDS)
      complete(target, words[w + 4]!, words[w + 2]!, words[w + 3]!);
  }

  /** Copies the last block of each chain that is not copied. @returns whether there are more. */
  #readBlocks(words: Uint32Array, first: number, end: number, target: Uint8Array): boolean {
    for (let w = READ_WORDS * first; w < READ_WORDS * end; w += READ_WORDS)
      if (words[w + 1]! > 0) this.#look(words[w]!);
    let hasMore = false;
    for (let w = READ_WORDS * first; w < READ_WORDS * end; w += READ_WORDS) {
      const length = words[w + 1]!;
      if (length === 0) continue;
      const block = words[w]!;
      const from = Math.floor((length - 1) / DATA_BYTES) * DATA_BYTES;
      const data = dataAt(block);
      this.#slabs[block >>> SLAB_BLOCKS_BITS]!.copy(target, words[w + 4]! + from, data, data + length - from);
      words[w] = this.#linkOf(block);
      words[w + 1] = from;
      hasMore ||= from > 0;
    }
    return hasMore;
  }

  /** Loads the cache lines of a block, which need not begin at one. */
  #look(block: number): void {
    const slab = this.#words[block >>> SLAB_BLOCKS_BITS]!;
    const at = dataAt(block) >>> 2;
    this.#looked ^= slab[at]! ^ slab[at + 16]! ^ slab[at + 31]!;
  }
}

/** Writes the count in front; of an older record, the last byte may hold bits of later samples. */
function complete(target: Uint8Array, at: number, bits: number, samples: number): void {
  target[at] = samples >>> 8;
  target[at + 1] = samples;
  if ((bits & 7) !== 0) target[at + (bits >>> 3)]! &= 0xff00 >>> (bits & 7);
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
