/**
 * Start timestamps behind the samples of XOR2, histogramST and floathistogramST chunks (reference/prometheus.md §1.5):
 * nothing is written while they equal the first sample's; from sample `changeOn` on every sample has one.
 *
 *   header byte: bit 7 the first sample has one, bits 0-6 changeOn (0 never)
 *   sample 0: varint t - st, if bit 7 │ sample changeOn: varbit_int diff │ later: varbit_int of the diff's change
 *   diff = time of the sample before - st
 *
 * Numbers, not 64-bit integers: exact within ±2^53 ms.
 */
import type { BitReader, BitWriter } from "./bits.ts";
import { readVarbitIntNumber, readVarint, writeVarbitIntNumber, writeVarint } from "./varbit.ts";

/** Bits 0-6 reach no further: from this sample on a writer writes start timestamps, even if all are 0. */
const CHANGE_ON_MAX = 127;

export class StartReader {
  readonly #firstKnown: boolean;
  readonly #changeOn: number;
  #diff = 0;
  #start = 0;

  constructor(header: number) {
    this.#firstKnown = header >= 0x80;
    this.#changeOn = header & 0x7f;
  }

  /** The start timestamp of sample `index`, read behind it; 0 is unknown. */
  read(reader: BitReader, index: number, time: number, timeBefore: number): number {
    if (index === 0) {
      if (this.#firstKnown) this.#start = time - Number(readVarint(reader));
    } else if (this.#changeOn > 0 && index >= this.#changeOn) {
      this.#diff += readVarbitIntNumber(reader);
      this.#start = timeBefore - this.#diff;
    }
    return this.#start;
  }
}

export class StartWriter {
  #first = 0;
  #changeOn = 0;
  #diff = 0;

  /** Writes what belongs behind sample `index`; returns the header byte as it is now. */
  write(writer: BitWriter, index: number, time: number, timeBefore: number, start: number): number {
    if (index === 0) {
      this.#first = start;
      if (start !== 0) writeVarint(writer, BigInt(time - start));
    } else {
      if (this.#changeOn === 0 && (start !== this.#first || index === CHANGE_ON_MAX)) this.#changeOn = index;
      if (this.#changeOn !== 0) {
        const diff = timeBefore - start;
        writeVarbitIntNumber(writer, diff - this.#diff);
        this.#diff = diff;
      }
    }
    return (this.#first === 0 ? 0 : 0x80) | this.#changeOn;
  }
}
