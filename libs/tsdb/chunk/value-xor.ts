/**
 * A float that changes from sample to sample, as the exclusive or with the one before (Gorilla, VLDB 2015): the sum
 * of a histogram, every count of a float histogram, the values of XOR2. The two words of the value are kept, never
 * the number, so that NaN payloads stay.
 *
 *   0 same │ 10 + bits of the last window │ 11 + 5 bits leading + 6 bits significant (64 as 0) + the bits
 */
import { STALE_HI, STALE_LO } from "#libs/model/stale.ts";
import type { BitReader, BitWriter } from "./bits.ts";

const NO_WINDOW = 0xff;

export class ValueXor {
  low: number;
  high: number;
  #leading = NO_WINDOW;
  #trailing = 0;

  constructor(low = 0, high = 0) {
    this.low = low;
    this.high = high;
  }

  get isStale(): boolean {
    return this.low === STALE_LO && this.high === STALE_HI;
  }

  /** The next value becomes `low` and `high`. @throws CorruptionError when a window is wider than 64 bits. */
  read(reader: BitReader): void {
    if (reader.bit() === 0) return;
    if (reader.bit() === 0) this.readInWindow(reader);
    else this.readNewWindow(reader);
  }

  readInWindow(reader: BitReader): void {
    // Prometheus's reopened appenders use a window that nobody wrote: all bits.
    this.reopen();
    const width = 64 - this.#leading - this.#trailing;
    const high = width > 32 ? reader.bits(width - 32) : 0;
    const low = reader.bits(width > 32 ? 32 : width);
    this.#flip(low, high, this.#trailing);
  }

  readNewWindow(reader: BitReader): void {
    const leading = reader.bits(5);
    const significant = reader.bits(6) || 64;
    if (leading + significant > 64) reader.fail(`a window of ${leading} + ${significant} bits`);
    this.#leading = leading;
    this.#trailing = 64 - leading - significant;
    this.readInWindow(reader);
  }

  /** Where no window was written yet, all 64 bits are one from now on. */
  reopen(): void {
    if (this.#leading === NO_WINDOW) this.#leading = 0;
  }

  /** Writes the change to the value of these words. */
  write(writer: BitWriter, low: number, high: number): void {
    if (low === this.low && high === this.high) {
      writer.put(0, 1);
      return;
    }
    writer.put(1, 1);
    this.writeChanged(writer, low, high, 1);
  }

  /** The same without its first bit, for a value that differs; `windowBits` 2 writes `10`, not `1`, before a new window (XOR2). */
  writeChanged(writer: BitWriter, low: number, high: number, windowBits: 1 | 2): void {
    const xorLow = low ^ this.low;
    const xorHigh = high ^ this.high;
    this.low = low;
    this.high = high;
    const zeros = xorHigh !== 0 ? Math.clz32(xorHigh) : 32 + Math.clz32(xorLow);
    const leading = Math.min(zeros, 31); // five bits hold it
    const trailing = xorLow !== 0 ? 31 - Math.clz32(xorLow & -xorLow) : 63 - Math.clz32(xorHigh & -xorHigh);
    if (this.#leading !== NO_WINDOW && leading >= this.#leading && trailing >= this.#trailing) writer.put(0, 1);
    else {
      this.#leading = leading;
      this.#trailing = trailing;
      writer.put(windowBits, windowBits);
      writer.put(leading, 5);
      writer.put(64 - leading - trailing, 6);
    }
    this.#putWindow(writer, xorLow, xorHigh);
  }

  #putWindow(writer: BitWriter, low: number, high: number): void {
    const shift = this.#trailing;
    const width = 64 - this.#leading - shift;
    let shiftedLow = low;
    let shiftedHigh = high;
    if (shift >= 32) {
      shiftedLow = high >>> (shift - 32);
      shiftedHigh = 0;
    } else if (shift > 0) {
      shiftedLow = (low >>> shift) | (high << (32 - shift));
      shiftedHigh = high >>> shift;
    }
    if (width > 32) writer.put(shiftedHigh, width - 32);
    writer.put(shiftedLow, width > 32 ? 32 : width);
  }

  #flip(low: number, high: number, shift: number): void {
    if (shift >= 32) this.high ^= low << (shift - 32);
    else if (shift === 0) {
      this.low ^= low;
      this.high ^= high;
    } else {
      this.low ^= low << shift;
      this.high ^= (high << shift) | (low >>> (32 - shift));
    }
  }
}
