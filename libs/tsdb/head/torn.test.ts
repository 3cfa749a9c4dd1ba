/**
 * The last write torn at every byte, and single bits of it flipped, for each kind of record and file of a head: what was
 * there before is there, nothing else is, and what is damaged is named by file and byte. CRASH_BITS=8 flips every bit.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import {
  append,
  headFolder,
  HOUR,
  intHistogram,
  openHead,
  read,
  T0,
  wordsOfFloat,
} from "../../../test/support/head.ts";
import { MEMORY_FOLDER } from "../../../test/support/process.ts";
import { CorruptionError } from "#libs/kit/errors.ts";
import { parseTombstones, writeTombstones } from "../block/tombstones.ts";
import { readWal } from "../wal/reader.ts";
import type { Head } from "./head.ts";

const A = ["__name__", "a"];
const OPTIONS = { outOfOrderMs: 2 * HOUR, exemplarsMax: 10 };
const byName = (value: string) => createMatcher({ type: "=", name: "__name__", value });

/** All that readers can ask a head. */
async function everything(head: Head): Promise<string> {
  const all = [createMatcher({ type: "=~", name: "__name__", value: ".*" })];
  const exemplars = head.exemplars([all], -Infinity, Infinity);
  return JSON.stringify([await read(head), exemplars, [...head.metadata()]]);
}

/** A folder that a process left, to be restored again and again. */
class Left {
  readonly folder = headFolder(MEMORY_FOLDER);
  readonly files = new Map<string, Buffer>();

  keep(): void {
    for (const name of readdirSync(this.folder, { recursive: true, encoding: "utf8" }))
      if (!statSync(join(this.folder, name)).isDirectory()) this.files.set(name, readFileSync(join(this.folder, name)));
  }

  /** Opens a head on the folder with `file` changed. @returns what it has, and what was logged at which byte of the file. */
  async open(file: string, bytes: Uint8Array): Promise<{ content: string; named: number[] }> {
    rmSync(this.folder, { recursive: true });
    for (const [name, kept] of this.files) {
      mkdirSync(dirname(join(this.folder, name)), { recursive: true });
      writeFileSync(join(this.folder, name), name === file ? bytes : kept);
    }
    const named: number[] = [];
    const log = silentLog();
    const path = join(this.folder, file);
    const say = (fields: { file?: string; offset?: number; what?: string; err?: unknown }): void => {
      if (fields.file === path) named.push(fields.offset!);
      if (fields.err instanceof CorruptionError && fields.err.file === path) named.push(fields.err.offset);
      // Of chunk files and snapshots the text names both.
      const offset = /byte (\d+)/.exec(fields.what ?? "")?.[1];
      if (fields.what?.includes(path) === true && offset !== undefined) named.push(Number(offset));
    };
    log.info = log.warn = log.error = say as typeof log.error;
    const head = openHead(this.folder, { ...OPTIONS, log });
    try {
      return { content: await everything(head), named };
    } finally {
      await head.close();
    }
  }
}

/** Of each byte; 8 are all. */
const BITS = Number(process.env["CRASH_BITS"] ?? 1);

/** Bits of the bytes [from, to) to flip, as many of each. */
function* bitsOf(from: number, to: number): Generator<number> {
  for (let byte = from; byte < to; byte++) for (let k = 0; k < BITS; k++) yield 8 * byte + ((3 * byte + k) % 8);
}

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

/** What every log begins with here. */
function begin(head: Head): void {
  append(
    head,
    A,
    Array.from({ length: 4 }, (_, i) => [T0 + HOUR + i * 1000, i] as const),
  );
  append(head, ["__name__", "h"], [[T0 + HOUR, intHistogram([[0, 2]], [1, 2])]]);
  append(head, A, [[T0 + HOUR - 1, -1]]);
}

const late = (head: Head, from: number, to: number): void => {
  for (let i = from; i < to; i++) append(head, A, [[T0 + HOUR - 1 - i, i]]);
};

/** The last commit of a log, by the kind of record that it ends with. */
const RECORDS: Record<string, { log: "wal" | "wbl"; before?: (head: Head) => void; last: (head: Head) => unknown }> = {
  float: { log: "wal", last: (head) => append(head, A, [[T0 + 2 * HOUR, 7]]) },
  histogram: {
    log: "wal",
    last: (head) => append(head, ["__name__", "h"], [[T0 + 2 * HOUR, intHistogram([[0, 2]], [3, 4])]]),
  },
  "series and float": { log: "wal", last: (head) => append(head, ["__name__", "new"], [[T0 + 2 * HOUR, 7]]) },
  tombstones: { log: "wal", last: async (head) => head.deleteSeries([byName("a")], T0 + HOUR, T0 + HOUR + 1000) },
  exemplar: {
    log: "wal",
    last: (head) => {
      head.begin();
      const exemplar = { time: T0 + HOUR, value: Float64Array.of(1), labels: ["trace_id", "x"] };
      head.appendExemplar(head.getOrCreate(A), exemplar);
      head.commit();
    },
  },
  metadata: {
    log: "wal",
    last: (head) => {
      head.begin();
      head.setMetadata("a", { type: "gauge", unit: "s", help: "text" });
      head.commit();
    },
  },
  "late float": { log: "wbl", last: (head) => late(head, 1, 2) },
  "late histogram": {
    log: "wbl",
    last: (head) => append(head, ["__name__", "h"], [[T0 + HOUR - 1, intHistogram([[0, 2]], [3, 4])]]),
  },
  "marker and late float": { log: "wbl", before: (head) => late(head, 1, 32), last: (head) => late(head, 32, 33) },
};

describe("the last record of a log", () => {
  for (const [kind, { log, before, last }] of Object.entries(RECORDS)) {
    test(kind, async () => {
      const left = new Left();
      const head = openHead(left.folder, OPTIONS);
      begin(head);
      before?.(head);
      const file = `${log}/00000000`;
      const from = statSync(join(left.folder, file)).size;
      const without = await everything(head);
      await last(head);
      const full = await everything(head);
      left.keep();
      await head.close();
      const bytes = left.files.get(file)!;
      expect(bytes.length).toBeGreaterThan(from);
      const ends = [...readWal(join(left.folder, log), () => undefined)].map(({ end }) => end);
      expect(await left.open(file, bytes)).toEqual({ content: full, named: [] });
      for (let to = from; to < bytes.length; to++) {
        // Of a commit of several records those that are whole stay; none of them shows without the last.
        const torn = Math.max(...ends.filter((end) => end <= to));
        const named = to === torn ? [] : [torn];
        expect(await left.open(file, bytes.subarray(0, to)), `torn at ${to}`).toEqual({ content: without, named });
      }
      for (const bit of bitsOf(from, bytes.length)) {
        const { content, named } = await left.open(file, flipped(bytes, bit));
        // Of the type's bits three are not read; two say that the record is packed, and some can be unpacked, to nothing.
        const isSpare = content === full && named.length === 0;
        if (isSpare) expect(bit % 8, `bit ${bit}`).toBeGreaterThan(2);
        else if (content !== full) {
          expect(named, `bit ${bit}`).toHaveLength(1);
          expect(ends, `bit ${bit}`).toContain(named[0]);
          expect(content, `bit ${bit}`).toBe(without);
        }
      }
    });
  }
});

test("a record of three pages, torn around every border and every 500 bytes", async () => {
  const left = new Left();
  const head = openHead(left.folder, OPTIONS);
  begin(head);
  const file = "wal/00000000";
  const from = statSync(join(left.folder, file)).size;
  const without = await everything(head);
  head.begin();
  for (let i = 0; i < 80; i++)
    head.append(head.getOrCreate(["__name__", "a", "x", `${i}${"x".repeat(1000)}`]), T0 + HOUR, ...wordsOfFloat(i));
  head.commit();
  left.keep();
  await head.close();
  const bytes = left.files.get(file)!;
  const ends = [...readWal(join(left.folder, "wal"), () => undefined)].map(({ end }) => end);
  const cuts = new Set<number>();
  for (let to = from; to < bytes.length; to += 500) cuts.add(to);
  for (let page = 32_768; page < bytes.length; page += 32_768) for (let i = -9; i < 9; i++) cuts.add(page + i);
  for (const to of cuts) {
    const torn = Math.max(...ends.filter((end) => end <= to));
    const { content, named } = await left.open(file, bytes.subarray(0, to));
    expect(content === without, `torn at ${to}`).toBe(true);
    expect(named.length, `torn at ${to}`).toBe(to === torn ? 0 : 1);
  }
});

test("chunks_head: whatever happens to a chunk's entry, the log has its samples", async () => {
  const left = new Left();
  const head = openHead(left.folder, OPTIONS);
  // A chunk ends with a block's range.
  for (const name of ["a", "b"])
    append(
      head,
      ["__name__", name],
      [-2, -1, 0].map((i) => [T0 + 2 * HOUR + i, i] as const),
    );
  const full = await everything(head);
  await head.close();
  left.keep();
  const file = "chunks_head/000001";
  const bytes = left.files.get(file)!;
  const entryBytes = (bytes.length - 8) / 2;
  expect(Number.isInteger(entryBytes)).toBe(true);
  for (let to = 0; to < bytes.length; to++) {
    const begun = to < 8 ? 0 : to < 8 + entryBytes ? 8 : 8 + entryBytes;
    // Zeros are what a file that was made larger first ends in.
    const named = bytes.subarray(begun, to).every((byte) => byte === 0) ? [] : [begun];
    expect(await left.open(file, bytes.subarray(0, to)), `torn at ${to}`).toEqual({ content: full, named });
  }
  for (const bit of bitsOf(0, bytes.length)) {
    if (bit >= 8 * 5 && bit < 8 * 8) continue; // of the header nobody reads them
    const { content, named } = await left.open(file, flipped(bytes, bit));
    expect(content === full, `bit ${bit}`).toBe(true);
    const begun = bit < 64 ? 0 : bit < 8 * (8 + entryBytes) ? 8 : 8 + entryBytes;
    expect(named[0], `bit ${bit}`).toBe(begun);
  }
});

test("snapshot: cut or with a flipped bit it is not used", async () => {
  const left = new Left();
  const head = openHead(left.folder, OPTIONS);
  begin(head);
  await head.deleteSeries([byName("h")], T0, T0 + HOUR);
  const full = await everything(head);
  await head.close(true);
  left.keep();
  const file = [...left.files.keys()].find((name) => /^chunk_snapshot.*\/0+$/.test(name))!;
  left.files.delete(join(dirname(file), "cairn-image"));
  const bytes = left.files.get(file)!;
  const end = [...readWal(dirname(join(left.folder, file)), () => undefined)].at(-1)!.end;
  expect(bytes.length).toBe(32_768);
  for (let to = 0; to <= end; to++) {
    const { content, named } = await left.open(file, bytes.subarray(0, to));
    expect(content, `torn at ${to}`).toBe(full);
    if (to > 0) expect(named, `torn at ${to}`).toHaveLength(1);
  }
  const first = [...readWal(dirname(join(left.folder, file)), () => undefined)][0]!.end;
  for (const bit of bitsOf(0, first)) {
    const { content, named } = await left.open(file, flipped(bytes, bit));
    expect(content, `bit ${bit}`).toBe(full);
    if (named.length === 0) expect(bit, "a bit of the type").toBeLessThan(8);
  }
});

test("image: cut or with a flipped bit it is not used, and the snapshot is", async () => {
  const left = new Left();
  const head = openHead(left.folder, OPTIONS);
  append(head, A, [[T0, 1]]);
  const full = await everything(head);
  await head.close(true);
  left.keep();
  const file = [...left.files.keys()].find((name) => name.endsWith("/cairn-image"))!;
  const bytes = left.files.get(file)!;
  expect(await left.open(file, bytes)).toEqual({ content: full, named: [] });
  // Its arrays are mostly zeros.
  const places = Array.from(bytes, (_, at) => at).filter((at) => at < 12 || at % (at < 3000 ? 50 : 9973) === 0);
  for (const at of places) {
    for (const other of [bytes.subarray(0, at), flipped(bytes, 8 * at)]) {
      const { content, named } = await left.open(file, other);
      expect(content, `byte ${at}`).toBe(full);
      expect(named, `byte ${at}`).toHaveLength(1);
    }
  }
});

test("checkpoint: cut or with a flipped bit it loses what is damaged, and says so", async () => {
  const left = new Left();
  const head = openHead(left.folder, OPTIONS);
  begin(head);
  head.setMetadata("a", { type: "gauge", unit: "s", help: "text" });
  head.commit();
  await head.truncate(T0 - 1);
  const full = await everything(head);
  await head.close();
  left.keep();
  const file = [...left.files.keys()].find((name) => name.includes("checkpoint"))!;
  const bytes = left.files.get(file)!;
  const ends = [...readWal(dirname(join(left.folder, file)), () => undefined)].map(({ end }) => end);
  const end = ends.at(-1)!;
  expect(bytes.length).toBe(32_768);
  expect(await left.open(file, bytes)).toEqual({ content: full, named: [] });
  /** What is there with the first records of it. */
  const contents = [(await left.open(file, bytes.subarray(0, 0))).content];
  for (const to of ends) contents.push((await left.open(file, bytes.subarray(0, to))).content);
  expect(new Set(contents).size).toBeGreaterThan(3);
  for (let to = 1; to <= end; to++) {
    const whole = ends.filter((recordEnd) => recordEnd <= to).length;
    const { content, named } = await left.open(file, bytes.subarray(0, to));
    expect(content, `torn at ${to}`).toBe(contents[whole]);
    expect(named, `torn at ${to}`).toEqual([to === ends[whole - 1] ? to : (ends[whole - 1] ?? 0)]);
  }
  for (const bit of bitsOf(ends.at(-2)!, end)) {
    const { content, named } = await left.open(file, flipped(bytes, bit));
    if (named.length > 0 || content !== full)
      expect({ content, named }).toEqual({ content: contents.at(-2), named: [ends.at(-2)!] });
  }
});

test("tombstones of a block: torn or with a flipped bit they are refused by name", () => {
  const path = join(headFolder(), "tombstones");
  writeTombstones(path, new Map([[16, [{ ref: 16, mint: T0, maxt: T0 + HOUR }]]]));
  const bytes = readFileSync(path);
  expect(parseTombstones(bytes, path).size).toBe(1);
  for (let to = 0; to < bytes.length; to++) expect(() => parseTombstones(bytes.subarray(0, to), path)).toThrow(path);
  for (let bit = 0; bit < 8 * bytes.length; bit++)
    expect(() => parseTombstones(flipped(bytes, bit), path), `bit ${bit}`).toThrow(path);
});
