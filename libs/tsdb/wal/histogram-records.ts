/**
 * Records of histograms: types 7 to 10, 12 and 13, and the body they share with snapshots (reference/prometheus.md §1.7).
 *
 *   hint u8 │ schema │ zero threshold f64 │ zero count │ count │ sum f64 │ spans │ spans │ buckets │ buckets │ bounds
 *
 * Counts are uvarints and buckets differences to the one before; of float histograms all are floats.
 */
import {
  bucketCount,
  CUSTOM_SCHEMA,
  type Histogram,
  NO_BOUNDS,
  NO_SPANS,
  RESET_HINT,
  type ResetHint,
  type Span,
  wordsOf,
} from "#libs/model/histogram.ts";
import { ByteReader } from "../encoding/reader.ts";
import type { ByteWriter } from "../encoding/writer.ts";
import { RECORD, startFrom, writeStart } from "./records.ts";

/** A histogram of a series; `start` is its start timestamp, 0 unknown. */
export interface RefHistogram {
  readonly ref: number;
  readonly start: number;
  readonly time: number;
  readonly histogram: Histogram;
}

/** The record type that a histogram without start timestamp goes into. */
export function histogramRecordType({ isFloat, schema }: Histogram): number {
  if (schema === CUSTOM_SCHEMA) return isFloat ? RECORD.CUSTOM_FLOAT_HISTOGRAMS : RECORD.CUSTOM_HISTOGRAMS;
  return isFloat ? RECORD.FLOAT_HISTOGRAMS : RECORD.HISTOGRAMS;
}

/** Writes a record of one or more histograms that are all of `type`, 7 to 10. */
export function writeHistogramRecord(out: ByteWriter, type: number, samples: readonly RefHistogram[]): void {
  const first = samples[0]!;
  out.u8(type);
  out.u64(first.ref);
  out.u64(first.time);
  for (const { ref, time, histogram } of samples) {
    out.varint(ref - first.ref);
    out.varint(time - first.time);
    writeHistogram(out, histogram);
  }
}

/** Writes a record of type 12 or 13: start timestamps, exponential and custom buckets mixed. */
export function writeHistogramRecordV2(out: ByteWriter, type: number, samples: readonly RefHistogram[]): void {
  const first = samples[0]!;
  out.u8(type);
  let before: RefHistogram | undefined;
  for (const sample of samples) {
    out.varint(sample.ref - (before?.ref ?? 0));
    out.varint(sample.time - (before === undefined ? 0 : first.time));
    if (before === undefined) out.varint(sample.start);
    else writeStart(out, sample.start, first.start, before.start);
    writeHistogram(out, sample.histogram);
    before = sample;
  }
}

/** The histograms of a record of any of the types. @throws CorruptionError */
export function readHistogramRecord(
  record: Uint8Array,
  file: string,
  onHistogram: (sample: RefHistogram) => void,
): void {
  const reader = new ByteReader(record, file, 1);
  if (reader.left === 0) return;
  const type = record[0]!;
  const isFloat =
    type === RECORD.FLOAT_HISTOGRAMS || type === RECORD.CUSTOM_FLOAT_HISTOGRAMS || type === RECORD.FLOAT_HISTOGRAMS_V2;
  if (type !== RECORD.HISTOGRAMS_V2 && type !== RECORD.FLOAT_HISTOGRAMS_V2) {
    const baseRef = reader.u64();
    const baseTime = reader.i64();
    while (reader.left > 0) {
      const ref = baseRef + reader.varint();
      const time = baseTime + reader.varint();
      onHistogram({ ref, start: 0, time, histogram: readHistogram(reader, isFloat) });
    }
    return;
  }
  let ref = reader.varint();
  const firstTime = reader.varint();
  const firstStart = reader.varint();
  let start = firstStart;
  onHistogram({ ref, start, time: firstTime, histogram: readHistogram(reader, isFloat) });
  while (reader.left > 0) {
    ref += reader.varint();
    const time = firstTime + reader.varint();
    start = startFrom(reader, firstStart, start);
    onHistogram({ ref, start, time, histogram: readHistogram(reader, isFloat) });
  }
}

export function writeHistogram(out: ByteWriter, h: Histogram): void {
  out.u8(h.counterResetHint);
  out.varint(h.schema);
  writeFloats(out, Float64Array.of(h.zeroThreshold));
  if (h.isFloat) {
    writeFloats(out, h.totals.subarray(1, 2));
    writeFloats(out, h.totals.subarray(0, 1));
  } else {
    out.uvarint64(h.zeroCount);
    out.uvarint64(h.count);
  }
  writeFloats(out, h.sum);
  writeSpans(out, h.positiveSpans);
  writeSpans(out, h.negativeSpans);
  for (const counts of [h.positive, h.negative]) {
    out.uvarint(counts.length);
    if (counts instanceof Float64Array) writeFloats(out, counts);
    else counts.forEach((count, i) => out.varint64(BigInt.asIntN(64, count - (i === 0 ? 0n : counts[i - 1]!))));
  }
  if (h.schema !== CUSTOM_SCHEMA) return;
  out.uvarint(h.customValues.length);
  writeFloats(out, h.customValues);
}

function writeFloats(out: ByteWriter, floats: Float64Array): void {
  const words = wordsOf(floats);
  for (let i = 0; i < floats.length; i++) out.f64Words(words[2 * i]!, words[2 * i + 1]!);
}

function writeSpans(out: ByteWriter, spans: readonly Span[]): void {
  out.uvarint(spans.length);
  for (const [offset, length] of spans) {
    out.varint(offset);
    out.uvarint(length);
  }
}

/** Reads a histogram; what it claims to hold is bounded by the bytes that are there. @throws CorruptionError */
export function readHistogram(reader: ByteReader, isFloat: boolean): Histogram {
  const hint = reader.u8();
  if (hint > RESET_HINT.GAUGE) reader.fail(`counter reset hint ${hint}`);
  const schema = reader.varint();
  const threshold = readFloats(reader, 1);
  const totals = new Float64Array(2);
  let count = 0n;
  let zeroCount = 0n;
  if (isFloat) {
    reader.f64Into(wordsOf(totals), 1);
    reader.f64Into(wordsOf(totals), 0);
  } else {
    zeroCount = reader.uvarint64();
    count = reader.uvarint64();
  }
  const sum = readFloats(reader, 1);
  const shape = {
    schema,
    zeroThreshold: threshold[0]!,
    counterResetHint: hint as ResetHint,
    positiveSpans: readSpans(reader),
    negativeSpans: readSpans(reader),
    sum,
  };
  if (isFloat) {
    const positive = readFloats(reader, reader.uvarint());
    const negative = readFloats(reader, reader.uvarint());
    checkCounts(reader, shape, positive.length, negative.length);
    return { ...shape, isFloat: true, totals, positive, negative, customValues: readBounds(reader, schema) };
  }
  const positive = readCounts(reader);
  const negative = readCounts(reader);
  checkCounts(reader, shape, positive.length, negative.length);
  return { ...shape, isFloat: false, count, zeroCount, positive, negative, customValues: readBounds(reader, schema) };
}

function checkCounts(
  reader: ByteReader,
  spans: { positiveSpans: readonly Span[]; negativeSpans: readonly Span[] },
  positive: number,
  negative: number,
): void {
  if (bucketCount(spans.positiveSpans) !== positive || bucketCount(spans.negativeSpans) !== negative)
    reader.fail(`${positive} and ${negative} buckets, the spans say otherwise`);
}

function readBounds(reader: ByteReader, schema: number): Float64Array {
  return schema === CUSTOM_SCHEMA ? readFloats(reader, reader.uvarint()) : NO_BOUNDS;
}

function readFloats(reader: ByteReader, count: number): Float64Array {
  reader.need(8 * count);
  const floats = new Float64Array(count);
  const words = wordsOf(floats);
  for (let i = 0; i < count; i++) reader.f64Into(words, i);
  return floats;
}

function readCounts(reader: ByteReader): BigInt64Array {
  const length = reader.uvarint();
  reader.need(length);
  const counts = new BigInt64Array(length);
  let sum = 0n;
  for (let i = 0; i < length; i++) counts[i] = sum = BigInt.asIntN(64, sum + reader.varint64());
  return counts;
}

function readSpans(reader: ByteReader): readonly Span[] {
  const count = reader.uvarint();
  if (count === 0) return NO_SPANS;
  reader.need(2 * count);
  return Array.from({ length: count }, (): Span => [reader.varint(), reader.uvarint()]);
}
