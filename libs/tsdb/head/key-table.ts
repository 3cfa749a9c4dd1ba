/**
 * Series by the bytes of their labels, as a sender writes them: the remote-write encoding of the sorted labels
 * (`0a len 0a len name 12 len value` each) is the key, so that a known series costs a hash and a comparison of
 * bytes, no string. Open addressing, linear probing; the bytes decide, so collisions cost time only, and the seed
 * keeps senders from making them.
 */
import type { Labels } from "#libs/model/labels.ts";
import type { ByteWriter } from "../encoding/writer.ts";

const SLAB_BYTES = 1 << 20;

export class KeyTable {
  #table = new Uint32Array(4096);
  #mask = 4095;
  #hashes = new Uint32Array(1024);
  #addresses = new Float64Array(1024);
  #lengths = new Uint32Array(1024);
  #count = 0;
  readonly #slabs: Buffer[] = [];
  #slabEnd = SLAB_BYTES;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** The slot of a key, or -1. `hash` is `hashOf` of the same bytes. */
  find(bytes: Buffer, from: number, to: number, hash: number): number {
    const table = this.#table;
    for (let i = hash & this.#mask; ; i = (i + 1) & this.#mask) {
      const entry = table[i]!;
      if (entry === 0) return -1;
      if (this.#hashes[entry - 1] === hash && this.is(entry - 1, bytes, from, to)) return entry - 1;
    }
  }

  /** Whether the key of `slot` is these bytes. */
  is(slot: number, bytes: Buffer, from: number, to: number): boolean {
    const length = to - from;
    if (this.#lengths[slot] !== length) return false;
    const address = this.#addresses[slot]!;
    const slab = this.#slabs[Math.floor(address / SLAB_BYTES)]!;
    const at = address % SLAB_BYTES;
    return slab.compare(bytes, from, to, at, at + length) === 0;
  }

  /** Adds the next slot; slots come in order from 0. */
  add(bytes: Uint8Array, from: number, to: number, hash: number): void {
    const slot = this.#count++;
    if (slot === this.#hashes.length) this.#growSlots();
    const length = to - from;
    if (this.#slabEnd + length > SLAB_BYTES) {
      this.#slabs.push(Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, length)));
      this.#slabEnd = 0;
    }
    this.#slabs.at(-1)!.set(bytes.subarray(from, to), this.#slabEnd);
    this.#hashes[slot] = hash;
    this.#lengths[slot] = length;
    this.#addresses[slot] = (this.#slabs.length - 1) * SLAB_BYTES + this.#slabEnd;
    this.#slabEnd += length;
    if (this.#count * 2 > this.#table.length) this.#growTable();
    else this.#place(slot);
  }

  /** Adds the next slot with the key that `slot` has in another table of the same seed. */
  adopt(from: KeyTable, slot: number): void {
    const address = from.#addresses[slot]!;
    const at = address % SLAB_BYTES;
    this.add(from.#slabs[Math.floor(address / SLAB_BYTES)]!, at, at + from.#lengths[slot]!, from.#hashes[slot]!);
  }

  #place(slot: number): void {
    let i = this.#hashes[slot]! & this.#mask;
    while (this.#table[i] !== 0) i = (i + 1) & this.#mask;
    this.#table[i] = slot + 1;
  }

  #growTable(): void {
    this.#table = new Uint32Array(this.#table.length * 2);
    this.#mask = this.#table.length - 1;
    for (let slot = 0; slot < this.#count; slot++) this.#place(slot);
  }

  #growSlots(): void {
    const capacity = this.#hashes.length * 2;
    const hashes = new Uint32Array(capacity);
    const addresses = new Float64Array(capacity);
    const lengths = new Uint32Array(capacity);
    hashes.set(this.#hashes);
    addresses.set(this.#addresses);
    lengths.set(this.#lengths);
    this.#hashes = hashes;
    this.#addresses = addresses;
    this.#lengths = lengths;
  }

  /** Four bytes a step, seeded. `view` lies over the same memory as the key. */
  hashOf(view: DataView, from: number, to: number): number {
    let hash = this.#seed ^ (to - from);
    let i = from;
    for (; i + 4 <= to; i += 4) {
      hash = Math.imul(hash ^ view.getInt32(i, true), 0x9e3779b1);
      hash = (hash << 15) | (hash >>> 17);
    }
    for (; i < to; i++) hash = Math.imul(hash ^ view.getUint8(i), 0x85ebca6b);
    hash ^= hash >>> 16;
    hash = Math.imul(hash, 0xc2b2ae35);
    return (hash ^ (hash >>> 13)) >>> 0;
  }

  get bytes(): number {
    return this.#slabs.length * SLAB_BYTES + this.#table.byteLength + this.#hashes.byteLength * 4;
  }
}

/** Writes the key of a label set. */
export function writeKey(out: ByteWriter, labels: Labels): void {
  const sizeOf = (length: number): number => (length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x200000 ? 3 : 4);
  for (let i = 0; i < labels.length; i += 2) {
    const name = Buffer.byteLength(labels[i]!);
    const value = Buffer.byteLength(labels[i + 1]!);
    out.u8(0x0a);
    out.uvarint(2 + sizeOf(name) + name + sizeOf(value) + value);
    out.u8(0x0a);
    out.text(labels[i]!);
    out.u8(0x12);
    out.text(labels[i + 1]!);
  }
}
