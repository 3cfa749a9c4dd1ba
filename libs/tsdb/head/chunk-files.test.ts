import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { atOnce } from "#libs/kit/slices.ts";
import { HeadChunkFiles } from "./chunk-files.ts";
import { type FullChunk, FullChunks } from "./full-chunks.ts";

let folder: string;
let files: HeadChunkFiles;
let full: FullChunks;
/** By ref; the names of the three are 2, 0, 1, 2, 0, 1, … */
const lists = new Map<number, number>();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-chunk-files-"));
  files = new HeadChunkFiles(folder);
  full = new FullChunks();
  lists.clear();
});

afterEach(() => {
  files.close();
  rmSync(folder, { recursive: true });
});

function dataOf(ref: number, round: number): Uint8Array {
  return new Uint8Array(1 + (ref % 150)).fill(7 * ref + round);
}

function addRound(round: number): void {
  for (let ref = 1; ref <= 300; ref++) {
    const chunk = { mint: 1000 * round, maxt: 1000 * round + 999, encoding: 1, data: dataOf(ref, round) };
    lists.set(ref, files.addTo(full, lists.get(ref) ?? 0, ref, chunk, (ref + 1) % 3));
  }
}

function expectAllThere(rounds: number): void {
  for (const [ref, list] of lists) {
    const chunks = full.overlapping(list, -Infinity, Infinity);
    expect(chunks.map(({ mint }) => mint)).toEqual(Array.from({ length: rounds }, (_, round) => 1000 * round));
    for (const [round, { file, offset, length }] of chunks.entries()) {
      const data = new Uint8Array(length);
      files.read(file, offset, length, data, 0);
      expect(data, `chunk ${round} of series ${ref}`).toEqual(dataOf(ref, round));
    }
  }
}

/** The refs of a folder's chunks as they lie in its files, read by another. */
function stored(): number[] {
  const refs: number[] = [];
  const other = new HeadChunkFiles(folder);
  atOnce(
    other.loadSteps(
      (ref) => refs.push(ref),
      (what) => expect(what).toBe(""),
    ),
  );
  other.close();
  return refs;
}

test("chunks of a metric are written next to each other, those of a series in their order", () => {
  addRound(0);
  addRound(1);
  expectAllThere(2);
  files.flush();
  expectAllThere(2);
  const byName = [0, 1, 2].flatMap((name) =>
    [0, 1].flatMap(() => [...lists.keys()].filter((ref) => (ref + 1) % 3 === name)),
  );
  expect(stored()).toEqual(byName);
});

test("more chunks than one sort takes, between two writes", () => {
  const count = 2 ** 20 + 500;
  let list = 0;
  for (let i = 0; i < count; i++) {
    const chunk = { mint: i, maxt: i, encoding: 1, data: Uint8Array.of(i >> 16, i >> 8, i) };
    list = files.addTo(full, list, 1, chunk, i % 3);
  }
  files.flush();
  const data = new Uint8Array(3);
  // What the two sorts moved, on both sides of where they meet.
  for (const i of [0, 1, 2, 3, 2 ** 19, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, count - 2, count - 1]) {
    const [{ file, offset, length }] = full.overlapping(list, i, i) as [FullChunk];
    files.read(file, offset, length, data, 0);
    expect([...data], `chunk ${i}`).toEqual([(i >> 16) & 255, (i >> 8) & 255, i & 255]);
  }
});

test("what is being read is not moved", () => {
  addRound(0);
  files.hold();
  const before = [...lists.values()].map((list) => full.offset(list - 1));
  files.flush();
  expect([...lists.values()].map((list) => full.offset(list - 1))).toEqual(before);
  files.letGo();
  expect(stored()).toEqual([...lists.keys()]);
  expectAllThere(1);
});

test("a chunk whose place is named elsewhere stays there, and what is added behind it is sorted", () => {
  addRound(0);
  const late = files.add(999, { mint: 5, maxt: 6, encoding: 1, data: Uint8Array.of(1, 2, 3) }, true);
  addRound(1);
  files.flush();
  const data = new Uint8Array(3);
  files.read(late.file, late.offset, 3, data, 0);
  expect(data).toEqual(Uint8Array.of(1, 2, 3));
  expectAllThere(2);
  const refs = stored();
  expect(refs.indexOf(999)).toBe(300);
  expect(refs.slice(0, 2)).toEqual([2, 5]);
  expect(refs.slice(301, 303)).toEqual([2, 5]);
});

test("places are final for who copies them: another state's chunks are not moved after it has begun", () => {
  addRound(0);
  files.settle();
  const before = [...lists.values()].map((list) => full.offset(list - 1));
  const other = new FullChunks();
  files.addTo(other, 0, 1, { mint: 9000, maxt: 9001, encoding: 1, data: Uint8Array.of(1) }, 0);
  files.flush();
  expect([...lists.values()].map((list) => full.offset(list - 1))).toEqual(before);
  expectAllThere(1);
});
