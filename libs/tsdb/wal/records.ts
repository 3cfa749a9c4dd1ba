/**
 * Records of the log: one type byte, then the body. Format: prometheus/tsdb/docs/format/wal.md, as its code has it
 * (the deltas of type 2 are signed).
 */
import { wordsOf } from "#libs/model/histogram.ts";
import type { Labels } from "#libs/model/labels.ts";
import { BytesCache } from "../encoding/bytes-cache.ts";
import { ByteReader, utf8 } from "../encoding/reader.ts";
import type { ByteWriter } from "../encoding/writer.ts";

export const RECORD = {
  SERIES: 1,
  SAMPLES: 2,
  TOMBSTONES: 3,
  EXEMPLARS: 4,
  MMAP_MARKERS: 5,
  METADATA: 6,
  HISTOGRAMS: 7,
  FLOAT_HISTOGRAMS: 8,
  CUSTOM_HISTOGRAMS: 9,
  CUSTOM_FLOAT_HISTOGRAMS: 10,
  SAMPLES_V2: 11,
  HISTOGRAMS_V2: 12,
  FLOAT_HISTOGRAMS_V2: 13,
} as const;

export const RECORD_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(RECORD).map(([name, type]) => [type, name.toLowerCase().replaceAll("_", " ")]),
);

/** One series of a series record; `labels` sorted. */
export function writeSeries(out: ByteWriter, ref: number, labels: Labels): void {
  out.u64(ref);
  writeLabels(out, labels);
}

export function writeLabels(out: ByteWriter, labels: Labels): void {
  out.uvarint(labels.length / 2);
  for (const text of labels) out.text(text);
}

export function readSeries(record: Uint8Array, file: string, onSeries: (ref: number, labels: Labels) => void): void {
  const reader = new ByteReader(record, file, 1);
  while (reader.left > 0) {
    const ref = reader.u64();
    onSeries(ref, readLabels(reader));
  }
}

const texts = new BytesCache(utf8);

export function readLabels(reader: ByteReader): Labels {
  const count = reader.uvarint();
  if (count * 2 > reader.left) reader.fail(`${count} labels in ${reader.left} bytes`);
  const labels: string[] = [];
  for (let i = 0; i < 2 * count; i++) {
    const length = reader.uvarint();
    reader.skip(length);
    labels.push(texts.get(reader.bytes, reader.at - length, reader.at));
  }
  return labels;
}

/** Samples in columns; the value of sample i is words 2i (low) and 2i + 1. */
export interface SampleBatch {
  readonly refs: Float64Array;
  readonly times: Float64Array;
  readonly words: Int32Array;
  /** Start timestamps, 0 unknown; undefined where none are stored. */
  readonly starts?: Float64Array | undefined;
  readonly count: number;
}

/** Writes a record of samples [from, to): type 11 when there are start timestamps, else 2. */
export function writeSamples(out: ByteWriter, batch: SampleBatch, from: number, to: number): void {
  const { refs, times, words, starts } = batch;
  if (starts !== undefined) {
    writeSamplesV2(out, batch, starts, from, to);
    return;
  }
  const baseRef = refs[from]!;
  const baseTime = times[from]!;
  out.u8(RECORD.SAMPLES);
  out.u64(baseRef);
  out.u64(baseTime);
  for (let i = from; i < to; i++) {
    out.varint(refs[i]! - baseRef);
    out.varint(times[i]! - baseTime);
    out.f64Words(words[2 * i]!, words[2 * i + 1]!);
  }
}

function writeSamplesV2(out: ByteWriter, batch: SampleBatch, starts: Float64Array, from: number, to: number): void {
  const { refs, times, words } = batch;
  out.u8(RECORD.SAMPLES_V2);
  for (let i = from; i < to; i++) {
    out.varint(refs[i]! - (i === from ? 0 : refs[i - 1]!));
    out.varint(times[i]! - (i === from ? 0 : times[from]!));
    if (i === from) out.varint(starts[i]!);
    else writeStart(out, starts[i]!, starts[from]!, starts[i - 1]!);
    out.f64Words(words[2 * i]!, words[2 * i + 1]!);
  }
}

/** The start timestamp of a later sample: 0 unknown, 1 as before, 2 by the difference to the record's first. */
export function writeStart(out: ByteWriter, start: number, first: number, before: number): void {
  if (start === 0) out.u8(0);
  else if (start === before) out.u8(1);
  else {
    out.u8(2);
    out.varint(start - first);
  }
}

const valueWords = new Int32Array(2);

/** A float sample of a record; `start` is its start timestamp, 0 unknown. */
export type OnSample = (ref: number, time: number, low: number, high: number, start: number) => void;

/** Samples of a record of type 2 or 11, one call each. @throws CorruptionError */
export function readSamples(record: Uint8Array, file: string, onSample: OnSample): void {
  const reader = new ByteReader(record, file, 1);
  if (reader.left === 0) return;
  if (record[0] === RECORD.SAMPLES) {
    const baseRef = reader.u64();
    const baseTime = reader.i64();
    while (reader.left > 0) {
      const ref = baseRef + reader.varint();
      const time = baseTime + reader.varint();
      reader.f64Into(valueWords, 0);
      onSample(ref, time, valueWords[0]!, valueWords[1]!, 0);
    }
    return;
  }
  let ref = reader.varint();
  const firstTime = reader.varint();
  const firstStart = reader.varint();
  let start = firstStart;
  reader.f64Into(valueWords, 0);
  onSample(ref, firstTime, valueWords[0]!, valueWords[1]!, start);
  while (reader.left > 0) {
    ref += reader.varint();
    const time = firstTime + reader.varint();
    start = startFrom(reader, firstStart, start);
    reader.f64Into(valueWords, 0);
    onSample(ref, time, valueWords[0]!, valueWords[1]!, start);
  }
}

/** Reads what `writeStart` wrote. */
export function startFrom(reader: ByteReader, first: number, before: number): number {
  const marker = reader.u8();
  if (marker > 2) reader.fail(`start timestamp marker ${marker}`);
  if (marker === 2) return first + reader.varint();
  return marker === 1 ? before : 0;
}

export interface RefInterval {
  readonly ref: number;
  /** Both inclusive. */
  readonly mint: number;
  readonly maxt: number;
}

export function writeTombstoneRecord(out: ByteWriter, intervals: readonly RefInterval[]): void {
  out.u8(RECORD.TOMBSTONES);
  for (const { ref, mint, maxt } of intervals) {
    out.u64(ref);
    out.varint(mint);
    out.varint(maxt);
  }
}

export function readTombstoneRecord(
  record: Uint8Array,
  file: string,
  onTombstone: (ref: number, mint: number, maxt: number) => void,
): void {
  const reader = new ByteReader(record, file, 1);
  while (reader.left > 0) onTombstone(reader.u64(), reader.varint(), reader.varint());
}

/** Chunks of out-of-order samples that were written to `chunks_head`; only in the log of out-of-order samples. */
export interface MmapMarker {
  readonly ref: number;
  readonly file: number;
  /** Of the chunk's entry in its file; 0 in file 0: the series' first chunk was begun. */
  readonly offset: number;
}

export function writeMmapMarkers(out: ByteWriter, markers: readonly MmapMarker[]): void {
  out.u8(RECORD.MMAP_MARKERS);
  for (const { ref, file, offset } of markers) {
    out.u64(ref);
    out.u32(file);
    out.u32(offset);
  }
}

export function readMmapMarkers(record: Uint8Array, file: string): MmapMarker[] {
  const reader = new ByteReader(record, file, 1);
  const markers: MmapMarker[] = [];
  while (reader.left > 0) markers.push({ ref: reader.u64(), file: reader.u32(), offset: reader.u32() });
  return markers;
}

/** An exemplar of a series; its value is `words` of one float. */
export interface RefExemplar {
  readonly ref: number;
  readonly time: number;
  readonly value: Float64Array;
  /** In the order they were sent. */
  readonly labels: Labels;
}

/** Writes a record of one or more exemplars; snapshots give them another type. */
export function writeExemplars(
  out: ByteWriter,
  exemplars: readonly RefExemplar[],
  type: number = RECORD.EXEMPLARS,
): void {
  const first = exemplars[0]!;
  out.u8(type);
  out.u64(first.ref);
  out.u64(first.time);
  for (const { ref, time, value, labels } of exemplars) {
    out.varint(ref - first.ref);
    out.varint(time - first.time);
    const words = wordsOf(value);
    out.f64Words(words[0]!, words[1]!);
    writeLabels(out, labels);
  }
}

export function readExemplars(record: Uint8Array, file: string, onExemplar: (exemplar: RefExemplar) => void): void {
  const reader = new ByteReader(record, file, 1);
  if (reader.left === 0) return;
  const baseRef = reader.u64();
  const baseTime = reader.i64();
  while (reader.left > 0) {
    const ref = baseRef + reader.varint();
    const time = baseTime + reader.varint();
    const value = new Float64Array(1);
    reader.f64Into(wordsOf(value), 0);
    onExemplar({ ref, time, value, labels: readLabels(reader) });
  }
}

/** Metadata of a series. */
export interface RefMetadata {
  readonly ref: number;
  /** Index into `METADATA_TYPES`. */
  readonly type: number;
  readonly unit: string;
  readonly help: string;
}

/** Metric types by the byte that stands for them. */
export const METADATA_TYPES = [
  "unknown",
  "counter",
  "gauge",
  "histogram",
  "gaugehistogram",
  "summary",
  "info",
  "stateset",
] as const;

export function writeMetadata(out: ByteWriter, entries: readonly RefMetadata[]): void {
  out.u8(RECORD.METADATA);
  for (const { ref, type, unit, help } of entries) {
    out.uvarint(ref);
    out.u8(type);
    out.uvarint(2);
    for (const text of ["UNIT", unit, "HELP", help]) out.text(text);
  }
}

/** Fields of unknown names are passed over. */
export function readMetadata(record: Uint8Array, file: string, onEntry: (entry: RefMetadata) => void): void {
  const reader = new ByteReader(record, file, 1);
  while (reader.left > 0) {
    const ref = reader.uvarint();
    const type = reader.u8();
    const texts = new Map<string, string>();
    for (let count = reader.uvarint(); count > 0; count--) texts.set(reader.text(), reader.text());
    onEntry({ ref, type, unit: texts.get("UNIT") ?? "", help: texts.get("HELP") ?? "" });
  }
}
