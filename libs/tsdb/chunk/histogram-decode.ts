/**
 * Reads histogram chunks: encodings 2, 3, 5 and 6 (reference/prometheus.md §1.5).
 *
 *   2, 3: u16 count          │ flags byte │ layout │ sample*        flags: 00 unknown, 10 reset, 01 not reset, 11 gauge
 *   5, 6: 2 flags, 14 count  │ start-timestamp header │ layout │ (sample, start timestamp)*
 *
 * Bigints, not words: a histogram has tens of numbers, and its counts are all of uint64.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import {
  type Histogram,
  type HistogramSample,
  bucketCount,
  NO_BOUNDS,
  NO_SPANS,
  RESET_HINT,
  type ResetHint,
  wordsOf,
} from "#libs/model/histogram.ts";
import { BitReader } from "./bits.ts";
import { ENCODING } from "./encoding.ts";
import { type HistogramLayout, readLayout } from "./histogram-layout.ts";
import { StartReader } from "./start-times.ts";
import { readVarbitInt, readVarbitUint } from "./varbit.ts";
import { ValueXor } from "./value-xor.ts";

export const HISTOGRAM_HEADER_BYTES = 3;

/** The two flag bits of a chunk, as `ResetHint` has them: 00, 10, 01, 11. */
export const FLAG_HINTS: readonly ResetHint[] = [
  RESET_HINT.UNKNOWN,
  RESET_HINT.NOT_RESET,
  RESET_HINT.RESET,
  RESET_HINT.GAUGE,
];

export interface HistogramHeader {
  readonly count: number;
  /** What the chunk's writer knew of the chunk before. */
  readonly hint: ResetHint;
  readonly isFloat: boolean;
  readonly hasStarts: boolean;
}

/** What the first three bytes say. @throws CorruptionError when they are not there or `encoding` has no histograms. */
export function readHistogramHeader(
  encoding: number,
  bytes: Uint8Array,
  from: number,
  length: number,
  where: string,
): HistogramHeader {
  const hasStarts = encoding === ENCODING.HISTOGRAM_ST || encoding === ENCODING.FLOAT_HISTOGRAM_ST;
  const isFloat = encoding === ENCODING.FLOAT_HISTOGRAM || encoding === ENCODING.FLOAT_HISTOGRAM_ST;
  if (!hasStarts && !isFloat && encoding !== ENCODING.HISTOGRAM) {
    throw new CorruptionError(where, from, `encoding ${encoding} has no histograms`);
  }
  if (length < HISTOGRAM_HEADER_BYTES || from + length > bytes.length) {
    throw new CorruptionError(where, from, `a chunk of ${length} bytes`);
  }
  const word = (bytes[from]! << 8) | bytes[from + 1]!;
  const flags = (hasStarts ? bytes[from]! : bytes[from + 2]!) >>> 6;
  return { count: hasStarts ? word & 0x3fff : word, hint: FLAG_HINTS[flags]!, isFloat, hasStarts };
}

/**
 * The histograms of a chunk, in order, one made per step: what a hostile chunk makes grows with what the caller keeps.
 * Hints are what readers may rely on: gauge for all samples of a gauge chunk, else unknown for the first (chunks may be
 * merged) and stale ones, not reset for the rest.
 *
 * @throws CorruptionError when the samples claimed do not fit the bytes; `where` is what the error names.
 */
export function* readHistograms(
  encoding: number,
  bytes: Uint8Array,
  from: number,
  length: number,
  where: string,
): Generator<HistogramSample, void> {
  const { count, hint, isFloat, hasStarts } = readHistogramHeader(encoding, bytes, from, length, where);
  if (count === 0) return;
  const reader = new BitReader(bytes, from, length, where);
  reader.at += HISTOGRAM_HEADER_BYTES * 8;
  const starts = hasStarts ? new StartReader(bytes[from + 2]!) : undefined;
  const layout = readLayout(reader, isFloat ? 64 : 1);
  const body = isFloat ? new FloatBody(layout) : new IntBody(layout);
  let time = 0n;
  let delta = 0n;
  for (let i = 0; i < count; i++) {
    const before = Number(time);
    if (i === 0) time = readVarbitInt(reader);
    else {
      delta = BigInt.asIntN(64, delta + readVarbitInt(reader));
      time = BigInt.asIntN(64, time + delta);
    }
    body.read(reader, i);
    const start = starts === undefined ? 0 : starts.read(reader, i, Number(time), before);
    const known = i === 0 ? RESET_HINT.UNKNOWN : RESET_HINT.NOT_RESET;
    const shown = hint === RESET_HINT.GAUGE ? hint : known;
    yield { start, time: Number(time), histogram: body.sum.isStale ? body.stale() : body.histogram(shown) };
  }
}

function sumOf(value: ValueXor): Float64Array {
  const sum = new Float64Array(1);
  putWords(sum, 0, value);
  return sum;
}

function putWords(floats: Float64Array, i: number, value: ValueXor): void {
  const words = wordsOf(floats);
  words[2 * i] = value.low;
  words[2 * i + 1] = value.high;
}

const STALE_SHAPE = {
  schema: 0,
  zeroThreshold: 0,
  positiveSpans: NO_SPANS,
  negativeSpans: NO_SPANS,
  customValues: NO_BOUNDS,
  counterResetHint: RESET_HINT.UNKNOWN,
} as const;

/** An integer that is stored by the change of its change. */
class Counter {
  value = 0n;
  #delta = 0n;

  read(reader: BitReader, index: number): void {
    if (index === 0) this.value = readVarbitInt(reader);
    else {
      this.#delta = BigInt.asIntN(64, this.#delta + readVarbitInt(reader));
      this.value = BigInt.asIntN(64, this.value + this.#delta);
    }
  }

  readFirstUnsigned(reader: BitReader): void {
    this.value = readVarbitUint(reader);
  }
}

class IntBody {
  readonly #layout: HistogramLayout;
  readonly #count = new Counter();
  readonly #zeroCount = new Counter();
  /** Of each bucket the difference to the one before. */
  readonly #positive: readonly Counter[];
  readonly #negative: readonly Counter[];
  readonly sum = new ValueXor();

  constructor(layout: HistogramLayout) {
    this.#layout = layout;
    this.#positive = Array.from({ length: bucketCount(layout.positiveSpans) }, () => new Counter());
    this.#negative = Array.from({ length: bucketCount(layout.negativeSpans) }, () => new Counter());
  }

  read(reader: BitReader, index: number): void {
    if (index === 0) {
      this.#count.readFirstUnsigned(reader);
      this.#zeroCount.readFirstUnsigned(reader);
      this.sum.high = reader.bits(32) | 0;
      this.sum.low = reader.bits(32) | 0;
    } else {
      this.#count.read(reader, index);
      this.#zeroCount.read(reader, index);
      this.sum.read(reader);
    }
    // The first sample's buckets are there in any case: a writer gives a stale one an empty layout.
    if (this.sum.isStale && index > 0) return;
    for (const bucket of this.#positive) bucket.read(reader, index);
    for (const bucket of this.#negative) bucket.read(reader, index);
  }

  histogram(counterResetHint: ResetHint): Histogram {
    return {
      ...this.#layout,
      counterResetHint,
      isFloat: false,
      sum: sumOf(this.sum),
      count: BigInt.asUintN(64, this.#count.value),
      zeroCount: BigInt.asUintN(64, this.#zeroCount.value),
      positive: absolute(this.#positive),
      negative: absolute(this.#negative),
    };
  }

  stale(): Histogram {
    const none = new BigInt64Array(0);
    const sum = sumOf(this.sum);
    return { ...STALE_SHAPE, isFloat: false, sum, count: 0n, zeroCount: 0n, positive: none, negative: none };
  }
}

function absolute(differences: readonly Counter[]): BigInt64Array {
  const counts = new BigInt64Array(differences.length);
  let sum = 0n;
  for (let i = 0; i < counts.length; i++) {
    sum = BigInt.asIntN(64, sum + differences[i]!.value);
    counts[i] = sum;
  }
  return counts;
}

class FloatBody {
  readonly #layout: HistogramLayout;
  readonly #count = new ValueXor();
  readonly #zeroCount = new ValueXor();
  readonly #positive: readonly ValueXor[];
  readonly #negative: readonly ValueXor[];
  readonly sum = new ValueXor();

  constructor(layout: HistogramLayout) {
    this.#layout = layout;
    this.#positive = Array.from({ length: bucketCount(layout.positiveSpans) }, () => new ValueXor());
    this.#negative = Array.from({ length: bucketCount(layout.negativeSpans) }, () => new ValueXor());
  }

  read(reader: BitReader, index: number): void {
    for (const value of [this.#count, this.#zeroCount, this.sum]) readValue(reader, value, index);
    if (this.sum.isStale && index > 0) return;
    for (const value of this.#positive) readValue(reader, value, index);
    for (const value of this.#negative) readValue(reader, value, index);
  }

  histogram(counterResetHint: ResetHint): Histogram {
    const totals = new Float64Array(2);
    putWords(totals, 0, this.#count);
    putWords(totals, 1, this.#zeroCount);
    return {
      ...this.#layout,
      counterResetHint,
      isFloat: true,
      sum: sumOf(this.sum),
      totals,
      positive: floatsOf(this.#positive),
      negative: floatsOf(this.#negative),
    };
  }

  stale(): Histogram {
    const sum = sumOf(this.sum);
    return {
      ...STALE_SHAPE,
      isFloat: true,
      sum,
      totals: new Float64Array(2),
      positive: NO_BOUNDS,
      negative: NO_BOUNDS,
    };
  }
}

function readValue(reader: BitReader, value: ValueXor, index: number): void {
  if (index > 0) value.read(reader);
  else {
    value.high = reader.bits(32) | 0;
    value.low = reader.bits(32) | 0;
  }
}

function floatsOf(values: readonly ValueXor[]): Float64Array {
  const floats = new Float64Array(values.length);
  for (let i = 0; i < floats.length; i++) putWords(floats, i, values[i]!);
  return floats;
}
