/** Logs that real Prometheus wrote: every float record equals what its own reader printed; damage costs what it touches. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { formatLabels, type Labels, labelsFrom } from "#libs/model/labels.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { decodeFrameChunks } from "#libs/storeapi/dedup.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";
import { type Damage, readWal } from "#libs/tsdb/wal/reader.ts";
import { RECORD, readSamples, readSeries } from "#libs/tsdb/wal/records.ts";
import { sampleText } from "#tools/block-dump.ts";
import { describeShared, GOLDEN } from "../support/shared.ts";

const WAL = join(GOLDEN, "wal");

interface GoldenRecord {
  type: number;
  series?: { ref: number; labels: Record<string, string> }[];
  samples?: [number, number, string, number][];
}

function goldenRecords(file: string): GoldenRecord[] {
  return gunzipSync(readFileSync(file))
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as GoldenRecord);
}

const normal = (text: string): string => (/^[-+]?\d/.test(text) ? String(Number(text)) : text);

/** A record as one string, so that lists of them compare quickly. */
function ours(bytes: Uint8Array): string {
  const type = bytes[0]!;
  if (type === RECORD.SERIES) {
    const series: [number, Labels][] = [];
    readSeries(bytes, "wal", (ref, labels) => series.push([ref, labels]));
    return JSON.stringify([type, series]);
  }
  if (type === RECORD.SAMPLES) {
    const samples: [number, number, string][] = [];
    const one = new SampleColumns();
    readSamples(bytes, "wal", (ref, time, low, high) => {
      one.words[0] = low;
      one.words[1] = high;
      samples.push([ref, time, normal(sampleText(one, 0))]);
    });
    return JSON.stringify([type, samples]);
  }
  return JSON.stringify([type]);
}

function theirs(record: GoldenRecord): string {
  if (record.type === RECORD.SERIES)
    return JSON.stringify([
      record.type,
      record.series!.map(({ ref, labels }) => [ref, labelsFrom(Object.entries(labels))]),
    ]);
  if (record.type === RECORD.SAMPLES)
    return JSON.stringify([record.type, record.samples!.map(([ref, time, value]) => [ref, time, normal(value)])]);
  return JSON.stringify([record.type]);
}

function readAll(folder: string): { records: string[]; damages: Damage[] } {
  const damages: Damage[] = [];
  const records: string[] = [];
  for (const { bytes } of readWal(folder, (damage) => damages.push(damage))) records.push(ours(bytes));
  return { records, damages };
}

describeShared("logs written by Prometheus", WAL, () => {
  for (const folder of ["uncompressed", "snappy", "zstd"]) {
    test(`${folder}: all records`, () => {
      const { records, damages } = readAll(join(WAL, folder, "data/wal"));
      expect(records).toEqual(goldenRecords(join(WAL, folder, "wal-records.ndjson.gz")).map(theirs));
      expect(damages.filter(({ torn }) => !torn)).toEqual([]);
    });
  }

  test("checkpoint and the segments after it", () => {
    const data = join(WAL, "checkpoint/data/wal");
    const checkpoint = readdirSync(data).find((name) => name.startsWith("checkpoint."))!;
    expect(readAll(join(data, checkpoint)).records).toEqual(
      goldenRecords(join(WAL, `checkpoint/${checkpoint}-records.ndjson.gz`)).map(theirs),
    );
    expect(readAll(data).records).toEqual(goldenRecords(join(WAL, "checkpoint/wal-records.ndjson.gz")).map(theirs));
  });

  for (const folder of ["uncompressed", "snappy", "zstd"]) {
    test(`${folder}: a head opened on Prometheus's folder holds every float sample that came in order`, async () => {
      const work = mkdtempSync(join(tmpdir(), "cairn-wal-"));
      try {
        cpSync(join(WAL, folder, "data"), work, { recursive: true });
        const head = Head.open(work, {
          rangeMs: 7_200_000,
          seriesMax: 1000,
          seed: 1,
          minValidTime: -Infinity,
          log: silentLog(),
        });
        const held = new Map<string, Map<number, string>>();
        const reader = new FrameReader();
        const query = {
          matchers: [createMatcher({ type: "=~", name: "__name__", value: ".+" })],
          mint: -Infinity,
          maxt: Infinity,
          skipChunks: false,
          limit: 0,
        };
        for await (const frame of head.frames(query, new AbortController().signal)) {
          reader.enter(frame);
          while (reader.next()) {
            const columns = new SampleColumns();
            decodeFrameChunks(frame, reader.chunkFrom, reader.chunkTo, columns, "head");
            held.set(
              formatLabels(reader.labels()),
              new Map(
                Array.from({ length: columns.length }, (_, i) => [columns.times[i]!, normal(sampleText(columns, i))]),
              ),
            );
          }
        }
        await head.close();
        // Late samples are in the other log; out-of-order support will bring them.
        const names = new Map<number, string>();
        for (const record of goldenRecords(join(WAL, folder, "wal-records.ndjson.gz"))) {
          for (const { ref, labels } of record.series ?? [])
            names.set(ref, formatLabels(labelsFrom(Object.entries(labels))));
        }
        const late = new Set<string>();
        for (const record of goldenRecords(join(WAL, folder, "wbl-records.ndjson.gz"))) {
          for (const [ref, time] of record.samples ?? []) late.add(`${names.get(ref)} ${time}`);
        }
        let checked = 0;
        const lines = gunzipSync(readFileSync(join(WAL, folder, "expected.ndjson.gz")))
          .toString()
          .trim()
          .split("\n");
        for (const line of lines) {
          const { labels, samples } = JSON.parse(line) as {
            labels?: Record<string, string>;
            samples?: [number, unknown][];
          };
          if (labels === undefined || samples === undefined) continue;
          const series = formatLabels(labelsFrom(Object.entries(labels)));
          for (const [time, value] of samples) {
            if (typeof value !== "string" || late.has(`${series} ${time}`)) continue;
            expect(held.get(series)?.get(time), `${series} at ${time}`).toBe(normal(value));
            checked++;
          }
        }
        expect(checked).toBeGreaterThan(3000);
      } finally {
        rmSync(work, { recursive: true });
      }
    });
  }

  const cases = readFileSync(join(WAL, "damaged/cases.ndjson"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { file?: string; truncateTo?: number; flipByte?: number; flipBit?: number });
  test(`${cases.length} damaged logs: the rest is kept, nothing is made up, the head opens`, () => {
    const whole = goldenRecords(join(WAL, "snappy/wal-records.ndjson.gz")).map(theirs);
    for (const damage of cases) {
      const folder = mkdtempSync(join(tmpdir(), "cairn-wal-"));
      try {
        cpSync(join(WAL, "snappy/data/wal"), join(folder, "wal"), { recursive: true });
        if (damage.file !== undefined) {
          const path = join(folder, "wal", damage.file);
          if (damage.truncateTo !== undefined) truncateSync(path, damage.truncateTo);
          else {
            const bytes = readFileSync(path);
            bytes[damage.flipByte!]! ^= 1 << (damage.flipBit ?? 0);
            writeFileSync(path, bytes);
          }
        }
        const { records, damages } = readAll(join(folder, "wal"));
        // In order, each one of the whole log's.
        let at = 0;
        for (const record of records) {
          while (at < whole.length && whole[at] !== record) at++;
          expect(at, `${JSON.stringify(damage)}: a record that was never written`).toBeLessThan(whole.length);
          at++;
        }
        if (records.length < whole.length && damage.truncateTo === undefined) expect(damages.length).toBeGreaterThan(0);
        const head = Head.open(folder, {
          rangeMs: 7_200_000,
          seriesMax: 1000,
          seed: 1,
          minValidTime: -Infinity,
          log: silentLog(),
        });
        expect(head.seriesCount).toBeGreaterThan(0);
        void head.close();
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
  });
});
