/**
 * Series by the bytes of their labels, as a sender writes them: the remote-write encoding of the sorted labels
 * (`0a len 0a len name 12 len value` each) is the key, so that a known series costs a hash and a comparison of
 * bytes, no string. Open addressing, linear probing; the bytes decide, so collisions cost time only, and the seed
 * keeps senders from making them.
 */
import type { Labels } from "#libs/model/labels.ts";
import type { ByteWriter } from "../encoding/writer.ts";

const SLAB_BYTES = 1 << 20;
/** The table is grown in so many parts, so that no growth of a large one is felt. */
const PARTS_BITS = 6;
const PART_SHIFT = 32 - PARTS_BITS;

export class KeyTable {
  /** Slot + 1 by hash: the upper bits choose the part, the lower the place. */
  readonly #parts = Array.from({ length: 1 << PARTS_BITS }, () => new Uint32Array(64));
  readonly #partCounts = new Uint32Array(1 << PARTS_BITS);
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
    const table = this.#parts[hash >>> PART_SHIFT]!;
    const mask = table.length - 1;
    for (let i = hash & mask; ; i = (i + 1) & mask) {
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
    const part = hash >>> PART_SHIFT;
    if (++this.#partCounts[part]! * 2 > this.#parts[part]!.length) this.#growPart(part);
    place(this.#parts[part]!, hash, slot);
  }

  /** Adds the next slot with the key that `slot` has in another table of the same seed. */
  adopt(from: KeyTable, slot: number): void {
    const address = from.#addresses[slot]!;
    const at = address % SLAB_BYTES;
    this.add(from.#slabs[Math.floor(address / SLAB_BYTES)]!, at, at + from.#lengths[slot]!, from.#hashes[slot]!);
  }

  #growPart(part: number): void {
    const old = this.#parts[part]!;
    const larger = new Uint32Array(old.length * 2);
    for (let i = 0; i < old.length; i++) if (old[i] !== 0) place(larger, this.#hashes[old[i]! - 1]!, old[i]! - 1);
    this.#parts[part] = larger;
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
    const table = this.#parts.reduce((sum, part) => sum + part.byteLength, 0);
    return this.#slabs.length * SLAB_BYTES + table + this.#hashes.byteLength * 4;
  }
}

function place(table: Uint32Array, hash: number, slot: number): void {
  const mask = table.length - 1;
  let i = hash & mask;
  while (table[i] !== 0) i = (i + 1) & mask;
  table[i] = slot + 1;
}

/** Writes the key of a label set. */
export function writeKey(out: ByteWriter, labels: Labels): void {
  for (let i = 0; i < labels.length; i += 2) {
    startLabel(out, Buffer.byteLength(labels[i]!), Buffer.byteLength(labels[i + 1]!));
    out.text(labels[i]!);
    out.u8(0x12);
    out.text(labels[i + 1]!);
  }
}

/** Writes one label of a key from its bytes. */
export function writeKeyLabel(
  out: ByteWriter,
  bytes: Uint8Array,
  name: number,
  nameEnd: number,
  value: number,
  valueEnd: number,
): void {
  startLabel(out, nameEnd - name, valueEnd - value);
  out.part(bytes, name, nameEnd);
  out.u8(0x12);
  out.part(bytes, value, valueEnd);
}

/** Up to the length of the name. */
function startLabel(out: ByteWriter, nameBytes: number, valueBytes: number): void {
  out.u8(0x0a);
  out.uvarint(2 + sizeOf(nameBytes) + nameBytes + sizeOf(valueBytes) + valueBytes);
  out.u8(0x0a);
}

function sizeOf(length: number): number {
  return length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x200000 ? 3 : 4;
}
