import { readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  append,
  headFolder,
  HOUR,
  intHistogram,
  MINUTE,
  openHead,
  read,
  readOne,
  T0,
} from "../../../test/support/head.ts";
import { openBlockFolder } from "../block/bytes.ts";
import { openBlock } from "../block/reader.ts";
import { createUlid } from "../block/ulid.ts";
import { RECORD } from "../wal/records.ts";
import { readWal } from "../wal/reader.ts";
import { type Head, OUTCOME } from "./head.ts";
import { seen } from "../../../test/support/head.ts";

const SERIES = ["__name__", "m"];
const WINDOW = { outOfOrderMs: 3 * HOUR };
const EVERYTHING = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };

/** Every second minute in order, then the minutes between, backwards. */
function fill(head: Head, minutes: number): void {
  const all = Array.from({ length: minutes }, (_, i) => [T0 + i * MINUTE, i] as const);
  append(
    head,
    SERIES,
    all.filter((_, i) => i % 2 === 0),
  );
  for (const sample of all.filter((_, i) => i % 2 === 1).reverse()) append(head, SERIES, [sample]);
}

const minutes = (count: number): [number, number][] => Array.from({ length: count }, (_, i) => [T0 + i * MINUTE, i]);

test("outcomes: within the window stored, the same time again dropped, older refused as too old", () => {
  const head = openHead(headFolder(), WINDOW);
  append(head, SERIES, [[T0 + 4 * HOUR, 1]]);
  expect(
    append(head, SERIES, [
      [T0 + 4 * HOUR, 1],
      [T0 + 4 * HOUR, 2],
      [T0 + 2 * HOUR, 5],
      [T0 + 2 * HOUR, 6],
      [T0 + HOUR - 1, 7],
    ]),
  ).toEqual([OUTCOME.SAME, OUTCOME.DUPLICATE, OUTCOME.STORED, OUTCOME.SAME, OUTCOME.TOO_OLD]);
  void head.close();
});

test("what came late is read in its place, floats and histograms, and after a reopening", async () => {
  const folder = headFolder();
  const head = openHead(folder, WINDOW);
  fill(head, 101);
  append(head, SERIES, [[T0 + 30_000, intHistogram([[0, 2]], [3, 4])]]);
  const want = [...minutes(101), [T0 + 30_000, [3, 4]] as const].sort((a, b) => a[0] - b[0]);
  expect(await readOne(head)).toEqual(want);
  await head.close();
  const again = openHead(folder, WINDOW);
  expect(await readOne(again)).toEqual(want);
  // What is held is known: the same again changes nothing.
  append(again, SERIES, [[T0 + MINUTE, 1]]);
  expect(await readOne(again)).toEqual(want);
  await again.close();
});

test("full chunks are marked in their log as Prometheus marks them; without the chunks the log has the samples", async () => {
  const folder = headFolder();
  const head = openHead(folder, WINDOW);
  fill(head, 101);
  await head.close();
  const types: number[] = [];
  for (const { bytes } of readWal(join(folder, "wbl"), () => undefined)) types.push(bytes[0]!);
  expect(types.filter((type) => type === RECORD.MMAP_MARKERS)).toHaveLength(1);
  expect(types.indexOf(RECORD.MMAP_MARKERS)).toBe(32);
  for (const name of readdirSync(join(folder, "chunks_head"))) truncateSync(join(folder, "chunks_head", name), 8);
  const again = openHead(folder, WINDOW);
  expect(await readOne(again)).toEqual(minutes(101));
  await again.close();
});

describe("cut", () => {
  const readBlock = async (path: string, meta: Parameters<typeof openBlock>[0]) => {
    const block = await openBlock(meta, openBlockFolder(path));
    const series = await seen(block.frames(EVERYTHING, new AbortController().signal));
    block.close();
    return series.flatMap(({ samples }) => samples);
  };

  test("late samples become blocks of aligned ranges with a hint, the head forgets them", async () => {
    const folder = headFolder();
    const head = openHead(folder, WINDOW);
    append(head, SERIES, [[T0 + 3 * HOUR, 1]]);
    append(head, ["__name__", "other"], [[T0 + 3 * HOUR, 9]]);
    const late = Array.from({ length: 70 }, (_, i) => [T0 + HOUR + i * MINUTE, i] as const);
    for (const sample of late.toReversed()) append(head, SERIES, [sample]);
    let now = 1;
    const cut = await head.cutLate(folder, () => createUlid(now++));
    expect(cut.blocks.map(({ meta }) => [meta.minTime, meta.maxTime, meta.stats, meta.compaction.hints])).toEqual([
      [T0, T0 + 2 * HOUR, expect.objectContaining({ numSamples: 60, numSeries: 1 }), ["from-out-of-order"]],
      [T0 + 2 * HOUR, T0 + 4 * HOUR, expect.objectContaining({ numSamples: 10, numSeries: 1 }), ["from-out-of-order"]],
    ]);
    expect(await readBlock(cut.blocks[0]!.path, cut.blocks[0]!.meta)).toEqual(late.slice(0, 60));
    // Until they are dropped, the head has them too.
    expect((await read(head)).map(({ samples }) => samples.length)).toEqual([71, 1]);
    append(head, SERIES, [[T0 + 2.5 * HOUR, 77]]);
    await head.dropLate(cut);
    const rest = [
      [T0 + 2.5 * HOUR, 77],
      [T0 + 3 * HOUR, 1],
    ];
    expect((await read(head))[0]!.samples).toEqual(rest);
    await head.close();
    const again = openHead(folder, WINDOW);
    expect((await read(again))[0]!.samples).toEqual(rest);
    await again.close();
  });

  test("a series that only late samples keep survives a truncation", async () => {
    const head = openHead(headFolder(), { outOfOrderMs: 10 * HOUR });
    append(head, SERIES, [[T0 + HOUR, 1]]);
    append(head, SERIES, [[T0, 0]]);
    append(head, ["__name__", "other"], [[T0 + 4 * HOUR, 9]]);
    await head.truncate(T0 + 2 * HOUR);
    expect((await read(head)).map(({ labels, samples }) => [labels, samples])).toEqual([
      ["__name__,m", [[T0, 0]]],
      ["__name__,other", [[T0 + 4 * HOUR, 9]]],
    ]);
    await head.close();
  });
});
