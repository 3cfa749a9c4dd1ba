/**
 * Bit streams of chunks, most significant bit first. Words of up to 32 bits; 64 bits pass as two words, so that
 * neither NaN payloads nor 64-bit integers are ever rounded, and no bigint is made for a float sample.
 */
import { CorruptionError } from "#libs/kit/errors.ts";

/** Reads bits of the chunk `[from, from + length)` of `bytes`; a read past its end is a CorruptionError. */
export class BitReader {
  readonly bytes: Uint8Array;
  readonly where: string;
  /** Bit position in `bytes` of the next bit. */
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, from: number, length: number, where: string) {
    this.bytes = bytes;
    this.where = where;
    this.at = from * 8;
    this.end = Math.min(from + length, bytes.length) * 8;
  }

  get bitsLeft(): number {
    return this.end - this.at;
  }

  fail(what: string): never {
    throw new CorruptionError(this.where, this.at >>> 3, what);
  }

  bit(): number {
    if (this.at >= this.end) this.fail("the chunk ends inside a sample");
    const bit = (this.bytes[this.at >>> 3]! >>> (7 - (this.at & 7))) & 1;
    this.at++;
    return bit;
  }

  /** The next `width` (≤ 32) bits, unsigned. */
  bits(width: number): number {
    if (width > this.end - this.at) this.fail("the chunk ends inside a sample");
    let left = width;
    let value = 0;
    while (left > 0) {
      const room = 8 - (this.at & 7);
      const take = left < room ? left : room;
      const part = (this.bytes[this.at >>> 3]! >>> (room - take)) & ((1 << take) - 1);
      value = (value << take) | part;
      this.at += take;
      left -= take;
    }
    return value >>> 0;
  }

  /** Ones before the next zero, which is read too; at most `most`, then no zero follows. */
  ones(most: number): number {
    let count = 0;
    while (count < most && this.bit() === 1) count++;
    return count;
  }
}

/** Writes bits behind each other into a buffer that grows by doubling. */
export class BitWriter {
  bytes: Uint8Array = new Uint8Array(128);
  /** Bit position after the last bit written. */
  at = 0;

  /** Writes the low `width` (≤ 32) bits of `value`. */
  put(value: number, width: number): void {
    if (this.at + width > this.bytes.length * 8) this.#grow();
    let left = width;
    while (left > 0) {
      const room = 8 - (this.at & 7);
      const take = left < room ? left : room;
      const part = (value >>> (left - take)) & ((1 << take) - 1);
      this.bytes[this.at >>> 3]! |= part << (room - take);
      this.at += take;
      left -= take;
    }
  }

  /** What is written, the last byte padded with zeros. Shares the buffer: valid until the next `put`. */
  written(): Uint8Array {
    return this.bytes.subarray(0, (this.at + 7) >>> 3);
  }

  #grow(): void {
    const bytes = new Uint8Array(this.bytes.length * 2);
    bytes.set(this.bytes);
    this.bytes = bytes;
  }
}
