/**
 * The layout at the start of a histogram chunk: what all its samples share (reference/prometheus.md §1.5).
 *
 *   zero threshold │ schema │ positive spans │ negative spans │ custom bounds, for that schema only
 */
import { bucketCount, CUSTOM_SCHEMA, NO_BOUNDS, NO_SPANS, type Span, wordsOf } from "#libs/model/histogram.ts";
import type { BitReader, BitWriter } from "./bits.ts";
import { readVarbitInt, readVarbitUint, writeVarbitInt, writeVarbitUint } from "./varbit.ts";

export interface HistogramLayout {
  readonly schema: number;
  readonly zeroThreshold: number;
  readonly positiveSpans: readonly Span[];
  readonly negativeSpans: readonly Span[];
  readonly customValues: Float64Array;
}

/** What a chunk has whose first sample is a stale marker. */
export const EMPTY_LAYOUT: HistogramLayout = {
  schema: 0,
  zeroThreshold: 0,
  positiveSpans: NO_SPANS,
  negativeSpans: NO_SPANS,
  customValues: NO_BOUNDS,
};

const SCHEMA_MIN = -9;
const SCHEMA_MAX = 52;
/** 2^(exponent - 1) in one byte: exponent + 243. */
const EXPONENT_MIN = -242;
const EXPONENT_MAX = 11;
const EXPONENT_BIAS = 243;
const FULL_FLOAT = 0xff;
/** Bounds of whole thousandths up to here are stored as integers. */
const THOUSANDTHS_MAX = 33_554_430;

/**
 * Reads the layout. `bitsPerBucket` is the least a bucket takes in the first sample, so that lengths which the bytes
 * cannot hold are refused before anything is allocated.
 *
 * @throws CorruptionError for schemas and spans out of range, and past the end.
 */
export function readLayout(reader: BitReader, bitsPerBucket: number): HistogramLayout {
  const zeroThreshold = readZeroThreshold(reader);
  const schema = Number(readVarbitInt(reader));
  if ((schema < SCHEMA_MIN || schema > SCHEMA_MAX) && schema !== CUSTOM_SCHEMA) reader.fail(`schema ${schema}`);
  const positiveSpans = readSpans(reader);
  const negativeSpans = readSpans(reader);
  const customValues = schema === CUSTOM_SCHEMA ? readBounds(reader) : NO_BOUNDS;
  const buckets = bucketCount(positiveSpans) + bucketCount(negativeSpans);
  if (buckets * bitsPerBucket > reader.bitsLeft) reader.fail(`${buckets} buckets claimed`);
  return { schema, zeroThreshold, positiveSpans, negativeSpans, customValues };
}

export function writeLayout(writer: BitWriter, layout: HistogramLayout): void {
  writeZeroThreshold(writer, layout.zeroThreshold);
  writeVarbitInt(writer, BigInt(layout.schema));
  writeSpans(writer, layout.positiveSpans);
  writeSpans(writer, layout.negativeSpans);
  if (layout.schema !== CUSTOM_SCHEMA) return;
  writeVarbitUint(writer, BigInt(layout.customValues.length));
  for (let i = 0; i < layout.customValues.length; i++) writeBound(writer, layout.customValues, i);
}

function readZeroThreshold(reader: BitReader): number {
  const byte = reader.bits(8);
  if (byte === 0) return 0;
  if (byte !== FULL_FLOAT) return 2 ** (byte - EXPONENT_BIAS - 1);
  const float = new Float64Array(1);
  readFloat(reader, float, 0);
  return float[0]!;
}

function writeZeroThreshold(writer: BitWriter, threshold: number): void {
  if (threshold === 0) {
    writer.put(0, 8);
    return;
  }
  const float = Float64Array.of(threshold);
  const [low, high] = wordsOf(float) as unknown as [number, number];
  // A power of two has no mantissa and no sign. The exponent is that of a fraction in [0.5, 1).
  const exponent = (high >>> 20) - 1022;
  if (low === 0 && (high & 0xf_ffff) === 0 && exponent >= EXPONENT_MIN && exponent <= EXPONENT_MAX) {
    writer.put(exponent + EXPONENT_BIAS, 8);
    return;
  }
  writer.put(FULL_FLOAT, 8);
  writeFloat(writer, float, 0);
}

function readSpans(reader: BitReader): readonly Span[] {
  const count = readVarbitUint(reader);
  if (count === 0n) return NO_SPANS;
  // Two integers of a bit or more each.
  if (count * 2n > BigInt(reader.bitsLeft)) reader.fail(`${count} spans claimed`);
  const spans: Span[] = [];
  for (let i = 0; i < Number(count); i++) {
    const length = readVarbitUint(reader);
    const offset = readVarbitInt(reader);
    if (length > 0xffff_ffffn || BigInt.asIntN(32, offset) !== offset) reader.fail(`a span of ${offset}, ${length}`);
    if (i > 0 && offset < 0n) reader.fail(`a span at ${offset} behind another`);
    spans.push([Number(offset), Number(length)]);
  }
  return spans;
}

function writeSpans(writer: BitWriter, spans: readonly Span[]): void {
  writeVarbitUint(writer, BigInt(spans.length));
  for (const [offset, length] of spans) {
    writeVarbitUint(writer, BigInt(length));
    writeVarbitInt(writer, BigInt(offset));
  }
}

function readBounds(reader: BitReader): Float64Array {
  const count = readVarbitUint(reader);
  // The shortest bound is 1 as an integer: 5 bits.
  if (count * 5n > BigInt(reader.bitsLeft)) reader.fail(`${count} bounds claimed`);
  const bounds = new Float64Array(Number(count));
  for (let i = 0; i < bounds.length; i++) {
    const thousandths = readVarbitUint(reader);
    if (thousandths === 0n) readFloat(reader, bounds, i);
    else bounds[i] = Number(thousandths - 1n) / 1000;
  }
  return bounds;
}

function writeBound(writer: BitWriter, bounds: Float64Array, i: number): void {
  const thousandths = bounds[i]! * 1000;
  if (thousandths >= 0 && thousandths <= THOUSANDTHS_MAX && Number.isInteger(thousandths)) {
    writeVarbitUint(writer, BigInt(thousandths + 1));
    return;
  }
  writeVarbitUint(writer, 0n);
  writeFloat(writer, bounds, i);
}

/** Reads 64 bits into `floats[i]`. */
export function readFloat(reader: BitReader, floats: Float64Array, i: number): void {
  const words = wordsOf(floats);
  words[2 * i + 1] = reader.bits(32);
  words[2 * i] = reader.bits(32);
}

export function writeFloat(writer: BitWriter, floats: Float64Array, i: number): void {
  const words = wordsOf(floats);
  writer.put(words[2 * i + 1]!, 32);
  writer.put(words[2 * i]!, 32);
}
