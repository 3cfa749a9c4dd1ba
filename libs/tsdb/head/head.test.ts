import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { LimitError } from "#libs/kit/errors.ts";
import { silentLog } from "#libs/kit/log.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { labelValue } from "#libs/model/labels.ts";
import { createMatcher, type MatcherSpec } from "#libs/model/matcher.ts";
import { decodeChunk } from "../chunk/decode.ts";
import { FrameReader } from "../series/frame.ts";
import { rangeEnd } from "./chunk-end.ts";
import { Head, OUTCOME } from "./head.ts";

const folders: string[] = [];
const T0 = 1_699_999_200_000;
const HOUR = 3_600_000;

function open(folder?: string, minValidTime = -Infinity, seriesMax = 1000): { head: Head; folder: string } {
  const path = folder ?? mkdtempSync(join(tmpdir(), "cairn-head-"));
  if (folder === undefined) folders.push(path);
  return {
    head: Head.open(path, { rangeMs: 2 * HOUR, seriesMax, seed: 1, minValidTime, log: silentLog() }),
    folder: path,
  };
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const words = (value: number): [number, number] => {
  const view = new Int32Array(Float64Array.of(value).buffer);
  return [view[0]!, view[1]!];
};

function append(head: Head, labels: readonly string[], samples: readonly (readonly [number, number])[]): number[] {
  head.begin();
  const slot = head.getOrCreate(labels);
  const outcomes = samples.map(([time, value]) => head.append(slot, time, ...words(value)));
  head.commit();
  return outcomes;
}

async function read(
  head: Head,
  matchers: readonly MatcherSpec[] = [{ type: "=~", name: "__name__", value: ".+" }],
): Promise<[string, number[]][]> {
  const out: [string, number[]][] = [];
  const reader = new FrameReader();
  const query = { matchers: matchers.map(createMatcher), mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
  for await (const frame of head.frames(query, new AbortController().signal)) {
    reader.enter(frame);
    while (reader.next()) {
      const columns = new SampleColumns();
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++) {
        const { encoding, data } = reader.chunk(i);
        decodeChunk(encoding, data, 0, data.length, columns, "head");
      }
      out.push([reader.labels().join(","), Array.from(columns.values.subarray(0, columns.length))]);
    }
  }
  return out;
}

describe("append", () => {
  test("outcomes: stored, the same again, another value, late, too old", () => {
    const { head } = open();
    const labels = ["__name__", "a"];
    expect(
      append(head, labels, [
        [T0, 1],
        [T0, 1],
        [T0, 2],
        [T0 - 1, 1],
        [T0 + 1, 3],
      ]),
    ).toEqual([OUTCOME.STORED, OUTCOME.SAME, OUTCOME.DUPLICATE, OUTCOME.OUT_OF_ORDER, OUTCOME.STORED]);
    append(head, ["__name__", "b"], [[T0 + 3 * HOUR, 1]]);
    expect(append(head, labels, [[T0 + HOUR, 1]])).toEqual([OUTCOME.OUT_OF_BOUNDS]);
    void head.close();
  });

  test("a series above the limit is refused, known ones go on", () => {
    const { head } = open(undefined, -Infinity, 1);
    append(head, ["__name__", "a"], [[T0, 1]]);
    expect(() => append(head, ["__name__", "b"], [[T0, 1]])).toThrow(LimitError);
    expect(append(head, ["__name__", "a"], [[T0 + 1, 1]])).toEqual([OUTCOME.STORED]);
    void head.close();
  });

  test("lookup finds a series by the bytes a sender writes, predicted or not", () => {
    const { head } = open();
    append(head, ["__name__", "a", "x", "1"], [[T0, 1]]);
    append(head, ["__name__", "a", "x", "2"], [[T0, 1]]);
    const key = (value: string): Buffer =>
      Buffer.from(`\x0a\x0d\x0a\x08__name__\x12\x01a\x0a\x06\x0a\x01x\x12\x01${value}`, "latin1");
    for (let round = 0; round < 2; round++) {
      let previous = -1;
      for (const [value, want] of [
        ["1", 0],
        ["2", 1],
        ["3", -1],
      ] as const) {
        const bytes = key(value);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        const slot = head.lookup(view, 0, bytes.length, previous);
        expect(slot, value).toBe(want);
        previous = slot;
      }
    }
    void head.close();
  });
});

test("series come in UTF-8 order of their labels", async () => {
  const { head } = open();
  for (const value of ["\u{1F600}", "\uFFFD", "b", "a"]) append(head, ["__name__", "m", "v", value], [[T0, 1]]);
  expect((await read(head)).map(([labels]) => labels.split(",").at(-1))).toEqual(["a", "b", "\uFFFD", "\u{1F600}"]);
  void head.close();
});

test("matchers select as Prometheus does, absent labels among them", async () => {
  const { head } = open();
  append(head, ["__name__", "m", "a", "1"], [[T0, 1]]);
  append(head, ["__name__", "m", "a", "2"], [[T0, 2]]);
  append(head, ["__name__", "m"], [[T0, 3]]);
  const name: MatcherSpec = { type: "=", name: "__name__", value: "m" };
  const check = async (type: MatcherSpec["type"], value: string, want: number[]): Promise<void> =>
    expect(
      (await read(head, [name, { type, name: "a", value }])).map(([, values]) => values[0]),
      `${type}${value}`,
    ).toEqual(want);
  await check("=", "1", [1]);
  await check("=", "", [3]);
  await check("!=", "1", [3, 2]);
  await check("!=", "", [1, 2]);
  await check("=~", "1|2", [1, 2]);
  await check("=~", "1|", [3, 1]);
  await check("=~", ".*", [3, 1, 2]);
  await check("=~", ".+", [1, 2]);
  await check("!~", "1.*", [3, 2]);
  await check("!~", ".+", [3]);
  await check("!~", ".*", []);
  void head.close();
});

test("values of a label are those of the series that matchers select", async () => {
  const { head } = open();
  append(head, ["__name__", "up", "job", "a", "pod", "1"], [[T0, 1]]);
  append(head, ["__name__", "up", "job", "a", "pod", "2"], [[T0, 1]]);
  append(head, ["__name__", "up", "job", "b", "pod", "2"], [[T0, 1]]);
  append(head, ["__name__", "up", "job", "c"], [[T0, 1]]);
  const values = async (name: string, job: string): Promise<string[]> =>
    (await head.valuesOf(name, [createMatcher({ type: "=~", name: "job", value: job })])).sort();
  expect(await values("pod", "a|b")).toEqual(["1", "2"]);
  expect(await values("pod", "b|c")).toEqual(["2"]);
  expect(await values("pod", "c")).toEqual([]);
  expect(await values("job", ".+")).toEqual(["a", "b", "c"]);
  expect(await values("zone", ".+")).toEqual([]);
  await head.close();
});

test("a reopened head has what was committed, through full chunks and log", async () => {
  const { head, folder } = open();
  const samples = Array.from({ length: 500 }, (_, i) => [T0 + i * 10_000, i % 7] as const);
  append(head, ["__name__", "a"], samples);
  append(head, ["__name__", "b"], [[T0 + 4_990_000, 0.5]]);
  const before = await read(head);
  expect(before.map(([, values]) => values.length)).toEqual([500, 1]);
  await head.close();
  const { head: again } = open(folder);
  expect(await read(again)).toEqual(before);
  expect(
    append(
      again,
      ["__name__", "a"],
      [
        [T0 + 499 * 10_000, 499 % 7],
        [T0 + 5_000_000, 1],
      ],
    ),
  ).toEqual([OUTCOME.SAME, OUTCOME.STORED]);
  await again.close();
});

test("cut and truncate: the block has the oldest range, the head the rest, also after a reopening", async () => {
  const { head, folder } = open();
  const samples = Array.from({ length: 4 * 60 }, (_, i) => [T0 + i * 60_000, i] as const);
  append(head, ["__name__", "long"], samples);
  append(head, ["__name__", "later"], [[T0 + 3.9 * HOUR, 7]]);
  expect(head.isCuttable).toBe(true);
  const end = head.cutEnd;
  expect(end).toBe(T0 + 2 * HOUR);
  const block = await head.cutBlock(folder, "01M85R047SWXF2X9AZAAAZRBHY");
  expect(block?.meta).toMatchObject({ minTime: T0, maxTime: end, stats: { numSamples: 120, numSeries: 1 } });
  await head.truncate(end);
  expect(head.isCuttable).toBe(false);
  const rest = await read(head);
  expect(rest.map(([labels, values]) => [labels, values.length])).toEqual([
    ["__name__,later", 1],
    ["__name__,long", 120],
  ]);
  await head.close();
  const { head: again } = open(folder, end);
  expect(await read(again)).toEqual(rest);
  expect(append(again, ["__name__", "long"], [[T0 + HOUR, 1]])).toEqual([OUTCOME.OUT_OF_BOUNDS]);
  await again.close();
});

test("a reader that began before a truncation finishes on what it saw", async () => {
  const { head } = open();
  for (let s = 0; s < 50; s++)
    append(
      head,
      ["__name__", "m", "s", String(s)],
      Array.from({ length: 200 }, (_, i) => [T0 + i * 60_000, i] as const),
    );
  const query = {
    matchers: [createMatcher({ type: "=", name: "__name__", value: "m" })],
    mint: -Infinity,
    maxt: Infinity,
    skipChunks: false,
    limit: 0,
  };
  const frames = head.frames(query, new AbortController().signal);
  const first = frames.next();
  await head.truncate(head.cutEnd);
  const reader = new FrameReader();
  let series = 0;
  for (let next = await first; next.done !== true; next = await frames.next()) {
    reader.enter(next.value);
    while (reader.next()) {
      series++;
      expect(labelValue(reader.labels(), "__name__")).toBe("m");
    }
  }
  expect(series).toBe(50);
  await head.close();
});

test("a reader sees one moment: of requests that come while it reads it sees nothing", async () => {
  const { head } = open(undefined, -Infinity, 5000);
  const names = Array.from({ length: 3000 }, (_, i) => ["__name__", "m", "i", String(i)]);
  for (const labels of names) append(head, labels, [[T0, 1]]);
  const query = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
  const frames = head.frames(query, new AbortController().signal);
  const reader = new FrameReader();
  let series = 0;
  for (let next = await frames.next(), round = 1; next.done !== true; next = await frames.next(), round++) {
    // More than a chunk, so that blocks of the arena are given back and out again.
    for (const labels of names)
      append(
        head,
        labels,
        Array.from({ length: 150 }, (_, i) => [T0 + round * 1_500_000 + i * 10_000, Math.random()] as const),
      );
    reader.enter(next.value);
    while (reader.next()) {
      series++;
      const columns = new SampleColumns();
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++) {
        const { encoding, data } = reader.chunk(i);
        decodeChunk(encoding, data, 0, data.length, columns, "head");
      }
      expect(Array.from(columns.values.subarray(0, columns.length))).toEqual([1]);
    }
  }
  expect(series).toBe(3000);
  await head.close();
});

test("ranges are aligned towards zero as Go divides", () => {
  expect([0, 1, 7_199_999, 7_200_000, -1].map((t) => rangeEnd(t, 7_200_000))).toEqual([
    7_200_000, 7_200_000, 7_200_000, 14_400_000, 7_200_000,
  ]);
});
