/**
 * Logs that real Prometheus wrote: every record equals what its own reader printed and is written again byte for byte;
 * a head opened on the folder holds what Prometheus's held; damage costs what it touches.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { wordsOf } from "#libs/model/histogram.ts";
import { labelsFrom, labelsToObject } from "#libs/model/labels.ts";
import { ByteWriter } from "#libs/tsdb/encoding/writer.ts";
import { type RefHistogram, readHistogramRecord, writeHistogramRecord } from "#libs/tsdb/wal/histogram-records.ts";
import { type Damage, readWal } from "#libs/tsdb/wal/reader.ts";
import {
  RECORD,
  readExemplars,
  readMetadata,
  readMmapMarkers,
  readSamples,
  readSeries,
  readTombstoneRecord,
  type RefExemplar,
  type RefInterval,
  type RefMetadata,
  writeExemplars,
  writeMetadata,
  writeMmapMarkers,
  writeSamples,
  writeSeries,
  writeTombstoneRecord,
} from "#libs/tsdb/wal/records.ts";
import { histogramText, sampleText } from "#tools/block-dump.ts";
import { walDump } from "#tools/wal-dump.ts";
import { describeShared, GOLDEN } from "../support/shared.ts";

const WAL = join(GOLDEN, "wal");

function lines(file: string): string[] {
  return gunzipSync(readFileSync(file)).toString().trim().split("\n");
}

/** Numbers in one notation: `1e+21` and `1000000000000000000000` are the same value. */
function normal(value: unknown): unknown {
  if (typeof value === "string") return /^[-+]?\d/.test(value) ? String(Number(value)) : value;
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, normal(part)]),
  );
}

const canonical = (value: unknown): string => JSON.stringify(normal(value));

const floatText = (value: Float64Array): string => sampleText({ values: value, words: wordsOf(value) }, 0);

/** A record in the shape of the golden lines, and written again. */
function decode(bytes: Uint8Array): { shown: unknown; again: Uint8Array } {
  const out = new ByteWriter();
  const type = bytes[0]!;
  switch (type) {
    case RECORD.SERIES: {
      const series: unknown[] = [];
      out.u8(type);
      readSeries(bytes, "wal", (ref, labels) => {
        writeSeries(out, ref, labels);
        series.push({ ref, labels: labelsToObject(labels) });
      });
      return { shown: { type, series }, again: out.bytes };
    }
    case RECORD.SAMPLES: {
      const samples: unknown[] = [];
      const columns: { refs: number[]; times: number[]; words: number[] } = { refs: [], times: [], words: [] };
      readSamples(bytes, "wal", (ref, time, low, high, start) => {
        columns.refs.push(ref);
        columns.times.push(time);
        columns.words.push(low, high);
        const words = Int32Array.of(low, high);
        samples.push([ref, time, sampleText({ values: new Float64Array(words.buffer), words }, 0), start]);
      });
      const batch = {
        refs: Float64Array.from(columns.refs),
        times: Float64Array.from(columns.times),
        words: Int32Array.from(columns.words),
        count: samples.length,
      };
      writeSamples(out, batch, 0, batch.count);
      return { shown: { type, samples }, again: out.bytes };
    }
    case RECORD.TOMBSTONES: {
      const intervals: RefInterval[] = [];
      readTombstoneRecord(bytes, "wal", (ref, mint, maxt) => intervals.push({ ref, mint, maxt }));
      writeTombstoneRecord(out, intervals);
      return { shown: { type, tombstones: intervals.length }, again: out.bytes };
    }
    case RECORD.EXEMPLARS: {
      const exemplars: RefExemplar[] = [];
      readExemplars(bytes, "wal", (exemplar) => exemplars.push(exemplar));
      writeExemplars(out, exemplars);
      const shown = exemplars.map(({ ref, time, value, labels }) => ({
        ref,
        t: time,
        value: floatText(value),
        labels: labelsToObject(labels),
      }));
      return { shown: { type, exemplars: shown }, again: out.bytes };
    }
    case RECORD.MMAP_MARKERS: {
      const markers = readMmapMarkers(bytes, "wal");
      writeMmapMarkers(out, markers);
      const mmapMarkers = markers.map(({ ref, file, offset }) => [ref, file * 4294967296 + offset]);
      return { shown: { type, mmapMarkers }, again: out.bytes };
    }
    case RECORD.METADATA: {
      const metadata: RefMetadata[] = [];
      readMetadata(bytes, "wal", (entry) => metadata.push(entry));
      writeMetadata(out, metadata);
      return { shown: { type, metadata }, again: out.bytes };
    }
    default: {
      const list: RefHistogram[] = [];
      readHistogramRecord(bytes, "wal", (sample) => list.push(sample));
      writeHistogramRecord(out, type, list);
      const shown = list.map(({ ref, time, histogram }) => [
        ref,
        time,
        JSON.parse(histogramText(histogram)) as unknown,
      ]);
      return {
        shown: list[0]!.histogram.isFloat ? { type, floatHistograms: shown } : { type, histograms: shown },
        again: out.bytes,
      };
    }
  }
}

function readAll(folder: string): { records: string[]; damages: Damage[] } {
  const damages: Damage[] = [];
  const records: string[] = [];
  for (const { bytes } of readWal(folder, (damage) => damages.push(damage))) {
    const { shown, again } = decode(bytes);
    records.push(canonical(shown));
    expect(Buffer.compare(again, bytes), `record of type ${bytes[0]} written again`).toBe(0);
  }
  return { records, damages };
}

function goldenRecords(file: string): string[] {
  return lines(file).map((line) => {
    const { bytes: _bytes, name: _name, ...record } = JSON.parse(line) as Record<string, unknown>;
    return canonical(record);
  });
}

/** Samples by series and time, exemplars by series. */
function content(dump: readonly string[]): Map<string, unknown> {
  const held = new Map<string, unknown>();
  for (const line of dump) {
    const { labels, samples, seriesLabels, exemplars } = JSON.parse(line) as {
      labels?: Record<string, string>;
      samples?: [number, unknown][];
      seriesLabels?: Record<string, string>;
      exemplars?: unknown[];
    };
    const name = JSON.stringify(labelsFrom(Object.entries(labels ?? seriesLabels ?? {})));
    if (exemplars !== undefined) held.set(`exemplars of ${name}`, canonical(exemplars));
    else held.set(name, new Map(samples!.map(([time, value]) => [time, canonical(value)])));
  }
  return held;
}

async function dump(folder: string): Promise<Map<string, unknown>> {
  const out: string[] = [];
  expect(await walDump(folder, (line) => out.push(line), silentLog())).toBe(0);
  return content(out);
}

describeShared("logs written by Prometheus", WAL, () => {
  for (const folder of ["uncompressed", "snappy", "zstd"]) {
    for (const log of ["wal", "wbl"]) {
      test(`${folder}/${log}: all records, read and written`, () => {
        const { records, damages } = readAll(join(WAL, folder, "data", log));
        expect(records).toEqual(goldenRecords(join(WAL, folder, `${log}-records.ndjson.gz`)));
        expect(damages.filter(({ torn }) => !torn)).toEqual([]);
      });
    }
  }

  test("checkpoint and the segments after it", () => {
    const data = join(WAL, "checkpoint/data/wal");
    const checkpoint = readdirSync(data).find((name) => name.startsWith("checkpoint."))!;
    expect(readAll(join(data, checkpoint)).records).toEqual(
      goldenRecords(join(WAL, `checkpoint/${checkpoint}-records.ndjson.gz`)),
    );
    expect(readAll(data).records).toEqual(goldenRecords(join(WAL, "checkpoint/wal-records.ndjson.gz")));
  });

  for (const folder of ["uncompressed", "snappy", "zstd", "checkpoint"]) {
    test(`${folder}: a head opened on the folder holds what Prometheus's held`, async () => {
      const want = content(lines(join(WAL, folder, "expected.ndjson.gz")));
      const got = await dump(join(WAL, folder, "data"));
      expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
      for (const [series, samples] of want) expect(got.get(series), series).toEqual(samples);
    });
  }

  interface Case {
    file?: string;
    truncateTo?: number;
    flipByte?: number;
    flipBit?: number;
    samples: number;
  }
  const cases = readFileSync(join(WAL, "damaged/cases.ndjson"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Case);

  /** Where the log ends in two deletions. */
  const DELETIONS_AT = 42_928;

  async function damaged({ file, truncateTo, flipByte, flipBit }: Case): Promise<Map<string, unknown>> {
    const folder = mkdtempSync(join(tmpdir(), "cairn-wal-"));
    try {
      cpSync(join(WAL, "snappy/data/wal"), join(folder, "wal"), { recursive: true });
      if (file !== undefined) {
        const path = join(folder, "wal", file);
        if (truncateTo !== undefined) truncateSync(path, truncateTo);
        else {
          const bytes = readFileSync(path);
          bytes[flipByte!]! ^= 1 << (flipBit ?? 0);
          writeFileSync(path, bytes);
        }
      }
      // Prometheus loses them with what is damaged before, and has more samples than who honours them.
      const last = join(folder, "wal/00000001");
      if (statSync(last).size > DELETIONS_AT) truncateSync(last, DELETIONS_AT);
      return await dump(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test(`${cases.length} damaged logs: as many samples as Prometheus keeps or more, none that was not written`, async () => {
    const written = new Map<string, Set<string>>();
    const names = new Map<number, string>();
    for (const line of lines(join(WAL, "snappy/wal-records.ndjson.gz"))) {
      const record = JSON.parse(line) as {
        series?: { ref: number; labels: Record<string, string> }[];
        samples?: [number, number, string][];
        histograms?: [number, number, unknown][];
        floatHistograms?: [number, number, unknown][];
      };
      for (const { ref, labels } of record.series ?? [])
        names.set(ref, JSON.stringify(labelsFrom(Object.entries(labels))));
      for (const [ref, time, value] of [
        ...(record.samples ?? []),
        ...(record.histograms ?? []),
        ...(record.floatHistograms ?? []),
      ]) {
        const series = names.get(ref)!;
        written.set(series, (written.get(series) ?? new Set()).add(`${time} ${withoutHint(value)}`));
      }
    }
    /** What may have been written for a value that is held; most values come once for every case. */
    const shown = new Map<string, string[]>();
    const shownAs = (value: string): string[] => {
      let forms = shown.get(value);
      if (forms === undefined) {
        const parsed: unknown = JSON.parse(value);
        forms = [withoutHint(parsed)];
        // A stale marker is stored as the series' kind of sample.
        if (typeof parsed === "object" && (parsed as { sum: string }).sum === "stale") forms.push('"stale"');
        shown.set(value, forms);
      }
      return forms;
    };
    for (const damage of cases) {
      const held = await damaged(damage);
      let samples = 0;
      for (const [series, values] of held) {
        if (!(values instanceof Map)) continue;
        for (const [time, value] of values as Map<number, string>) {
          samples++;
          const known = written.get(series)!;
          const wasWritten = shownAs(value).some((shown) => known.has(`${time} ${shown}`));
          if (!wasWritten) expect.fail(`${JSON.stringify(damage)}: ${series} at ${time} was never written: ${value}`);
        }
      }
      expect(samples, JSON.stringify(damage)).toBeGreaterThanOrEqual(damage.samples);
    }
  }, 180_000);
});

/** Hints and the layout of empty buckets may change on the way through a chunk; counts do not. */
function withoutHint(value: unknown): string {
  if (typeof value !== "object" || value === null) return canonical(value);
  const { hint: _hint, ...rest } = value as Record<string, unknown>;
  const buckets = (spans: unknown, counts: unknown): unknown => {
    const out: [number, unknown][] = [];
    let at = 0;
    let index = 0;
    for (const [offset, length] of spans as [number, number][]) {
      index += offset;
      for (let k = 0; k < length; k++, index++) {
        const count = (counts as unknown[])[at++];
        if (Number(count) !== 0) out.push([index, count]);
      }
    }
    return out;
  };
  return canonical({
    ...rest,
    positiveSpans: undefined,
    negativeSpans: undefined,
    positive: buckets(rest["positiveSpans"], rest["positive"]),
    negative: buckets(rest["negativeSpans"], rest["negative"]),
  });
}
