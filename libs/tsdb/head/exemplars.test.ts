import { expect, test } from "vitest";
import { createMatcher } from "#libs/model/matcher.ts";
import { append, headFolder, HOUR, openHead, T0 } from "../../../test/support/head.ts";
import { openBlockFolder } from "../block/bytes.ts";
import { readExemplars, readMetadata } from "../block/extras.ts";
import { EXEMPLAR_OUTCOME, Exemplars } from "./exemplars.ts";

const A = ["__name__", "a"];
const exemplar = (time: number, value: number, id = "x") => ({
  time,
  value: Float64Array.of(value),
  labels: ["trace_id", id],
});
const matchers = (name: string) => [[createMatcher({ type: "=~", name: "__name__", value: name })]];

test("what is taken: newer, or at the same time larger; the same again and older are not", () => {
  const ring = new Exemplars(10, 0);
  const check = (time: number, value: number, id: string, want: number): void =>
    expect(ring.add(A, exemplar(time, value, id)), `${time} ${value} ${id}`).toBe(want);
  check(10, 5, "b", EXEMPLAR_OUTCOME.STORED);
  check(10, 5, "b", EXEMPLAR_OUTCOME.DUPLICATE);
  check(10, 5, "a", EXEMPLAR_OUTCOME.OUT_OF_ORDER);
  check(10, 5, "c", EXEMPLAR_OUTCOME.STORED);
  check(10, 4, "d", EXEMPLAR_OUTCOME.OUT_OF_ORDER);
  check(9, 9, "e", EXEMPLAR_OUTCOME.OUT_OF_ORDER);
  check(11, 1, "x".repeat(120), EXEMPLAR_OUTCOME.STORED);
  check(12, 1, "x".repeat(121), EXEMPLAR_OUTCOME.INVALID);
  // 120 characters of two bytes each are 120.
  check(12, 1, "ä".repeat(120), EXEMPLAR_OUTCOME.STORED);
  expect(new Exemplars(0, 0).add(A, exemplar(1, 1))).toBe(EXEMPLAR_OUTCOME.DISABLED);
});

test("a full ring forgets the oldest that was added, and a series with it", () => {
  const ring = new Exemplars(3, 0);
  ring.add(A, exemplar(1, 1));
  for (const time of [2, 3, 4]) ring.add(["__name__", "b"], exemplar(time, 1));
  expect(
    ring
      .select(matchers(".*"), -Infinity, Infinity)
      .map(({ series, exemplars }) => [series[1], exemplars.map((e) => e.time)]),
  ).toEqual([["b", [2, 3, 4]]]);
  ring.add(["__name__", "b"], exemplar(5, 1));
  expect(Array.from(ring.all(), ({ exemplar: { time } }) => time)).toEqual([3, 4, 5]);
  expect(ring.select(matchers("b"), 4, 4)[0]!.exemplars.map(({ time }) => time)).toEqual([4]);
});

test("within the window a late one finds its place", () => {
  const ring = new Exemplars(10, 100);
  for (const time of [100, 300, 250, 250, 200]) ring.add(A, exemplar(time, 1, String(time)));
  expect(ring.select(matchers("a"), -Infinity, Infinity)[0]!.exemplars.map(({ time }) => time)).toEqual([
    100, 250, 300,
  ]);
});

test("exemplars and metadata survive reopening and truncation", async () => {
  const folder = headFolder();
  const head = openHead(folder, { exemplarsMax: 100 });
  const samples = (from: number) => Array.from({ length: 3 }, (_, i) => [from + i * HOUR, i] as const);
  append(head, ["__name__", "lat_bucket"], samples(T0));
  head.begin();
  const slot = head.getOrCreate(["__name__", "lat_bucket"]);
  head.appendExemplar(slot, exemplar(T0 + HOUR, 1, "old"));
  head.appendExemplar(slot, exemplar(T0 + 3 * HOUR, 2, "new"));
  head.setMetadata("lat", { type: "histogram", unit: "seconds", help: "how long" });
  head.setMetadata("none", { type: "gauge", unit: "", help: "no series has this name" });
  head.commit();
  await head.truncate(T0 + 2 * HOUR);
  await head.close();
  const again = openHead(folder, { exemplarsMax: 100, minValidTime: T0 + 2 * HOUR });
  expect(again.exemplars(matchers("lat.*"), -Infinity, Infinity)).toEqual([
    { series: ["__name__", "lat_bucket"], exemplars: [exemplar(T0 + 3 * HOUR, 2, "new")] },
  ]);
  expect([...again.metadata()]).toEqual([["lat", { type: "histogram", unit: "seconds", help: "how long" }]]);
  await again.close();
});

test("blocks keep exemplars of their time and the metadata of metrics that have series", async () => {
  const folder = headFolder();
  const head = openHead(folder, { exemplarsMax: 100, outOfOrderMs: 24 * HOUR });
  append(
    head,
    ["__name__", "lat_bucket"],
    [
      [T0, 1],
      [T0 + 4 * HOUR, 2],
    ],
  );
  append(head, ["__name__", "lat_bucket"], [[T0 + HOUR, 3]]);
  head.begin();
  const slot = head.getOrCreate(["__name__", "lat_bucket"]);
  for (const hours of [0, 1, 2, 4]) head.appendExemplar(slot, exemplar(T0 + hours * HOUR, hours));
  head.setMetadata("lat", { type: "histogram", unit: "seconds", help: "how long" });
  head.setMetadata("none", { type: "gauge", unit: "", help: "no series has this name" });
  head.commit();
  const late = await head.cutLate(folder, () => "01M85R047SWXF2X9AZAAAZRBHX");
  const inOrder = await head.cutBlock(folder, "01M85R047SWXF2X9AZAAAZRBHY");
  for (const { path } of [...late.blocks, inOrder!]) {
    const { extras, close } = openBlockFolder(path);
    expect([...(await readExemplars(extras!, path)).series]).toEqual([
      { series: ["__name__", "lat_bucket"], exemplars: [exemplar(T0, 0), exemplar(T0 + HOUR, 1)] },
    ]);
    expect(await readMetadata(extras!, path)).toEqual([
      ["lat", { type: "histogram", unit: "seconds", help: "how long" }],
    ]);
    close();
  }
  await head.close();
});
