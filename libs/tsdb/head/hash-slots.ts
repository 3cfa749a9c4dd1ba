/**
 * Numbers 0, 1, 2, … by hashes of 32 bits that are given with them. Open addressing, linear probing; what has the hash
 * is looked at by the caller:
 *
 *   for (let slot = slots.first(hash); slot >= 0; slot = slots.next(hash)) if (isWanted(slot)) return slot;
 */
/** The table is grown in so many parts, so that no growth of a large one is felt. */
const PARTS_BITS = 6;
const PART_SHIFT = 32 - PARTS_BITS;

export interface HashSlotsImage {
  readonly parts: Uint32Array<ArrayBuffer>[];
  readonly hashes: Uint32Array<ArrayBuffer>;
}

export class HashSlots {
  /** Slot + 1 by hash: the upper bits choose the part, the lower the place. */
  #parts = Array.from({ length: 1 << PARTS_BITS }, () => new Uint32Array(64));
  readonly #partCounts = new Uint32Array(1 << PARTS_BITS);
  #hashes = new Uint32Array(1024);
  #count = 0;
  /** Where `first` or `next` has stopped. */
  #at = 0;

  get count(): number {
    return this.#count;
  }

  /** For a head's image: views. */
  get image(): HashSlotsImage {
    return { parts: this.#parts, hashes: this.#hashes.subarray(0, this.#count) };
  }

  takeImage({ parts, hashes }: HashSlotsImage): void {
    this.#parts = parts;
    this.#hashes = hashes;
    this.#count = hashes.length;
    for (const hash of hashes) this.#partCounts[hash >>> PART_SHIFT]!++;
  }

  hashOf(slot: number): number {
    return this.#hashes[slot]!;
  }

  /** A slot with this hash, or -1. */
  first(hash: number): number {
    return this.#from(hash, hash);
  }

  /** Another one, after `first` or `next` of the same hash. */
  next(hash: number): number {
    return this.#from(hash, this.#at + 1);
  }

  #from(hash: number, start: number): number {
    const table = this.#parts[hash >>> PART_SHIFT]!;
    const mask = table.length - 1;
    for (let i = start & mask; ; i = (i + 1) & mask) {
      const slot = table[i]! - 1;
      if (slot < 0 || this.#hashes[slot] === hash) {
        this.#at = i;
        return slot;
      }
    }
  }

  /** Adds the next slot. @returns it. */
  add(hash: number): number {
    const slot = this.#count++;
    if (slot === this.#hashes.length)
      this.#hashes = new Uint32Array(this.#hashes.buffer.transfer(4 * Math.ceil(1.25 * slot)));
    this.#hashes[slot] = hash;
    const part = hash >>> PART_SHIFT;
    if (++this.#partCounts[part]! * 2 > this.#parts[part]!.length) this.#growPart(part);
    place(this.#parts[part]!, hash, slot);
    return slot;
  }

  #growPart(part: number): void {
    const old = this.#parts[part]!;
    const larger = new Uint32Array(old.length * 2);
    for (let i = 0; i < old.length; i++) if (old[i] !== 0) place(larger, this.#hashes[old[i]! - 1]!, old[i]! - 1);
    this.#parts[part] = larger;
  }

  get bytes(): number {
    return this.#parts.reduce((sum, part) => sum + part.byteLength, this.#hashes.byteLength);
  }
}

function place(table: Uint32Array, hash: number, slot: number): void {
  const mask = table.length - 1;
  let i = hash & mask;
  while (table[i] !== 0) i = (i + 1) & mask;
  table[i] = slot + 1;
}

/** A hash with a word more. */
export function mixed(hash: number, word: number): number {
  const mix = Math.imul(hash ^ word, 0x9e3779b1);
  return (mix << 15) | (mix >>> 17);
}

/** What was mixed, for `HashSlots`: every bit of it counts in the upper and the lower ones. */
export function finished(hash: number): number {
  const mix = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return (mix ^ (mix >>> 13)) >>> 0;
}
