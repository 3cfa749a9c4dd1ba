/**
 * What short bytes stand for, as strings: label names and values repeat from series to series, and finding one again
 * costs a third of making it anew, whose hash the next `Map` must compute as well.
 */
const SLOTS = 1 << 13;
const BYTES_MAX = 64;

export class BytesCache<T> {
  readonly #make: (bytes: Uint8Array, from: number, to: number) => T;
  readonly #made: (T | undefined)[] = Array.from({ length: SLOTS });
  readonly #bytes = new Uint8Array(SLOTS * BYTES_MAX);
  readonly #lengths = new Uint8Array(SLOTS);

  constructor(make: (bytes: Uint8Array, from: number, to: number) => T) {
    this.#make = make;
  }

  get(bytes: Uint8Array, from: number, to: number): T {
    const length = to - from;
    if (length > BYTES_MAX || length === 0) return this.#make(bytes, from, to);
    let hash = length;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, 0x9e3779b1);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const at = slot * BYTES_MAX;
    if (this.#lengths[slot] === length) {
      let i = 0;
      while (i < length && this.#bytes[at + i] === bytes[from + i]) i++;
      if (i === length) return this.#made[slot]!;
    }
    const made = this.#make(bytes, from, to);
    this.#made[slot] = made;
    this.#lengths[slot] = length;
    this.#bytes.set(bytes.subarray(from, to), at);
    return made;
  }
}
