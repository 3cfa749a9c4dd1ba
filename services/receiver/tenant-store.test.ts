import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { framesOf } from "#libs/storeapi/frames.ts";
import type { SeriesRequest } from "#libs/storeapi/store.ts";
import { append, headFolder, HOUR, intHistogram, MINUTE, type SeenSample, seen, T0 } from "../../test/support/head.ts";
import { EVERYTHING } from "../../test/support/tenants.ts";
import { TenantStore } from "./tenant-store.ts";

let now = T0;
const { env } = createEnv(silentLog(), () => now++, new AbortController().signal);

function open(folder: string, exemplarsMax = 0): Promise<TenantStore> {
  const options = {
    rangeMs: 2 * HOUR,
    seriesMax: 1000,
    seed: 1,
    outOfOrderMs: 24 * HOUR,
    exemplarsMax,
    log: silentLog(),
  };
  return TenantStore.open("t", folder, ["tenant_id", "t"], options, env);
}

/** A copy of a tenant's folder, as a kill leaves it. */
function killed(folder: string): string {
  const copy = headFolder();
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith("/lock") });
  return copy;
}

async function samplesOf(
  store: TenantStore,
  request: SeriesRequest = EVERYTHING,
): Promise<Record<string, readonly SeenSample[]>> {
  const series = await seen(framesOf(store.series(request, new AbortController().signal), () => undefined));
  return Object.fromEntries(series.map(({ pairs, samples }) => [pairs[1], samples]));
}

test("late samples before, across and after a cut are read in their places, from head and blocks, also after a restart", async () => {
  const folder = headFolder();
  const store = await open(folder);
  const minutes = Array.from({ length: 4 * 60 }, (_, i) => [T0 + i * MINUTE, i] as const);
  const h = (i: number) => intHistogram([[0, 2]], [i, i]);
  const inOrder = minutes.filter(([, i]) => i % 3 !== 1);
  const late = minutes.filter(([, i]) => i % 3 === 1);
  append(store.head, ["__name__", "f"], inOrder);
  append(
    store.head,
    ["__name__", "h"],
    inOrder.map(([time, i]) => [time, h(i)] as const),
  );
  for (const [time, i] of late.slice(0, 60)) {
    append(store.head, ["__name__", "f"], [[time, i]]);
    append(store.head, ["__name__", "h"], [[time, h(i)]]);
  }
  const check = async (from: TenantStore, what: string): Promise<void> => {
    const { f, h: histograms } = await samplesOf(from);
    expect(f, what).toEqual(minutes);
    expect(histograms, what).toEqual(minutes.map(([time, i]) => [time, [i, i]]));
  };
  await store.cut(async () => undefined);
  // Of a time that blocks have already.
  for (const [time, i] of late.slice(60).reverse()) {
    append(store.head, ["__name__", "f"], [[time, i]]);
    append(store.head, ["__name__", "h"], [[time, h(i)]]);
  }
  append(store.head, ["__name__", "f"], [[T0 + MINUTE, 1]]);
  expect(store.blocks.map(({ meta }) => [meta.minTime - T0, meta.compaction.hints])).toEqual([
    [0, ["from-out-of-order"]],
    [0, undefined],
    [2 * HOUR, ["from-out-of-order"]],
  ]);
  await check(store, "after the cut");
  await store.close();
  const again = await open(folder);
  await check(again, "after a restart");
  // Late samples of a time that blocks have: a replay must not bring them back.
  const selectors = [[{ type: "=" as const, name: "__name__", value: "f" }]];
  const { seriesInHead, blocks } = await again.deleteSeries(selectors, 0, T0 + 30 * MINUTE);
  expect([seriesInHead, blocks.length]).toEqual([0, 3]);
  const copy = killed(folder);
  await again.close();
  for (const at of [folder, copy]) {
    const last = await open(at);
    expect((await samplesOf(last))["f"]).toEqual(minutes.filter(([time]) => time > T0 + 30 * MINUTE));
    await last.close();
  }
});

test("late samples from ahead of the cut are merged when it has come there: until then a restart has the head's, too", async () => {
  const folder = headFolder();
  const store = await open(folder);
  const minutes = Array.from({ length: 500 }, (_, i) => [T0 + i * MINUTE, i] as const);
  const late = [10, 370, 490];
  append(
    store.head,
    ["__name__", "m"],
    minutes.filter(([, i]) => !late.includes(i)),
  );
  for (const i of late) append(store.head, ["__name__", "m"], [minutes[i]!]);
  await store.cut(async () => undefined);
  const ranges = [2 * HOUR, 6 * HOUR];
  while (await store.compact(ranges, undefined, () => undefined)) continue;
  const shown = (): unknown[] =>
    store.blocks.map(({ meta }) => [(meta.minTime - T0) / HOUR, (meta.maxTime - T0) / HOUR, meta.compaction.hints]);
  const lateHint = ["from-out-of-order"];
  expect(shown()).toEqual([
    [0, 2, undefined],
    [2, 4, undefined],
    [4, 6, undefined],
    [6, 8, lateHint],
    [8, 10, lateHint],
  ]);
  const again = await open(killed(folder));
  expect(await samplesOf(again)).toEqual({ m: minutes });
  await again.close();
  append(store.head, ["__name__", "m"], [[T0 + 600 * MINUTE, 600]]);
  await store.cut(async () => undefined);
  while (await store.compact(ranges, undefined, () => undefined)) continue;
  expect(shown()).toEqual([
    [0, 2, undefined],
    [2, 4, undefined],
    [4, 6, undefined],
    [6, 8, undefined],
    [8, 10, lateHint],
  ]);
  await store.close();
});

test("what was deleted stays so where a cut found nothing else: no block tells the next start how far it came", async () => {
  const folder = headFolder();
  const store = await open(folder);
  const samples = Array.from({ length: 5 * 60 }, (_, i) => [T0 + i * MINUTE, i] as const);
  append(store.head, ["__name__", "m"], samples);
  await store.deleteSeries([[{ type: "=", name: "__name__", value: "m" }]], 0, T0 + 2 * HOUR - 1);
  await store.cut(async () => undefined);
  expect(store.blocks).toEqual([]);
  const left = { m: samples.slice(120) };
  expect(await samplesOf(store)).toEqual(left);
  const copy = killed(folder);
  await store.close();
  for (const at of [copy, folder]) {
    const again = await open(at);
    expect(await samplesOf(again)).toEqual(left);
    await again.close();
  }
});

test("a reader that began before a cut has everything, whichever side it came from", async () => {
  const store = await open(headFolder());
  const samples = Array.from({ length: 4 * 60 }, (_, i) => [T0 + i * MINUTE, i] as const);
  for (let s = 0; s < 30; s++) append(store.head, ["__name__", `m${s}`], samples);
  const reads = Array.from({ length: 20 }, async (_, i) => {
    for (let turn = 0; turn < i; turn++) await new Promise((resolve) => setImmediate(resolve));
    return samplesOf(store);
  });
  const cut = store.cut(async () => undefined);
  for (const read of await Promise.all(reads)) {
    expect(Object.keys(read)).toHaveLength(30);
    for (const values of Object.values(read)) expect(values).toEqual(samples);
  }
  await cut;
  expect(store.blocks.length).toBeGreaterThan(0);
  await store.close();
});

test("exemplars and metadata outlive the head: those that the ring has forgotten come from blocks, each once", async () => {
  const folder = headFolder();
  let store = await open(folder, 4);
  const add = (hour: number, trace: string): void => {
    const time = T0 + hour * HOUR;
    append(store.head, ["__name__", "m"], [[time, hour]]);
    store.head.begin();
    const value = Float64Array.of(hour);
    store.head.appendExemplar(store.head.getOrCreate(["__name__", "m"]), { time, value, labels: ["trace", trace] });
    store.head.setMetadata("m", { type: "gauge", unit: "", help: `as of hour ${hour}` });
    store.head.commit();
  };
  const seenExemplars = async (mint = 0, maxt = 9, name = "m", countMax = 10): Promise<unknown> => {
    const range = { mint: T0 + mint * HOUR, maxt: T0 + maxt * HOUR, countMax };
    const selectors = [[{ type: "=" as const, name: "__name__", value: name }]];
    const { values, warnings } = await store.exemplars(selectors, range, new AbortController().signal);
    return { traces: values.map(({ series, exemplars }) => [...series, exemplars.map((e) => e.labels[1])]), warnings };
  };
  const labels = ["__name__", "m", "tenant_id", "t"];
  const about = (traces: string[], warnings: string[] = []) => ({ traces: [[...labels, traces]], warnings });
  for (let hour = 0; hour < 8; hour++) {
    add(hour, `t${hour}`);
    await store.cut(async () => undefined);
  }
  const all = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"];
  expect(await seenExemplars()).toEqual(about(all));
  expect(await seenExemplars(1, 3)).toEqual(about(["t1", "t2", "t3"]));
  expect(await seenExemplars(0, 9, "n")).toEqual({ traces: [], warnings: [] });
  await expect(seenExemplars(0, 9, "m", 2)).rejects.toThrow("more than 2 exemplars are selected");
  await store.close();
  store = await open(folder, 4);
  expect(await seenExemplars()).toEqual(about(all));

  // Without the head's log; the newest block says what the metric was.
  append(store.head, ["__name__", "other"], [[T0 + 30 * HOUR, 1]]);
  await store.cut(async () => undefined);
  await store.close();
  const bare = headFolder();
  for (const { meta, path } of store.blocks) cpSync(path, join(bare, meta.ulid), { recursive: true });
  store = await open(bare, 4);
  const { values } = await store.metadata();
  expect([...values]).toEqual([["m", { type: "gauge", unit: "", help: "as of hour 7" }]]);
  expect(await seenExemplars()).toEqual(about(all));

  // What cannot be read is told, and the rest is there.
  const damaged = join(store.blocks.find(({ meta }) => meta.minTime === T0 + 2 * HOUR)!.path, "cairn-extras");
  await store.close();
  writeFileSync(damaged, "not so");
  store = await open(bare, 4);
  const answer = (await seenExemplars()) as { traces: string[][]; warnings: string[] };
  expect([answer.traces[0]!.at(-1), answer.warnings]).toEqual([
    ["t0", "t1", "t4", "t5", "t6", "t7"],
    [expect.stringContaining(`${damaged}: corrupt at byte`)],
  ]);
  expect((await store.metadata()).warnings).toHaveLength(1);
  await store.close();
});

test("a block that a reader relies on can be read for a while after it was dropped; then it is missed aloud", async () => {
  const store = await open(headFolder());
  const samples = Array.from({ length: 4 * 60 }, (_, i) => [T0 + i * MINUTE, i] as const);
  append(store.head, ["__name__", "m"], samples);
  await store.cut(async () => undefined);
  const { blocks } = await store.info();
  expect(blocks).toHaveLength(1);
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  try {
    await store.drop(store.blocks[0]!);
    expect((await store.info()).blocks).toEqual([]);
    const relying = { ...EVERYTHING, heldBlocks: ["another tenant's", ...blocks!] };
    expect(await samplesOf(store)).toEqual({ m: samples.slice(120) });
    expect(await samplesOf(store, relying)).toEqual({ m: samples });
    vi.advanceTimersByTime(10 * MINUTE);
    await expect(samplesOf(store, relying)).rejects.toThrow(`block ${blocks![0]} was deleted before it was read`);
    expect(await samplesOf(store)).toEqual({ m: samples.slice(120) });
  } finally {
    vi.useRealTimers();
    await store.close();
  }
});
