/** Reads stored bytes with bounds: every read past the end is a `CorruptionError` that names file and byte. */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32cOf } from "./crc32c.ts";

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly file: string;
  /** Where `bytes[0]` lies in the file, for error messages. */
  readonly base: number;
  at: number;
  readonly end: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, file: string, from = 0, to: number = bytes.length, base = 0) {
    this.bytes = bytes;
    this.file = file;
    this.base = base;
    this.at = from;
    this.end = to;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.end - this.at;
  }

  fail(what: string): never {
    throw new CorruptionError(this.file, this.base + this.at, what);
  }

  need(count: number): void {
    if (!(count >= 0) || count > this.end - this.at) this.fail(`needs ${count} bytes, ${this.end - this.at} are left`);
  }

  /** CRC-32C of `bytes[from, to)`. */
  crcOf(from: number, to: number): number {
    return crc32cOf(this.#view, from, to);
  }

  u8(): number {
    this.need(1);
    return this.bytes[this.at++]!;
  }

  u16(): number {
    this.need(2);
    this.at += 2;
    return this.#view.getUint16(this.at - 2);
  }

  u32(): number {
    this.need(4);
    this.at += 4;
    return this.#view.getUint32(this.at - 4);
  }

  /** Big-endian 64 bits as a number; above 2^53 is corrupt here (refs, offsets). */
  u64(): number {
    const high = this.u32();
    const low = this.u32();
    if (high >= 0x20_0000) this.fail("64-bit value above 2^53");
    return high * 4294967296 + low;
  }

  /** Big-endian signed 64 bits as a number, rounded outside ±2^53 (time sentinels). */
  i64(): number {
    this.need(8);
    this.at += 8;
    const high = this.#view.getInt32(this.at - 8);
    if (high >= -0x20_0000 && high < 0x20_0000) return high * 4294967296 + this.#view.getUint32(this.at - 4);
    return Number(this.#view.getBigInt64(this.at - 8));
  }

  f64Into(words: Int32Array, i: number): void {
    this.need(8);
    words[2 * i + 1] = this.#view.getInt32(this.at);
    words[2 * i] = this.#view.getInt32(this.at + 4);
    this.at += 8;
  }

  uvarint(): number {
    const short = this.#shortVarint();
    if (short >= 0) return short;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) this.fail("varint above 2^53");
        return value;
      }
      scale *= 128;
    }
    return this.fail("varint longer than 10 bytes");
  }

  /** A varint of up to four bytes with one look at the bounds, or -1 and nothing is read: what most are. */
  #shortVarint(): number {
    const { bytes, at } = this;
    if (this.end - at < 4) return -1;
    let byte = bytes[at]!;
    if (byte < 0x80) {
      this.at = at + 1;
      return byte;
    }
    let value = byte & 0x7f;
    byte = bytes[at + 1]!;
    value |= (byte & 0x7f) << 7;
    if (byte < 0x80) {
      this.at = at + 2;
      return value;
    }
    byte = bytes[at + 2]!;
    value |= (byte & 0x7f) << 14;
    if (byte < 0x80) {
      this.at = at + 3;
      return value;
    }
    byte = bytes[at + 3]!;
    if (byte >= 0x80) return -1;
    this.at = at + 4;
    return value | (byte << 21);
  }

  /** Zigzag varint; exact for all of int64 that a number holds exactly. */
  varint(): number {
    const short = this.#shortVarint();
    if (short >= 0) return (short >>> 1) ^ -(short & 1);
    const start = this.at;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 7; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      scale *= 128;
    }
    this.at = start;
    let big = 0n;
    for (let i = 0n; i < 10n; i++) {
      const byte = this.u8();
      big |= BigInt(byte & 0x7f) << (7n * i);
      if (byte < 0x80) return Number(BigInt.asIntN(64, big >> 1n) ^ -(big & 1n));
    }
    return this.fail("varint longer than 10 bytes");
  }

  /** All of uint64. */
  uvarint64(): bigint {
    const start = this.at;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 7; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return BigInt(value);
      scale *= 128;
    }
    this.at = start;
    let big = 0n;
    for (let i = 0n; i < 10n; i++) {
      const byte = this.u8();
      big |= BigInt(byte & 0x7f) << (7n * i);
      if (byte < 0x80) return BigInt.asUintN(64, big);
    }
    return this.fail("varint longer than 10 bytes");
  }

  /** All of int64, zigzag. */
  varint64(): bigint {
    const zigzag = this.uvarint64();
    return BigInt.asIntN(64, zigzag >> 1n) ^ -(zigzag & 1n);
  }

  /** A view of the next `count` bytes: copy it if it must outlive the buffer. */
  take(count: number): Uint8Array {
    this.need(count);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** A string with its length as uvarint before it. */
  text(): string {
    const length = this.uvarint();
    this.need(length);
    this.at += length;
    return utf8(this.bytes, this.at - length, this.at);
  }

  skip(count: number): void {
    this.need(count);
    this.at += count;
  }
}

/** UTF-8 to string. */
export function utf8(bytes: Uint8Array, from: number, to: number): string {
  if (bytes instanceof Buffer) return bytes.toString("utf8", from, to);
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("utf8");
}
