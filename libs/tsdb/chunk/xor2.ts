/**
 * XOR2 chunks (encoding 4): XOR with one prefix for time and value, cheap stale markers and start timestamps.
 * Format: reference/prometheus.md §1.5.
 *
 *   u16 count │ start-timestamp header │ varint t0, f64 v0 │ uvarint t1-t0, value │ (joint prefix …)*
 *
 *   0 all as before │ 10 value │ 110 13 bits dod, value │ 1110 20 bits, value │ 11110 64 bits, value │ 11111 stale
 *   value: 0 same │ 10 in the window │ 110 new window │ 111 stale
 *
 * dod, the change of the time's delta, is two's complement. Stale markers leave the value before in place for the
 * next one. Times are added as two words: all of int64 is exact, wrapping.
 */
import type { SampleColumns } from "#libs/model/columns.ts";
import { STALE_HI, STALE_LO } from "#libs/model/stale.ts";
import { assert } from "#libs/kit/assert.ts";
import { BitReader, BitWriter } from "./bits.ts";
import { StartReader, StartWriter } from "./start-times.ts";
import { readUvarint, readVarint, writeUvarint, writeVarint } from "./varbit.ts";
import { ValueXor } from "./value-xor.ts";

const TWO_32 = 4294967296;
export const XOR2_HEADER_BYTES = 3;
const COUNT_MAX = 0xffff;

/** Decodes a chunk behind the samples in `columns`; start timestamps too, where the chunk has any. */
export function decodeXor2(
  bytes: Uint8Array,
  from: number,
  length: number,
  columns: SampleColumns,
  where: string,
): void {
  const reader = new BitReader(bytes, from, length, where);
  const count = reader.bits(16);
  const header = reader.bits(8);
  const starts = new StartReader(header);
  // A sample takes a bit or more: hostile counts reserve no more than the bytes can hold.
  if (count > reader.bitsLeft) reader.fail(`${count} samples claimed in ${length} bytes`);
  columns.reserve(count);
  const { times, words } = columns;
  const startColumn = header === 0 ? columns.starts : columns.withStarts();
  const base = columns.length;
  const value = new ValueXor();
  let timeLow = 0;
  let timeHigh = 0;
  let deltaLow = 0;
  let deltaHigh = 0;
  let time = 0;
  for (let i = 0; i < count; i++) {
    const before = time;
    let stale = false;
    if (i === 0) {
      const first = readVarint(reader);
      timeLow = Number(BigInt.asIntN(32, first));
      timeHigh = Number(BigInt.asIntN(32, first >> 32n));
      value.high = reader.bits(32) | 0;
      value.low = reader.bits(32) | 0;
      if (value.isStale) {
        stale = true;
        value.low = 0;
        value.high = 0;
      }
    } else {
      if (i === 1) {
        const delta = readUvarint(reader);
        deltaLow = Number(BigInt.asIntN(32, delta));
        deltaHigh = Number(BigInt.asIntN(32, delta >> 32n));
        stale = readValue(reader, value);
      } else {
        const control = reader.ones(5);
        if (control === 1) {
          if (reader.bit() === 0) value.readInWindow(reader);
          else value.readNewWindow(reader);
        } else if (control === 5) stale = true;
        else if (control > 1) {
          let low: number;
          let high: number;
          if (control === 4) {
            high = reader.bits(32) | 0;
            low = reader.bits(32) | 0;
          } else {
            const width = control === 2 ? 13 : 20;
            low = (reader.bits(width) << (32 - width)) >> (32 - width);
            high = low >> 31;
          }
          const sum = (deltaLow >>> 0) + (low >>> 0);
          deltaLow = sum | 0;
          deltaHigh = (deltaHigh + high + (sum >= TWO_32 ? 1 : 0)) | 0;
          stale = readValue(reader, value);
        }
      }
      const sum = (timeLow >>> 0) + (deltaLow >>> 0);
      timeLow = sum | 0;
      timeHigh = (timeHigh + deltaHigh + (sum >= TWO_32 ? 1 : 0)) | 0;
    }
    time = timeHigh * TWO_32 + (timeLow >>> 0);
    const at = base + i;
    times[at] = time;
    words[2 * at] = stale ? STALE_LO : value.low;
    words[2 * at + 1] = stale ? STALE_HI : value.high;
    const start = starts.read(reader, i, time, before);
    if (startColumn !== undefined) startColumn[at] = start;
  }
  columns.length = base + count;
}

/** True for a stale marker, which leaves `value` alone. */
function readValue(reader: BitReader, value: ValueXor): boolean {
  const control = reader.ones(3);
  if (control === 1) value.readInWindow(reader);
  else if (control === 2) value.readNewWindow(reader);
  return control === 3;
}

/** A chunk being written. */
export class Xor2Appender {
  readonly #writer = new BitWriter();
  readonly #starts = new StartWriter();
  readonly #value = new ValueXor();
  #count = 0;
  #time = 0;
  #timeLow = 0;
  #timeHigh = 0;
  #deltaLow = 0;
  #deltaHigh = 0;

  constructor() {
    this.#writer.put(0, 24);
  }

  get count(): number {
    return this.#count;
  }

  /** Bits of the chunk so far. */
  get bitCount(): number {
    return this.#writer.at;
  }

  /** The chunk so far, shared: valid until the next append. */
  bytes(): Uint8Array {
    return this.#writer.written();
  }

  /** Writes on as an appender that Prometheus opens on a stored chunk does: see `reopenXor`. */
  reopen(): void {
    if (this.#count > 0) this.#value.reopen();
  }

  /** Appends a sample; `start` 0 is unknown. `time` ascends; the value comes as its words. */
  append(start: number, time: number, low: number, high: number): void {
    assert(this.#count < COUNT_MAX, "an XOR2 chunk of more than 65535 samples");
    const writer = this.#writer;
    const value = this.#value;
    const stale = low === STALE_LO && high === STALE_HI;
    const timeLow = time | 0;
    const timeHigh = Math.floor(time / TWO_32) | 0;
    if (this.#count === 0) {
      writeVarint(writer, BigInt(time));
      writer.put(high, 32);
      writer.put(low, 32);
      if (!stale) {
        value.low = low;
        value.high = high;
      }
    } else {
      const borrow = timeLow >>> 0 < this.#timeLow >>> 0 ? 1 : 0;
      const deltaLow = (timeLow - this.#timeLow) | 0;
      const deltaHigh = (timeHigh - this.#timeHigh - borrow) | 0;
      if (this.#count === 1) {
        writeUvarint(writer, (BigInt(deltaHigh) << 32n) | BigInt(deltaLow >>> 0));
        this.#putValue(stale, low, high);
      } else {
        const borrowed = deltaLow >>> 0 < this.#deltaLow >>> 0 ? 1 : 0;
        const dodLow = (deltaLow - this.#deltaLow) | 0;
        const dodHigh = (deltaHigh - this.#deltaHigh - borrowed) | 0;
        this.#putJoint(dodLow, dodHigh, stale, low, high);
      }
      this.#deltaLow = deltaLow;
      this.#deltaHigh = deltaHigh;
    }
    const header = this.#starts.write(writer, this.#count, time, this.#time, start);
    this.#time = time;
    this.#timeLow = timeLow;
    this.#timeHigh = timeHigh;
    this.#count++;
    writer.bytes[0] = this.#count >>> 8;
    writer.bytes[1] = this.#count;
    writer.bytes[2] = header;
  }

  #putJoint(dodLow: number, dodHigh: number, stale: boolean, low: number, high: number): void {
    const writer = this.#writer;
    if (dodLow === 0 && dodHigh === 0) {
      if (stale) writer.put(0b11111, 5);
      else if (low === this.#value.low && high === this.#value.high) writer.put(0, 1);
      else {
        writer.put(0b10, 2);
        this.#value.writeChanged(writer, low, high, 1);
      }
      return;
    }
    const narrow = dodHigh === dodLow >> 31;
    if (narrow && dodLow >= -4096 && dodLow <= 4095) {
      writer.put(0b110, 3);
      writer.put(dodLow, 13);
    } else if (narrow && dodLow >= -524288 && dodLow <= 524287) {
      writer.put(0b1110, 4);
      writer.put(dodLow, 20);
    } else {
      writer.put(0b11110, 5);
      writer.put(dodHigh, 32);
      writer.put(dodLow, 32);
    }
    this.#putValue(stale, low, high);
  }

  #putValue(stale: boolean, low: number, high: number): void {
    const writer = this.#writer;
    if (stale) writer.put(0b111, 3);
    else if (low === this.#value.low && high === this.#value.high) writer.put(0, 1);
    else {
      writer.put(1, 1);
      this.#value.writeChanged(writer, low, high, 2);
    }
  }
}
