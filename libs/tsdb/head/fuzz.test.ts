/**
 * The same as `../fuzz.test.ts` for what a head keeps: log segments, chunk files, snapshots. Readers read or refuse;
 * a head that is opened on them never refuses: it names what is damaged and has the rest.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { silentLog } from "#libs/kit/log.ts";
import { CUSTOM_SCHEMA, type Histogram } from "#libs/model/histogram.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { floatChunk } from "../../../test/support/blocks.ts";
import { Fuzz, FUZZ_COUNT as COUNT, FUZZ_TIMEOUT_MS as TIMEOUT_MS, mendChecksum } from "../../../test/support/fuzz.ts";
import { append, HOUR, intHistogram, openHead, read, T0, type TestSample } from "../../../test/support/head.ts";
import { crc32c } from "../encoding/crc32c.ts";
import type { ByteReader } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { readHistogramRecord } from "../wal/histogram-records.ts";
import { readWal } from "../wal/reader.ts";
import {
  RECORD,
  readExemplars,
  readMetadata,
  readMmapMarkers,
  readSamples,
  readLabels,
  readSeries,
  readTombstoneRecord,
} from "../wal/records.ts";
import { WalWriter } from "../wal/writer.ts";
import { HeadChunkFiles } from "./chunk-files.ts";
import { LogBatch } from "./log-batch.ts";
import { atOnce } from "#libs/kit/slices.ts";
import { findSnapshot, readSnapshotSteps, type SnapshotSink } from "./snapshot.ts";

const fuzz = new Fuzz();
const folder = mkdtempSync(join(tmpdir(), "cairn-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Where the fragments of a log's segment have their data. */
function fragments(segment: Uint8Array): [from: number, to: number][] {
  const view = new DataView(segment.buffer, segment.byteOffset);
  const found: [number, number][] = [];
  for (let at = 0; at < segment.length && segment[at] !== 0; at = found.at(-1)![1])
    found.push([at + 7, at + 7 + view.getUint16(at + 1)]);
  return found;
}

/** A segment with some bytes of it, or of one fragment, changed; mostly the checksum agrees. */
function mutateLog(segment: Uint8Array): Uint8Array {
  const bodies = fragments(segment);
  const [from, to] = bodies[fuzz.below(bodies.length)]!;
  const mutated = fuzz.below(3) === 0 ? fuzz.mutate(segment) : fuzz.mutate(segment, from, to);
  if (fuzz.below(3) !== 0) {
    const view = new DataView(mutated.buffer, mutated.byteOffset);
    mutated[from - 7] = 1;
    view.setUint16(from - 6, to - from);
    view.setUint32(from - 4, crc32c(mutated, from, to));
  }
  return fuzz.below(10) === 0 ? mutated.subarray(0, fuzz.below(mutated.length)) : mutated;
}

/** Every kind of histogram by turns. */
function histogram(i: number): Histogram {
  const int = intHistogram(
    [
      [-2, 2],
      [1, 1],
    ],
    [i, 2, 3 * i],
  ) as Histogram & { isFloat: false };
  const custom = i % 2 === 0 ? {} : { schema: CUSTOM_SCHEMA, customValues: Float64Array.of(0.1, 1, 5) };
  if (i % 4 < 2) return { ...int, ...custom };
  const { count: _count, zeroCount: _zeroCount, ...shape } = int;
  return {
    ...shape,
    ...custom,
    isFloat: true,
    totals: Float64Array.of(i / 2, 0),
    positive: Float64Array.from(int.positive, Number),
    negative: new Float64Array(0),
  };
}

test(`${COUNT} mutated log segments`, { timeout: TIMEOUT_MS }, async () => {
  const wal = join(folder, "wal");
  const writer = new WalWriter(wal);
  for (const withStarts of [false, true]) {
    const batch = new LogBatch((record) => writer.add(record));
    for (const ref of [1, 2]) batch.series(ref, ["__name__", "m", "i", String(ref)]);
    batch.metadata({ ref: 1, type: 2, unit: "bytes", help: "What it is." });
    for (let i = 0; i < 20; i++) {
      const start = withStarts && i % 3 !== 0 ? i * 10_000 : 0;
      batch.float(1 + (i % 2), 1000 + i * 15_000, i, 1_072_693_248, start);
      batch.histogram(3 + (i % 4), 1000 + i * 15_000, histogram(i), start);
    }
    batch.exemplar({ ref: 1, time: 1000, value: Float64Array.of(0.5), labels: ["trace_id", "abc"] });
    batch.exemplar({ ref: 2, time: 2000, value: Float64Array.of(7), labels: [] });
    batch.end();
    batch.tombstones([{ ref: 1, mint: 0, maxt: 5000 }]);
    batch.markers([{ ref: 1, file: 1, offset: 8 }]);
  }
  await writer.close();
  const bytes = readFileSync(join(wal, "00000000"));
  expect(new Set(fragments(bytes).map(([from]) => bytes[from])).size, "kinds of records").toBe(13);
  for (let i = 0; i < COUNT; i++) {
    writeFileSync(join(wal, "00000000"), mutateLog(bytes));
    await fuzz.tolerates("log", i, () => {
      for (const { bytes: record } of readWal(wal, () => undefined)) READERS[record[0]!]?.(record);
    });
  }
  fuzz.bothHappened();
});

const ignore = (): void => undefined;
const READERS: Readonly<Record<number, (record: Uint8Array) => unknown>> = {
  [RECORD.SERIES]: (record) => readSeries(record, "fuzzed", ignore),
  [RECORD.SAMPLES]: (record) => readSamples(record, "fuzzed", ignore),
  [RECORD.SAMPLES_V2]: (record) => readSamples(record, "fuzzed", ignore),
  [RECORD.TOMBSTONES]: (record) => readTombstoneRecord(record, "fuzzed", ignore),
  [RECORD.EXEMPLARS]: (record) => readExemplars(record, "fuzzed", ignore),
  [RECORD.MMAP_MARKERS]: (record) => readMmapMarkers(record, "fuzzed"),
  [RECORD.METADATA]: (record) => readMetadata(record, "fuzzed", ignore),
  ...Object.fromEntries(
    [
      RECORD.HISTOGRAMS,
      RECORD.FLOAT_HISTOGRAMS,
      RECORD.CUSTOM_HISTOGRAMS,
      RECORD.CUSTOM_FLOAT_HISTOGRAMS,
      RECORD.HISTOGRAMS_V2,
      RECORD.FLOAT_HISTOGRAMS_V2,
    ].map((type) => [type, (record: Uint8Array) => readHistogramRecord(record, "fuzzed", ignore)]),
  ),
};

test(`${COUNT} mutated files of chunks_head`, { timeout: TIMEOUT_MS }, async () => {
  const path = join(folder, "chunks_head");
  mkdirSync(path);
  const out = new ByteWriter();
  out.raw(Buffer.from("0130bc9101000000", "hex"));
  const ends: [from: number, to: number][] = [];
  for (let i = 0; i < 20; i++) {
    const { mint, maxt, encoding, data } = floatChunk([
      [i * 1000, i],
      [i * 1000 + 500, -i],
    ]);
    const from = out.length;
    out.u64((i % 4) + 1);
    out.u64(mint);
    out.u64(maxt);
    out.u8(encoding);
    out.uvarint(data.length);
    out.raw(data);
    ends.push([from, out.length]);
    out.crc(from);
  }
  const bytes = out.bytes.slice();
  for (let i = 0; i < COUNT; i++) {
    const body = ends[fuzz.below(ends.length)]!;
    let mutated = fuzz.below(4) === 0 ? fuzz.mutate(bytes) : fuzz.mutate(bytes, ...body);
    if (fuzz.below(2) === 0) mendChecksum(mutated, ...body);
    if (fuzz.below(10) === 0) mutated = mutated.subarray(0, fuzz.below(mutated.length));
    for (const name of readdirSync(path)) rmSync(join(path, name)); // each load begins a file of its own
    writeFileSync(join(path, "000001"), mutated);
    let damages = 0;
    await fuzz.tolerates("head chunks", i, () => {
      const files = new HeadChunkFiles(path);
      try {
        atOnce(files.loadSteps(ignore, () => damages++));
      } finally {
        files.close();
      }
      if (damages > 0) throw new CorruptionError(path, 0, "damage was reported");
    });
  }
  fuzz.bothHappened();
});

/** A head's folder with every kind of file: log with a checkpoint, log of late samples, chunks, snapshot. */
const base = join(folder, "base");
const OPTIONS = { outOfOrderMs: 2 * HOUR, exemplarsMax: 10 };
const ALL = [createMatcher({ type: "=~", name: "__name__", value: ".+" })];

async function fill(): Promise<void> {
  const head = openHead(base, OPTIONS);
  const times = Array.from({ length: 140 }, (_, i) => T0 + i * 10_000);
  const series: Record<string, readonly TestSample[]> = {
    a: times.map((time, i) => [time, i]),
    b: times.map((time, i) => [time, i / 7]),
    h: times.slice(0, 40).map((time, i) => [time, histogram(i - (i % 2))]),
    c: times.slice(0, 20).map((time, i) => [time, histogram(i - (i % 2) + 1)]),
    started: times.map((time, i) => [time, i, time - (i % 30) * 1000]),
    begun: times.slice(0, 40).map((time, i) => [time, histogram(i - (i % 2)), time - (i % 30) * 1000]),
  };
  for (const [name, samples] of Object.entries(series)) append(head, ["__name__", name], samples);
  for (let i = 0; i < 40; i++) append(head, ["__name__", "a"], [[T0 + i * 10_000 + 1, -i, T0 + i]]);
  head.begin();
  head.appendExemplar(head.getOrCreate(["__name__", "a"]), {
    time: T0,
    value: Float64Array.of(1),
    labels: ["trace_id", "x"],
  });
  head.setMetadata("a", { type: "gauge", unit: "bytes", help: "text" });
  head.commit();
  await head.deleteSeries([createMatcher({ type: "=", name: "__name__", value: "b" })], T0, T0 + 100_000);
  await head.truncate(T0 - HOUR); // writes a checkpoint of all of it
  append(head, ["__name__", "a"], [[T0 + 2 * HOUR, 1]]);
  await head.close(true);
}

beforeAll(fill);

/** Files of the base that `pattern` matches, by their bytes. */
function filesLike(pattern: RegExp): [name: string, bytes: Uint8Array][] {
  const found = readdirSync(base, { recursive: true, encoding: "utf8" }).filter((name) => pattern.test(name));
  return found.map((name) => [name, readFileSync(join(base, name))]);
}

test(`${COUNT} mutated snapshots`, { timeout: TIMEOUT_MS }, async () => {
  const [[name, bytes]] = filesLike(/^chunk_snapshot.*\/\d+$/) as [[string, Uint8Array]];
  const snapshot = findSnapshot(base, ignore)!;
  const copy = join(folder, "snapshot");
  cpSync(base, copy, { recursive: true });
  const series = (_ref: number, reader: ByteReader): number => readLabels(reader).length;
  const sink: SnapshotSink = { series, open: ignore, deletions: ignore, exemplar: ignore };
  for (let i = 0; i < COUNT; i++) {
    writeFileSync(join(copy, name), mutateLog(bytes));
    let problem: string | undefined;
    await fuzz.tolerates("snapshot", i, () => {
      atOnce(readSnapshotSteps(copy, snapshot, sink, (_name, what) => (problem = what), true));
      if (problem !== undefined) throw new CorruptionError(name, 0, problem);
    });
  }
  fuzz.bothHappened();
});

// An opened head costs fifty times what a reader does.
const HEADS = Math.ceil(COUNT / 10);

test(`${HEADS} heads on a folder with a mutated file`, { timeout: TIMEOUT_MS }, async () => {
  const files = [
    ...filesLike(/^(wal|wbl)\/\d+$/),
    ...filesLike(/checkpoint.*\/\d+$/),
    ...filesLike(/^chunk_snapshot.*\/\d+$/),
    ...filesLike(/^chunks_head\/\d+$/),
  ].filter(([, bytes]) => bytes.length > 8);
  expect(new Set(files.map(([name]) => name.split("/")[0]!.split(".")[0])).size).toBe(4);
  const copy = join(folder, "head");
  for (let i = 0; i < HEADS; i++) {
    const [name, bytes] = files[i % files.length]!;
    rmSync(copy, { recursive: true, force: true });
    cpSync(base, copy, { recursive: true });
    writeFileSync(join(copy, name), name.startsWith("chunks_head") ? fuzz.mutate(bytes) : mutateLog(bytes));
    // What else is damaged must not be what is read instead.
    if (!name.startsWith("chunk_snapshot")) rmSync(join(copy, snapshotName()), { recursive: true });
    let isDamaged = false;
    const log = silentLog();
    log.error = log.warn = (() => void (isDamaged = true)) as typeof log.error;
    await fuzz.tolerates(`head on ${name}`, i, async () => {
      const head = openHead(copy, { ...OPTIONS, log });
      try {
        await read(head);
        head.exemplars([ALL], -Infinity, Infinity);
        append(head, ["__name__", "new"], [[head.maxt, 1]]);
      } finally {
        await head.close();
      }
      if (isDamaged) throw new CorruptionError(name, 0, "damage was reported");
    });
  }
  fuzz.bothHappened();
});

const snapshotName = (): string => readdirSync(base).find((name) => name.startsWith("chunk_snapshot"))!;
