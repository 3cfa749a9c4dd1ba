/**
 * Records of the log: one type byte, then the body. Format: prometheus/tsdb/docs/format/wal.md, as its code has it
 * (the deltas of type 2 are signed).
 */
import type { Labels } from "#libs/model/labels.ts";
import { ByteReader } from "../encoding/reader.ts";
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
  out.uvarint(labels.length / 2);
  for (const text of labels) out.text(text);
}

export function readSeries(record: Uint8Array, file: string, onSeries: (ref: number, labels: Labels) => void): void {
  const reader = new ByteReader(record, file, 1);
  while (reader.left > 0) {
    const ref = reader.u64();
    const count = reader.uvarint();
    if (count * 2 > reader.left) reader.fail(`${count} labels in ${reader.left} bytes`);
    const labels: string[] = [];
    for (let i = 0; i < 2 * count; i++) labels.push(reader.text());
    onSeries(ref, labels);
  }
}

/** Samples in columns; the value of sample i is words 2i (low) and 2i + 1. */
export interface SampleBatch {
  readonly refs: Float64Array;
  readonly times: Float64Array;
  readonly words: Int32Array;
  readonly count: number;
}

export function writeSamples(out: ByteWriter, batch: SampleBatch, from: number, to: number): void {
  const { refs, times, words } = batch;
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

const valueWords = new Int32Array(2);

/** Samples of a record of type 2 or 11, one call each. Start timestamps of type 11 are read over. */
export function readSamples(
  record: Uint8Array,
  file: string,
  onSample: (ref: number, time: number, low: number, high: number) => void,
): void {
  const reader = new ByteReader(record, file, 1);
  if (reader.left === 0) return;
  if (record[0] === RECORD.SAMPLES) {
    const baseRef = reader.u64();
    const baseTime = reader.i64();
    while (reader.left > 0) {
      const ref = baseRef + reader.varint();
      const time = baseTime + reader.varint();
      reader.f64Into(valueWords, 0);
      onSample(ref, time, valueWords[0]!, valueWords[1]!);
    }
    return;
  }
  let ref = reader.varint();
  const firstTime = reader.varint();
  reader.varint(); // start timestamp of the first
  reader.f64Into(valueWords, 0);
  onSample(ref, firstTime, valueWords[0]!, valueWords[1]!);
  while (reader.left > 0) {
    ref += reader.varint();
    const time = firstTime + reader.varint();
    const marker = reader.u8();
    if (marker > 2) reader.fail(`start timestamp marker ${marker}`);
    if (marker === 2) reader.varint();
    reader.f64Into(valueWords, 0);
    onSample(ref, time, valueWords[0]!, valueWords[1]!);
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
