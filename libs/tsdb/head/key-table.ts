/**
 * Series by the bytes of their labels, as a sender writes them: the remote-write encoding of the sorted labels
 * (`0a len 0a len name 12 len value` each) is the key, so that a known series costs a hash and a comparison of
 * bytes, no string. The bytes decide, so that equal hashes cost time only, and the seed keeps senders from making them.
 *
 * The series of a target come one after the other and have most labels in common. So a key is stored as its difference
 * from the last one that is stored whole, where that takes a third of it at most: 35 bytes a series instead of 174
 * (bench/dataset.ts).
 *
 *   address of the whole key u32, its own if it is that │ length u32 │ key or difference │ up to the next word
 */
import { LimitError } from "#libs/kit/errors.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { ByteWriter } from "../encoding/writer.ts";
import { finished, HashSlots, type HashSlotsImage, mixed } from "./hash-slots.ts";
import { isSame, isWhole, type Key, readWhole, writeDifference } from "./key-difference.ts";

const SLAB_BYTES = 1 << 20;
/** Addresses are in words: a slab's number, then the place in it, of which these bits. */
const PLACE_BITS = 18;
const PLACE_MASK = (1 << PLACE_BITS) - 1;
const SLABS_MAX = 2 ** (32 - PLACE_BITS);
const HEAD_BYTES = 8;
/** Where keys go from one family of metrics to the next, the next ones are nearer to that key than to the last whole one. */
const DIFFERENCE_PART = 3;

export interface KeysImage {
  readonly slots: HashSlotsImage;
  readonly addresses: Uint32Array<ArrayBuffer>;
  readonly slabs: readonly Uint8Array<ArrayBuffer>[];
  readonly slabEnd: number;
}

export class KeyTable {
  readonly #slots = new HashSlots();
  /** By slot. */
  #addresses = new Uint32Array(1024);
  #slabs: DataView<ArrayBuffer>[] = [];
  #slabEnd = SLAB_BYTES;
  /** The last key that was stored whole. */
  #whole: (Key & { readonly address: number }) | undefined;
  #scratch = new DataView(new ArrayBuffer(512));
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** For a head's image: views. */
  get image(): KeysImage {
    return {
      slots: this.#slots.image,
      addresses: this.#addresses.subarray(0, this.#slots.count),
      slabs: this.#slabs.map(({ buffer }, i) =>
        i < this.#slabs.length - 1 ? new Uint8Array(buffer) : new Uint8Array(buffer, 0, this.#slabEnd),
      ),
      slabEnd: this.#slabEnd,
    };
  }

  /** Of a table with the same seed. The next key is stored whole. */
  takeImage({ slots, addresses, slabs, slabEnd }: KeysImage): void {
    this.#slots.takeImage(slots);
    this.#addresses = addresses;
    this.#slabs = slabs.map(({ buffer }) => new DataView(buffer.transfer(Math.max(SLAB_BYTES, buffer.byteLength))));
    this.#slabEnd = slabEnd;
  }

  /** The slot of the key `view[from, to)`, or -1. `hash` is `hashOf` of it. */
  find(view: DataView, from: number, to: number, hash: number): number {
    const slots = this.#slots;
    for (let slot = slots.first(hash); slot >= 0; slot = slots.next(hash))
      if (this.is(slot, view, from, to)) return slot;
    return -1;
  }

  /** Whether the key of `slot` is `view[from, to)`. */
  is(slot: number, view: DataView, from: number, to: number): boolean {
    const address = this.#addresses[slot]!;
    const slab = this.#slabOf(address);
    const at = offsetOf(address);
    if (slab.getUint32(at + 4, true) !== to - from) return false;
    const whole = slab.getUint32(at, true);
    if (whole === address) return isSame(slab, at + HEAD_BYTES, view, from, to - from);
    return isWhole(slab, at + HEAD_BYTES, this.#slabOf(whole), offsetOf(whole) + HEAD_BYTES, view, from, to);
  }

  #slabOf(address: number): DataView {
    return this.#slabs[address >>> PLACE_BITS]!;
  }

  /**
   * Adds the next slot, whose key is `view[from, to)`; slots come in order from 0.
   *
   * @throws LimitError, and nothing changes.
   */
  add(view: DataView, from: number, to: number, hash: number): void {
    const address = this.#store(view, from, to);
    const slot = this.#slots.add(hash);
    if (slot === this.#addresses.length)
      this.#addresses = new Uint32Array(this.#addresses.buffer.transfer(4 * Math.ceil(1.25 * slot)));
    this.#addresses[slot] = address;
  }

  /** @returns the address. */
  #store(view: DataView, from: number, to: number): number {
    const length = to - from;
    if (this.#slabEnd + HEAD_BYTES + length > SLAB_BYTES) {
      if (this.#slabs.length === SLABS_MAX) throw new LimitError("the head's label sets have reached 16 GiB");
      this.#slabs.push(new DataView(new ArrayBuffer(Math.max(SLAB_BYTES, HEAD_BYTES + length))));
      this.#slabEnd = 0;
    }
    const slab = this.#slabs.at(-1)!;
    const at = this.#slabEnd;
    const start = at + HEAD_BYTES;
    const address = (((this.#slabs.length - 1) << PLACE_BITS) | (at >>> 2)) >>> 0;
    const whole = this.#whole;
    const endMax = start + Math.floor(length / DIFFERENCE_PART);
    let end = whole === undefined ? -1 : writeDifference(slab, start, endMax, view, from, to, whole);
    slab.setUint32(at, end < 0 ? address : whole!.address, true);
    slab.setUint32(at + 4, length, true);
    if (end < 0) {
      end = start + length;
      for (let i = 0; i < length; i++) slab.setUint8(start + i, view.getUint8(from + i));
      this.#whole = { view: slab, from: start, to: end, address };
    }
    this.#slabEnd = (end + 3) & ~3;
    return address;
  }

  /** Adds the next slot with the key that `slot` has in another table of the same seed. */
  adopt(other: KeyTable, slot: number): void {
    const { view, from, to } = other.#key(slot);
    this.add(view, from, to, other.#slots.hashOf(slot));
  }

  /** The key of a slot, valid until the next call. */
  #key(slot: number): Key {
    const address = this.#addresses[slot]!;
    const slab = this.#slabOf(address);
    const at = offsetOf(address);
    const length = slab.getUint32(at + 4, true);
    const whole = slab.getUint32(at, true);
    if (whole === address) return { view: slab, from: at + HEAD_BYTES, to: at + HEAD_BYTES + length };
    if (length > this.#scratch.byteLength) this.#scratch = new DataView(new ArrayBuffer(2 * length));
    readWhole(slab, at + HEAD_BYTES, this.#slabOf(whole), offsetOf(whole) + HEAD_BYTES, this.#scratch, length);
    return { view: this.#scratch, from: 0, to: length };
  }

  /** Four bytes a step, seeded. `view` lies over the same memory as the key. */
  hashOf(view: DataView, from: number, to: number): number {
    let hash = this.#seed ^ (to - from);
    let i = from;
    for (; i + 4 <= to; i += 4) hash = mixed(hash, view.getInt32(i, true));
    for (; i < to; i++) hash = Math.imul(hash ^ view.getUint8(i), 0x85ebca6b);
    return finished(hash);
  }

  get bytes(): number {
    return this.#slabs.length * SLAB_BYTES + this.#slots.bytes + this.#addresses.byteLength;
  }
}

/** In its slab. */
function offsetOf(address: number): number {
  return (address & PLACE_MASK) << 2;
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
