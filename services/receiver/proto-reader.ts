/** Fields of one protobuf message, with bounds: for the parts of a write that are not one of many samples. */
import { BadRequestError } from "#libs/kit/errors.ts";
import { wordsOf } from "#libs/model/histogram.ts";

export class ProtoReader {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;

  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
  }

  /** The next field's tag, 0 at the end of the message. */
  tag(): number {
    if (this.at >= this.end) return 0;
    const tag = Number(this.uint64());
    if (tag >>> 3 === 0) throw new BadRequestError(`proto: illegal tag ${tag >>> 3} (wire type ${tag & 7})`);
    return tag;
  }

  uint64(): bigint {
    let value = 0;
    let scale = 1;
    const start = this.at;
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return BigInt(value);
      scale *= 128;
    }
    this.at = start;
    let big = 0n;
    for (let i = 0n; i < 10n; i++) {
      const byte = this.#byte();
      big |= BigInt(byte & 0x7f) << (7n * i);
      if (byte < 0x80) return BigInt.asUintN(64, big);
    }
    throw new BadRequestError("proto: integer overflow");
  }

  #byte(): number {
    if (this.at >= this.end) throw new BadRequestError("unexpected EOF");
    return this.bytes[this.at++]!;
  }

  int64(): number {
    return Number(BigInt.asIntN(64, this.uint64()));
  }

  sint64(): bigint {
    const zigzag = this.uint64();
    return BigInt.asIntN(64, zigzag >> 1n) ^ -(zigzag & 1n);
  }

  sint32(): number {
    return Number(BigInt.asIntN(32, this.sint64()));
  }

  /** Reads a double into `floats[i]`, bit for bit. */
  double(floats: Float64Array, i: number): void {
    if (this.at + 8 > this.end) throw new BadRequestError("unexpected EOF");
    const words = wordsOf(floats);
    words[2 * i] = this.bytes.readInt32LE(this.at);
    words[2 * i + 1] = this.bytes.readInt32LE(this.at + 4);
    this.at += 8;
  }

  /** A view of the next bytes. */
  take(count: number): Buffer {
    if (count > this.end - this.at) throw new BadRequestError("unexpected EOF");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** The message, string or packed list of the field. */
  part(): ProtoReader {
    const length = Number(this.uint64());
    if (length > this.end - this.at) throw new BadRequestError("unexpected EOF");
    this.at += length;
    return new ProtoReader(this.bytes, this.at - length, this.at);
  }

  text(): string {
    const { at, end } = this.part();
    return this.bytes.toString("utf8", at, end);
  }

  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.uint64();
        return;
      case 1:
        this.at += 8;
        break;
      case 2:
        this.part();
        return;
      case 5:
        this.at += 4;
        break;
      default:
        throw new BadRequestError(`proto: illegal wireType ${tag & 7}`);
    }
    if (this.at > this.end) throw new BadRequestError("unexpected EOF");
  }
}
