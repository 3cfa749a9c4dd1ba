import { expect, test } from "vitest";
import { RESET_HINT } from "#libs/model/histogram.ts";
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
} from "../../../test/support/head.ts";
import { openBlockFolder } from "../block/bytes.ts";
import { openBlock } from "../block/reader.ts";
import { OUTCOME } from "./head.ts";
import { seen } from "../../../test/support/head.ts";

const SERIES = ["__name__", "h"];
const h = (a: number, b: number, hint = RESET_HINT.UNKNOWN as number) => intHistogram([[0, 2]], [a, b], hint as 0);

test("outcomes: stored, the same again, another at that time, a float at that time, late", () => {
  const head = openHead(headFolder());
  expect(
    append(head, SERIES, [
      [T0, h(1, 2)],
      [T0, h(1, 2)],
      [T0, h(1, 3)],
      [T0, 7],
      [T0 - 1, h(1, 2)],
      [T0 + 1, 7],
      [T0 + 1, h(1, 2)],
    ]),
  ).toEqual([
    OUTCOME.STORED,
    OUTCOME.SAME,
    OUTCOME.DUPLICATE,
    OUTCOME.DUPLICATE,
    OUTCOME.OUT_OF_ORDER,
    OUTCOME.STORED,
    OUTCOME.DUPLICATE,
  ]);
  void head.close();
});

test("kinds change within a request and a series; order and kinds survive a reopening", async () => {
  const folder = headFolder();
  const head = openHead(folder);
  append(head, SERIES, [
    [T0, 1],
    [T0 + 1, h(1, 2)],
    [T0 + 2, 2],
    [T0 + 3, h(2, 3)],
    [T0 + 4, STALE],
    [T0 + 5, 3],
    [T0 + 6, STALE],
    [T0 + 7, h(5, 5, RESET_HINT.GAUGE)],
  ]);
  const want = [
    [T0, 1],
    [T0 + 1, [1, 2]],
    [T0 + 2, 2],
    [T0 + 3, [2, 3]],
    [T0 + 4, "stale histogram"],
    [T0 + 5, 3],
    [T0 + 6, "stale"],
    [T0 + 7, [5, 5]],
  ];
  expect(await readOne(head)).toEqual(want);
  await head.close();
  const again = openHead(folder);
  expect(await readOne(again)).toEqual(want);
  expect(append(again, SERIES, [[T0 + 8, STALE]])).toEqual([OUTCOME.STORED]);
  expect((await readOne(again)).at(-1)).toEqual([T0 + 8, "stale histogram"]);
  await again.close();
});

test("a reset, fewer counts, starts a chunk; more buckets widen it", async () => {
  const head = openHead(headFolder());
  append(head, SERIES, [
    [T0, h(1, 2)],
    [T0 + 1, intHistogram([[0, 3]], [1, 2, 1])],
    [T0 + 2, h(2, 3)],
    [T0 + 3, h(1, 0)],
  ]);
  const [series] = await read(head);
  expect(series).toMatchObject({
    chunks: 3,
    samples: [
      [T0, [1, 2, 0]],
      [T0 + 1, [1, 2, 1]],
      [T0 + 2, [2, 3]],
      [T0 + 3, [1, 0]],
    ],
  });
  void head.close();
});

test("many histograms through full chunks, log, block and truncation", async () => {
  const folder = headFolder();
  const head = openHead(folder);
  append(head, ["__name__", "f"], [[T0 + 30 * MINUTE, 1]]);
  const samples = Array.from({ length: 240 }, (_, i) => [T0 + i * MINUTE, h(i, 2 * i)] as const);
  append(head, SERIES, samples);
  const want = samples.map(([time], i) => [time, [i, 2 * i]]);
  expect((await read(head))[1]!.samples).toEqual(want);
  const block = await head.cutBlock(folder, "01M85R047SWXF2X9AZAAAZRBHY");
  expect(block?.meta.stats).toEqual({
    numSamples: 121,
    numFloatSamples: 1,
    numHistogramSamples: 120,
    numSeries: 2,
    numChunks: expect.any(Number) as number,
  });
  const reader = await openBlock(block!.meta, openBlockFolder(block!.path));
  const everything = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
  const inBlock = await seen(reader.frames(everything, new AbortController().signal));
  reader.close();
  expect(inBlock.find(({ labels }) => labels === "__name__,h")!.samples).toEqual(want.slice(0, 120));
  await head.truncate(T0 + 2 * HOUR);
  expect(await readOne(head)).toEqual(want.slice(120));
  await head.close();
  const again = openHead(folder, { minValidTime: T0 + 2 * HOUR });
  expect(await readOne(again)).toEqual(want.slice(120));
  await again.close();
});
