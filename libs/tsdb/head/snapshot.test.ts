import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import {
  append,
  headFolder,
  HOUR,
  intHistogram,
  MINUTE,
  openHead,
  read,
  STALE,
  T0,
} from "../../../test/support/head.ts";
import { ENCODING } from "../chunk/encoding.ts";
import type { Head } from "./head.ts";
import { HeadState } from "./state.ts";

const A = ["__name__", "a"];
const OPTIONS = { outOfOrderMs: HOUR, exemplarsMax: 10 };

/** Floats, histograms, late samples, a deletion, an exemplar, metadata; 300 samples in full and open chunks. */
function fill(head: Head): void {
  append(
    head,
    A,
    Array.from({ length: 300 }, (_, i) => [T0 + i * 15_000, i / 7] as const),
  );
  append(
    head,
    ["__name__", "h"],
    Array.from({ length: 300 }, (_, i) => [T0 + i * 15_000, intHistogram([[0, 2]], [i, i * i])] as const),
  );
  append(
    head,
    ["__name__", "stale"],
    [
      [T0 + HOUR, 1],
      [T0 + HOUR + 1, STALE],
    ],
  );
  append(head, A, [[T0 + 30 * MINUTE + 1, 77]]);
  head.begin();
  const slot = head.getOrCreate(A);
  head.appendExemplar(slot, { time: T0, value: Float64Array.of(3), labels: ["trace_id", "x"] });
  head.setMetadata("a", { type: "gauge", unit: "bytes", help: "text" });
  head.commit();
}

async function everything(head: Head): Promise<unknown> {
  return [
    await read(head),
    head.exemplars([[createMatcher({ type: "=~", name: "__name__", value: ".*" })]], -Infinity, Infinity),
    [...head.metadata()],
  ];
}

const snapshotsIn = (folder: string): string[] =>
  readdirSync(folder).filter((name) => name.startsWith("chunk_snapshot"));

const [records, image] = ["00000000", "cairn-image"];
for (const [what, other] of [
  ["image", records],
  ["snapshot's records", image],
] as const) {
  test(`a head opened from its ${what} has all it had, and appends to the same chunks as one that was never closed`, async () => {
    const folder = headFolder();
    const head = openHead(folder, OPTIONS);
    fill(head);
    await head.deleteSeries([createMatcher({ type: "=", name: "__name__", value: "a" })], T0 + MINUTE, T0 + 2 * MINUTE);
    const before = await everything(head);
    await head.close(true);
    expect(snapshotsIn(folder)).toHaveLength(1);
    rmSync(join(folder, snapshotsIn(folder)[0]!, other));
    const again = openHead(folder, OPTIONS);
    expect(await everything(again)).toEqual(before);
    const unbroken = openHead(headFolder(), OPTIONS);
    fill(unbroken);
    await unbroken.deleteSeries(
      [createMatcher({ type: "=", name: "__name__", value: "a" })],
      T0 + MINUTE,
      T0 + 2 * MINUTE,
    );
    for (const one of [again, unbroken]) {
      append(
        one,
        A,
        Array.from({ length: 100 }, (_, i) => [T0 + (301 + i) * 15_000, i] as const),
      );
      append(one, ["__name__", "h"], [[T0 + 301 * 15_000, intHistogram([[0, 2]], [400, 100_000])]]);
    }
    expect(await everything(again)).toEqual(await everything(unbroken));
    await again.close();
    await unbroken.close();
  });
}

test("what was appended after the snapshot comes from the log; refs are not given out twice", async () => {
  const folder = headFolder();
  const head = openHead(folder, OPTIONS);
  fill(head);
  append(head, ["__name__", "short-lived"], [[T0 + HOUR, 1]]);
  await head.close(true);
  const again = openHead(folder, OPTIONS);
  append(again, ["__name__", "new"], [[T0 + 2 * HOUR, 1]]);
  append(again, A, [[T0 + 2 * HOUR, 5]]);
  const before = await everything(again);
  await again.close(); // as a kill would leave it: the old snapshot is still the newest
  const third = openHead(folder, OPTIONS);
  expect(await everything(third)).toEqual(before);
  await third.close();
});

for (const [what, damage] of [
  ["cut short", (path: string) => truncateSync(path, 1000)],
  [
    "with a flipped bit",
    (path: string) => {
      const bytes = readFileSync(path);
      bytes[500]! ^= 4;
      writeFileSync(path, bytes);
    },
  ],
] as const) {
  test(`a snapshot ${what} is not used: the log is replayed`, async () => {
    const folder = headFolder();
    const head = openHead(folder, OPTIONS);
    fill(head);
    const before = await everything(head);
    await head.close(true);
    damage(join(folder, snapshotsIn(folder)[0]!, records));
    rmSync(join(folder, snapshotsIn(folder)[0]!, image));
    const again = openHead(folder, OPTIONS);
    expect(await everything(again)).toEqual(before);
    await again.close();
  });
}

test("a snapshot that the log does not reach is not used", async () => {
  const folder = headFolder();
  const head = openHead(folder, OPTIONS);
  fill(head);
  await head.close(true);
  const copy = headFolder();
  cpSync(folder, copy, { recursive: true });
  rmSync(join(copy, "wal"), { recursive: true });
  const again = openHead(copy, OPTIONS);
  expect(again.seriesCount).toBe(0);
  await again.close();
});

test("a truncation deletes snapshots", async () => {
  const folder = headFolder();
  const head = openHead(folder, OPTIONS);
  fill(head);
  await head.close(true);
  const again = openHead(folder, OPTIONS);
  await again.truncate(T0 + MINUTE);
  expect(snapshotsIn(folder)).toEqual([]);
  await again.close();
});

test("an open chunk that cannot be written on is closed as it is", () => {
  const errors: string[] = [];
  const log = silentLog();
  log.error = ((_fields: object, text: string) => void errors.push(text)) as typeof log.error;
  const state = new HeadState(headFolder(), {
    rangeMs: 2 * HOUR,
    seriesMax: 10,
    seed: 1,
    minValidTime: -Infinity,
    log,
  });
  expect(state.find(A)).toBe(-1);
  const slot = state.add(1, A);
  const data = Uint8Array.of(0, 2, 0xff, 0xff, 0xff);
  const chunk = { mint: T0, maxt: T0 + MINUTE, encoding: ENCODING.XOR, data };
  expect(state.takeStored(slot, chunk, 0, 0)).toBe(true);
  state.appendFloat(slot, T0 + 2 * MINUTE, 0, 0, 0);
  expect(errors).toEqual(["open chunk of the head's snapshot cannot be written on; it is kept as it is"]);
  expect(state.series.fullChunks(slot, T0, Infinity)).toMatchObject([{ mint: T0, maxt: T0 + MINUTE, length: 5 }]);
  expect(state.series.openMint(slot)).toBe(T0 + 2 * MINUTE);
  state.files.close();
});

test("a snapshot is not used when head chunks are damaged: the log that it spares has their samples", async () => {
  const folder = headFolder();
  const head = openHead(folder, OPTIONS);
  fill(head);
  const before = await everything(head);
  await head.close(true);
  const chunks = join(folder, "chunks_head/000001");
  const bytes = readFileSync(chunks);
  bytes[100]! ^= 4;
  writeFileSync(chunks, bytes);
  const again = openHead(folder, OPTIONS);
  expect(await everything(again)).toEqual(before);
  await again.close();
});
