/** Start timestamps of samples, through everything that keeps a sample. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Histogram } from "#libs/model/histogram.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import {
  append,
  headFolder,
  HOUR,
  intHistogram,
  MINUTE,
  openHead,
  read,
  readOne,
  STALE,
  T0,
  seen,
  type SeenSample,
  type TestSample,
} from "../../../test/support/head.ts";
import { openBlockFolder } from "../block/bytes.ts";
import { openBlock } from "../block/reader.ts";
import type { WrittenBlock } from "../block/writer.ts";
import { ENCODING_NAMES } from "../chunk/encoding.ts";
import { FrameReader } from "../series/frame.ts";
import { readWal } from "../wal/reader.ts";
import { type Head, OUTCOME } from "./head.ts";

const FLOAT = ["__name__", "float"];
const INT = ["__name__", "int"];
const FLOAT_HISTOGRAM = ["__name__", "real"];
const PLAIN = ["__name__", "plain"];
const START = T0 - HOUR;

const int = (i: number): Histogram => intHistogram([[0, 2]], [i, 2 * i]);

function real(i: number): Histogram {
  const { count: _count, zeroCount: _zeroCount, ...shape } = int(i) as Histogram & { isFloat: false };
  return {
    ...shape,
    isFloat: true,
    totals: Float64Array.of(3 * i, 0),
    positive: Float64Array.of(i, 2 * i),
    negative: new Float64Array(0),
  };
}

/** Two hours at 15 s a sample; the counter restarts after 200 samples, its first sample after that has no start. */
const TIMES = Array.from({ length: 480 }, (_, i) => T0 + i * 15_000);
const startAt = (i: number): number => (i < 200 ? START : i === 200 ? 0 : TIMES[200]! - 1000);

const SERIES: readonly (readonly [readonly string[], readonly TestSample[]])[] = [
  [FLOAT, TIMES.map((time, i) => [time, i / 3, startAt(i)])],
  [INT, TIMES.map((time, i) => [time, int(i), startAt(i)])],
  [PLAIN, TIMES.map((time, i) => [time, i])],
  [FLOAT_HISTOGRAM, TIMES.map((time, i) => [time, real(i), startAt(i)])],
];

const shown = ([time, value, start]: TestSample): SeenSample => {
  const text = typeof value === "number" ? value : value === STALE ? "stale" : Array.from(value.positive, Number);
  return start === undefined || start === 0 ? [time, text] : [time, text, start];
};
const WANT = Object.fromEntries(SERIES.map(([labels, samples]) => [labels.join(), samples.map(shown)]));

async function readAll(head: Head): Promise<Record<string, readonly SeenSample[]>> {
  return Object.fromEntries((await read(head)).map(({ labels, samples }) => [labels, samples]));
}

/** Names and sample counts of the encodings of a series' chunks, in order. */
async function encodings(head: Head, name: string): Promise<string[]> {
  const matchers = [createMatcher({ type: "=", name: "__name__", value: name })];
  const query = { matchers, mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
  const found: string[] = [];
  const reader = new FrameReader();
  for await (const frame of head.frames(query, new AbortController().signal)) {
    reader.enter(frame);
    while (reader.next())
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++) found.push(ENCODING_NAMES[reader.chunk(i).encoding]!);
  }
  return found;
}

/** The types of the records in a log. */
function recordTypes(folder: string): number[] {
  const types = new Set<number>();
  for (const { bytes } of readWal(folder, () => undefined)) types.add(bytes[0]!);
  return [...types].sort((a, b) => a - b);
}

async function readBlock({ meta, path }: WrittenBlock): Promise<[labels: string, samples: readonly SeenSample[]][]> {
  const reader = await openBlock(meta, openBlockFolder(path));
  const everything = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
  const series = await seen(reader.frames(everything, new AbortController().signal));
  reader.close();
  return series.map(({ labels, samples }) => [labels, samples]);
}

/** In requests of half an hour: the head takes nothing that is an hour old. */
function fill(head: Head): void {
  for (let from = 0; from < TIMES.length; from += 120)
    for (const [labels, samples] of SERIES) append(head, labels, samples.slice(from, from + 120));
}

test("queries have what was appended; chunks and records are those that Prometheus has for it", async () => {
  const folder = headFolder();
  const head = openHead(folder);
  fill(head);
  expect(await readAll(head)).toEqual(WANT);
  expect(new Set(await encodings(head, "float"))).toEqual(new Set(["XOR2"]));
  expect(new Set(await encodings(head, "int"))).toEqual(new Set(["histogramST"]));
  expect(new Set(await encodings(head, "real"))).toEqual(new Set(["floathistogramST"]));
  expect(await encodings(head, "plain")).toEqual(["XOR", "XOR", "XOR", "XOR"]);
  expect(await encodings(head, "float"), "120 samples a chunk, as others").toHaveLength(4);
  expect(recordTypes(join(folder, "wal")), "of the plain series too").toEqual([1, 2, 11, 12, 13]);
  await head.close();
});

test("a log and its checkpoint have all of it", async () => {
  const folder = headFolder();
  let head = openHead(folder);
  fill(head);
  await head.truncate(T0 - HOUR);
  expect(recordTypes(join(folder, "wal", "checkpoint.00000000"))).toEqual([1, 2, 11, 12, 13]);
  append(head, FLOAT, [[T0 + 2 * HOUR, 7, START]]);
  await head.close();
  rmSync(join(folder, "chunks_head"), { recursive: true });
  head = openHead(folder);
  expect(await readAll(head)).toEqual({ ...WANT, [FLOAT.join()]: [...WANT[FLOAT.join()]!, [T0 + 2 * HOUR, 7, START]] });
  await head.close();
});

for (const snapshot of [false, true]) {
  test(`a start ${snapshot ? "from a snapshot" : "without one"}, a block, a start again`, async () => {
    const folder = headFolder();
    let head = openHead(folder);
    fill(head);
    await head.close(snapshot);
    expect(readdirSync(folder).some((name) => name.startsWith("chunk_snapshot"))).toBe(snapshot);
    head = openHead(folder);
    expect(await readAll(head)).toEqual(WANT);
    expect(await encodings(head, "float")).toEqual(["XOR2", "XOR2", "XOR2", "XOR2"]);
    const later = T0 + 3 * HOUR;
    for (const [labels, samples] of SERIES) append(head, labels, [[later, samples[1]![1], samples[1]![2] ?? 0]]);

    const block = await head.cutBlock(folder, "01M85R047SWXF2X9AZAAAZRBHY");
    expect(Object.fromEntries(await readBlock(block!))).toEqual(WANT);

    await head.truncate(T0 + 2 * HOUR);
    const left = {
      "__name__,float": [[later, 1 / 3, START]],
      "__name__,int": [[later, [1, 2], START]],
      "__name__,plain": [[later, 1]],
      "__name__,real": [[later, [1, 2], START]],
    };
    expect(await readAll(head)).toEqual(left);
    await head.close(snapshot);
    head = openHead(folder, { minValidTime: T0 + 2 * HOUR });
    expect(await readAll(head)).toEqual(left);
    await head.close();
  });
}

test("late samples keep theirs, in memory, in chunks, over starts and in blocks", async () => {
  const folder = headFolder();
  const options = { outOfOrderMs: 2 * HOUR };
  let head = openHead(folder, options);
  const late = Array.from({ length: 40 }, (_, i) => T0 + i * MINUTE);
  const floats: TestSample[] = late.map((time, i) => [time, i, START + i]);
  const histograms: TestSample[] = late.map((time, i) => [time, int(i), START + i]);
  const plain: TestSample[] = late.map((time, i) => [time, i]);
  const newest = T0 + HOUR;
  for (const [labels, samples] of [
    [FLOAT, floats],
    [INT, histograms],
    [PLAIN, plain],
  ] as const) {
    append(head, labels, [[newest, samples[0]![1]]]);
    for (const sample of samples.toReversed()) append(head, labels, [sample]);
  }
  const want = (newestOf: SeenSample["1"], samples: readonly TestSample[]): SeenSample[] => [
    ...samples.map(shown),
    [newest, newestOf],
  ];
  const all = {
    [FLOAT.join()]: want(0, floats),
    [INT.join()]: want([0, 0], histograms),
    [PLAIN.join()]: want(0, plain),
  };
  expect(await readAll(head)).toEqual(all);
  expect(recordTypes(join(folder, "wbl")), "32 samples of each series are in chunks").toEqual([2, 5, 11, 12]);
  await head.close();
  head = openHead(folder, options);
  expect(await readAll(head)).toEqual(all);
  let ulid = 0;
  const cut = await head.cutLate(folder, () => `01M85R047SWXF2X9AZAAAZRBH${ulid++}`);
  expect(Object.fromEntries((await Promise.all(cut.blocks.map(readBlock))).flat())).toEqual({
    [FLOAT.join()]: floats.map(shown),
    [INT.join()]: histograms.map(shown),
    [PLAIN.join()]: plain.map(shown),
  });
  await head.close();
});

test("a chunk ends where start timestamps begin, and goes on where they end", async () => {
  const head = openHead(headFolder());
  const at = (i: number): number => T0 + i * MINUTE;
  const samples: TestSample[] = [
    [at(0), 1],
    [at(1), 2, START],
    [at(2), 3],
    [at(3), STALE],
    [at(4), 4, at(3)],
  ];
  append(head, FLOAT, samples);
  expect(await readOne(head)).toEqual(samples.map(shown));
  expect(await encodings(head, "float")).toEqual(["XOR", "XOR2"]);
  const histograms: TestSample[] = [
    [at(0), int(0)],
    [at(1), int(1), START],
    [at(2), int(2)],
  ];
  append(head, INT, histograms);
  expect((await readAll(head))[INT.join()]).toEqual(histograms.map(shown));
  expect(await encodings(head, "int")).toEqual(["histogram", "histogramST"]);
  await head.close();
});

test("a sample again is the same whatever its start timestamp", async () => {
  const head = openHead(headFolder());
  append(head, FLOAT, [[T0, 1, START]]);
  append(head, INT, [[T0, int(1), START]]);
  expect(
    append(head, FLOAT, [
      [T0, 1, START + 1],
      [T0, 1],
      [T0, 2, START],
    ]),
  ).toEqual([OUTCOME.SAME, OUTCOME.SAME, OUTCOME.DUPLICATE]);
  expect(
    append(head, INT, [
      [T0, int(1)],
      [T0, int(2), START],
    ]),
  ).toEqual([OUTCOME.SAME, OUTCOME.DUPLICATE]);
  expect(await readAll(head)).toEqual({ [FLOAT.join()]: [[T0, 1, START]], [INT.join()]: [[T0, [1, 2], START]] });
  await head.close();
});
