import { expect, test } from "vitest";
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
  T0,
} from "../../../test/support/head.ts";
import { openBlockFolder } from "../block/bytes.ts";
import { openBlock } from "../block/reader.ts";
import { seen } from "../../../test/support/head.ts";
import { OUTCOME } from "./head.ts";

const byName = (value: string) => [createMatcher({ type: "=", name: "__name__", value })];

test("deleted samples are gone for readers, also after a reopening; later ones are not meant", async () => {
  const folder = headFolder();
  const head = openHead(folder);
  const samples = Array.from({ length: 300 }, (_, i) => [T0 + i * 10_000, i] as const);
  append(head, ["__name__", "a"], samples);
  append(
    head,
    ["__name__", "h"],
    [
      [T0, intHistogram([[0, 1]], [1])],
      [T0 + MINUTE, intHistogram([[0, 1]], [2])],
    ],
  );
  expect(await head.deleteSeries(byName("a"), T0 + 100_000, T0 + 1_990_000)).toBe(1);
  expect(await head.deleteSeries(byName("h"), -Infinity, T0)).toBe(1);
  expect(await head.deleteSeries(byName("none"), -Infinity, Infinity)).toBe(0);
  expect(await head.deleteSeries(byName("a"), T0 + HOUR, Infinity)).toBe(0);
  append(head, ["__name__", "a"], [[T0 + HOUR, 1]]);
  const want = [
    ["__name__,a", [...samples.slice(0, 10), ...samples.slice(200), [T0 + HOUR, 1]]],
    ["__name__,h", [[T0 + MINUTE, [2]]]],
  ];
  const all = async (from: typeof head) => (await read(from)).map(({ labels, samples: values }) => [labels, values]);
  expect(await all(head)).toEqual(want);
  await head.close();
  const again = openHead(folder);
  expect(await all(again)).toEqual(want);
  await again.close();
});

test("a cut leaves deleted samples out, a truncation forgets the deletion and keeps later ones in the log", async () => {
  const folder = headFolder();
  const head = openHead(folder);
  const samples = Array.from({ length: 240 }, (_, i) => [T0 + i * MINUTE, i] as const);
  append(head, ["__name__", "a"], samples);
  append(head, ["__name__", "gone"], samples.slice(0, 60));
  await head.deleteSeries(byName("gone"), -Infinity, Infinity);
  await head.deleteSeries(byName("a"), T0 + 90 * MINUTE, T0 + 149 * MINUTE);
  const block = await head.cutBlock(folder, "01M85R047SWXF2X9AZAAAZRBHY");
  const reader = await openBlock(block!.meta, openBlockFolder(block!.path));
  const everything = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
  const inBlock = await seen(reader.frames(everything, new AbortController().signal));
  reader.close();
  expect(inBlock).toMatchObject([{ labels: "__name__,a", samples: samples.slice(0, 90) }]);
  await head.truncate(T0 + 2 * HOUR);
  expect(await readOne(head)).toEqual(samples.slice(150));
  await head.close();
  const again = openHead(folder, { minValidTime: T0 + 2 * HOUR });
  expect(await readOne(again)).toEqual(samples.slice(150));
  await again.close();
});

test("late samples are deleted, too", async () => {
  const head = openHead(headFolder(), { outOfOrderMs: HOUR });
  append(head, ["__name__", "a"], [[T0 + HOUR, 1]]);
  append(head, ["__name__", "a"], [[T0 + 10 * MINUTE, 2]]);
  append(head, ["__name__", "a"], [[T0 + 20 * MINUTE, 3]]);
  await head.deleteSeries(byName("a"), -Infinity, T0 + 15 * MINUTE);
  const left = [
    [T0 + 20 * MINUTE, 3],
    [T0 + HOUR, 1],
  ];
  expect(await readOne(head)).toEqual(left);
  // What comes for that time later is refused: once taken it could not be told from what was deleted.
  expect(append(head, ["__name__", "a"], [[T0 + 12 * MINUTE, 4]])).toEqual([OUTCOME.DELETED]);
  expect(await readOne(head)).toEqual(left);
  expect(append(head, ["__name__", "a"], [[T0 + 16 * MINUTE, 5]])).toEqual([OUTCOME.STORED]);
  expect(await readOne(head)).toEqual([[T0 + 16 * MINUTE, 5], ...left]);
  void head.close();
});
