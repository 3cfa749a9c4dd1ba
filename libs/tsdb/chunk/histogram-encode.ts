/**
 * Writes the samples of one histogram chunk, which all share its layout. The format is in `histogram-decode.ts`; when
 * a chunk ends or is written anew with more buckets is `histogram-append.ts`'s business.
 */
import { assert } from "#libs/kit/assert.ts";
import { bucketCount, type Histogram, isStaleHistogram, type ResetHint, wordsOf } from "#libs/model/histogram.ts";
import { BitWriter } from "./bits.ts";
import { ENCODING } from "./encoding.ts";
import { FLAG_HINTS, HISTOGRAM_HEADER_BYTES } from "./histogram-decode.ts";
import { type HistogramLayout, writeFloat, writeLayout } from "./histogram-layout.ts";
import { StartWriter } from "./start-times.ts";
import { writeVarbitInt, writeVarbitUint } from "./varbit.ts";
import { ValueXor } from "./value-xor.ts";

export class HistogramChunk {
  readonly encoding: number;
  readonly hint: ResetHint;
  readonly layout: HistogramLayout;
  readonly isFloat: boolean;
  /** Most samples a chunk of this encoding holds. */
  readonly countMax: number;
  readonly #writer = new BitWriter();
  readonly #starts: StartWriter | undefined;
  readonly #time = new Counter();
  readonly #ints: readonly Counter[];
  readonly #floats: readonly ValueXor[];
  readonly #sum = new ValueXor();
  #count = 0;
  #timeBefore = 0;

  constructor(encoding: number, hint: ResetHint, layout: HistogramLayout) {
    this.encoding = encoding;
    this.hint = hint;
    this.layout = layout;
    this.isFloat = encoding === ENCODING.FLOAT_HISTOGRAM || encoding === ENCODING.FLOAT_HISTOGRAM_ST;
    const hasStarts = encoding === ENCODING.HISTOGRAM_ST || encoding === ENCODING.FLOAT_HISTOGRAM_ST;
    assert(this.isFloat || hasStarts || encoding === ENCODING.HISTOGRAM, `encoding ${encoding} has no histograms`);
    this.countMax = hasStarts ? 0x3fff : 0xffff;
    if (hasStarts) this.#starts = new StartWriter();
    // Count, count of the zero bucket, positive and negative buckets.
    const numbers = 2 + bucketCount(layout.positiveSpans) + bucketCount(layout.negativeSpans);
    this.#ints = this.isFloat ? [] : Array.from({ length: numbers }, () => new Counter());
    this.#floats = this.isFloat ? Array.from({ length: numbers }, () => new ValueXor()) : [];
    this.#writer.put(0, HISTOGRAM_HEADER_BYTES * 8);
    this.#writeHeader(0);
    writeLayout(this.#writer, layout);
  }

  get count(): number {
    return this.#count;
  }

  /** The chunk so far, shared: valid until the next append. */
  bytes(): Uint8Array {
    return this.#writer.written();
  }

  /** Appends a histogram of exactly this chunk's buckets, or a stale marker, of which only the sum is written. */
  append(start: number, time: number, histogram: Histogram): void {
    assert(this.#count < this.countMax, "a histogram chunk of too many samples");
    assert(histogram.isFloat === this.isFloat, "a histogram of the chunk's other number type");
    const writer = this.#writer;
    const index = this.#count;
    this.#time.write(writer, index, BigInt(time));
    if (histogram.isFloat) this.#writeFloats(index, histogram.totals, histogram);
    else this.#writeInts(index, [histogram.count, histogram.zeroCount], histogram);
    const header = this.#starts?.write(writer, index, time, this.#timeBefore, start) ?? 0;
    this.#timeBefore = time;
    this.#count++;
    this.#writeHeader(header);
  }

  #writeHeader(startHeader: number): void {
    const { bytes } = this.#writer;
    const flags = FLAG_HINTS.indexOf(this.hint) << 6;
    const hasStarts = this.#starts !== undefined;
    bytes[0] = (this.#count >>> 8) | (hasStarts ? flags : 0);
    bytes[1] = this.#count;
    bytes[2] = hasStarts ? startHeader : flags;
  }

  #writeInts(index: number, totals: readonly [bigint, bigint], histogram: Histogram & { isFloat: false }): void {
    const writer = this.#writer;
    const stale = isStaleHistogram(histogram);
    for (let i = 0; i < 2; i++) {
      if (index === 0) this.#ints[i]!.writeFirstUnsigned(writer, stale ? 0n : totals[i]!);
      else if (stale) writer.put(0, 1);
      else this.#ints[i]!.write(writer, index, totals[i]!);
    }
    this.#writeXor(index, this.#sum, histogram.sum, 0);
    if (stale) return;
    let at = 2;
    for (const counts of [histogram.positive, histogram.negative]) {
      for (let i = 0; i < counts.length; i++) {
        this.#ints[at++]!.write(writer, index, counts[i]! - (i === 0 ? 0n : counts[i - 1]!));
      }
    }
  }

  #writeFloats(index: number, totals: Float64Array, histogram: Histogram & { isFloat: true }): void {
    const stale = isStaleHistogram(histogram);
    const written = stale ? NO_TOTALS : totals;
    this.#writeXor(index, this.#floats[0]!, written, 0);
    this.#writeXor(index, this.#floats[1]!, written, 1);
    this.#writeXor(index, this.#sum, histogram.sum, 0);
    if (stale) return;
    let at = 2;
    for (const counts of [histogram.positive, histogram.negative]) {
      for (let i = 0; i < counts.length; i++) this.#writeXor(index, this.#floats[at++]!, counts, i);
    }
  }

  #writeXor(index: number, value: ValueXor, floats: Float64Array, i: number): void {
    const words = wordsOf(floats);
    if (index > 0) value.write(this.#writer, words[2 * i]!, words[2 * i + 1]!);
    else {
      writeFloat(this.#writer, floats, i);
      value.low = words[2 * i]!;
      value.high = words[2 * i + 1]!;
    }
  }
}

const NO_TOTALS = new Float64Array(2);

/** An integer written as the change of its change. */
class Counter {
  #value = 0n;
  #delta = 0n;

  writeFirstUnsigned(writer: BitWriter, value: bigint): void {
    writeVarbitUint(writer, value);
    this.#value = value;
  }

  write(writer: BitWriter, index: number, value: bigint): void {
    if (index === 0) writeVarbitInt(writer, value);
    else {
      const delta = value - this.#value;
      writeVarbitInt(writer, delta - this.#delta);
      this.#delta = delta;
    }
    this.#value = value;
  }
}
