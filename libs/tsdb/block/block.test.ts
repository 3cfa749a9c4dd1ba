/** Blocks of our own writer: read, verified, merged, and refused when a byte of them is wrong. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createMatcher } from "#libs/model/matcher.ts";
import { metaOf, readTestBlock, type TestSeries, writeTestBlock } from "../../../test/support/blocks.ts";
import { mergeBlocks } from "../compact/merge-blocks.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { openBlockFolder } from "./bytes.ts";
import { formatMeta } from "./meta.ts";
import { openBlock } from "./reader.ts";
import { addTombstone, parseTombstones, readTombstones, type Tombstone, writeTombstones } from "./tombstones.ts";
import { verifyBlock } from "./verify.ts";

const A = "01HF7YAT0000000000000000AA";
const B = "01HF7YAT0000000000000000BB";
const C = "01HF7YAT0000000000000000CC";

let folder = "";
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "cairn-block-"))));
afterAll(() => rmSync(folder, { recursive: true }));

const SERIES: TestSeries[] = Array.from({ length: 40 }, (_, i) => ({
  labels: ["__name__", i % 2 === 0 ? "even" : "odd", "i", `value ${i}`, "\u{1F600}", "�"],
  chunks: [
    [
      [1000, i],
      [2000, i + 0.5],
    ],
    [[3000 + i, 7]],
  ],
}));

async function verified(path: string): Promise<number> {
  const bytes = openBlockFolder(path);
  try {
    return (await verifyBlock(bytes, metaOf(path), { samples: true })).numSamples;
  } finally {
    bytes.close();
  }
}

test("small segments and postings in many groups hold the same series", async () => {
  const limits = { segmentBytesMax: 300, postingsMax: 50 };
  const large = writeTestBlock(folder, A, [0, 10_000], SERIES).path;
  const small = writeTestBlock(folder, B, [0, 10_000], SERIES, limits).path;
  expect(await readTestBlock(small)).toEqual(await readTestBlock(large));
  expect(await verified(small)).toBe(120);
  const segments = readdirSync(join(small, "chunks"));
  expect(segments.length).toBeGreaterThan(5);
  for (const name of segments) expect(statSync(join(small, "chunks", name)).size).toBeLessThanOrEqual(300);
  // Chunk refs differ, what comes behind the series does not: the same postings.
  const block = await openBlock(metaOf(small), openBlockFolder(small));
  expect(Array.from(await block.of("__name__", "odd")).length).toBe(20);
  block.close();
});

test("three blocks of two tiny segments each merge into one, in slices, with external labels kept", async () => {
  const at = (from: number): TestSeries[] =>
    SERIES.slice(from / 1000, 30).map(({ labels }) => ({ labels, chunks: [[[from + 1, from]]] }));
  const paths = [A, B, C].map(
    (ulid, i) =>
      writeTestBlock(join(folder, "three"), ulid, [i * 10_000, (i + 1) * 10_000], at(i * 10_000), {
        segmentBytesMax: 200,
      }).path,
  );
  const sources = paths.map((path) => ({ meta: metaOf(path), bytes: openBlockFolder(path) }));
  const thanos = { labels: { cluster: "x" }, downsample: { resolution: 0 }, source: "test" };
  const merged = (await mergeBlocks(sources, { path: join(folder, "merged", A), ulid: A, thanos }))!;
  for (const { bytes } of sources) bytes.close();
  expect(merged.meta).toMatchObject({ minTime: 0, maxTime: 30_000, thanos, stats: { numSeries: 30, numSamples: 60 } });
  const series = await readTestBlock(merged.path);
  expect(series.find(({ labels }) => labels[3] === "value 25")!.chunks).toEqual([
    [[1, 0]],
    [[10_001, 10_000]],
    [[20_001, 20_000]],
  ]);
  expect(series.find(({ labels }) => labels[3] === "value 5")!.chunks).toEqual([[[1, 0]]]);
});

test("a source with a damaged chunk stops the merge, names the source and leaves nothing behind", async () => {
  const path = writeTestBlock(join(folder, "damaged"), A, [0, 10_000], SERIES).path;
  const segment = join(path, "chunks/000001");
  const damaged = readFileSync(segment);
  damaged[20]! ^= 1;
  writeFileSync(segment, damaged);
  const bytes = openBlockFolder(path);
  const target = join(folder, "damaged", B);
  await expect(mergeBlocks([{ meta: metaOf(path), bytes }], { path: target, ulid: B })).rejects.toThrow(
    `${path}/chunks/000001: corrupt at byte 8: chunk: checksum`,
  );
  bytes.close();
  expect(readdirSync(join(folder, "damaged"))).toEqual([A]);
});

test("read back as after a merge, a block shows a flipped bit in any byte that says something", async () => {
  const path = writeTestBlock(join(folder, "flips"), A, [0, 10_000], SERIES.slice(0, 5)).path;
  /** Runs of bytes in which a flipped bit goes unnoticed. */
  const unnoticed = async (file: string): Promise<number[]> => {
    const whole = readFileSync(join(path, file));
    const runs: number[] = [];
    for (let at = 0, run = 0; at <= whole.length; at++) {
      const flipped = Uint8Array.from(whole);
      if (at < whole.length) flipped[at]! ^= 1 << (at % 8);
      writeFileSync(join(path, file), flipped);
      const bytes = openBlockFolder(path);
      const found = await verifyBlock(bytes, metaOf(path), { samples: false }).then(
        () => false,
        () => true,
      );
      bytes.close();
      if (!found && at < whole.length) run++;
      else if (run > 0) runs.push(run);
      if (found) run = 0;
    }
    return runs;
  };
  // Of a segment the header. Of an index the padding: in front of a series up to 16 bytes, of a list up to 4.
  expect(await unnoticed("chunks/000001")).toEqual([8]);
  const padding = await unnoticed("index");
  expect(Math.max(...padding)).toBeLessThan(16);
  expect(padding.reduce((sum, run) => sum + run)).toBeLessThan(5 * 16 + 12 * 4);
});

describe("verification refuses", () => {
  const refuses = (what: string, damage: (path: string) => void, want: string | RegExp): void =>
    test(what, async () => {
      const path = join(folder, "verify", A);
      rmSync(path, { recursive: true, force: true });
      writeTestBlock(join(folder, "verify"), A, [0, 10_000], SERIES);
      expect(await verified(path)).toBe(120);
      damage(path);
      await expect(verified(path)).rejects.toThrow(want);
    });

  const flip = (file: string, at: number) => (path: string) => {
    const bytes = readFileSync(join(path, file));
    bytes[at < 0 ? bytes.length + at : at]! ^= 1;
    writeFileSync(join(path, file), bytes);
  };
  const meta = (change: object) => (path: string) =>
    writeFileSync(join(path, "meta.json"), formatMeta({ ...metaOf(path), ...change }));

  refuses("a flipped bit in a symbol", flip("index", 20), "symbol table: checksum");
  refuses("a flipped bit in the table of contents", flip("index", -10), "table of contents: checksum");
  refuses("a flipped bit in the postings table", flip("index", -70), "postings offset table: checksum");
  refuses("a flipped bit in a chunk", flip("chunks/000001", 12), "chunk: checksum");
  refuses(
    "a segment cut short",
    (path) => writeFileSync(join(path, "chunks/000001"), readFileSync(join(path, "chunks/000001")).subarray(0, 200)),
    "cut short",
  );
  refuses("a missing segment", (path) => rmSync(join(path, "chunks/000001")), "chunk segment 1 is missing");
  refuses(
    "fewer samples than meta.json says",
    meta({ stats: { numSamples: 121 } }),
    "numSamples is 121, there are 120",
  );
  refuses("chunks behind the block's end", meta({ maxTime: 3000 }), "outside of the block's 0 to 3000");
  refuses(
    "tombstones of no series",
    (path) => writeTombstones(join(path, "tombstones"), new Map([[1, [{ ref: 1, mint: 0, maxt: 1 }]]])),
    "tombstones of series 1, which is not there",
  );
});

describe("tombstones", () => {
  const ranges = (...list: [number, number][]): [number, number][] => {
    const byRef = new Map<number, readonly Tombstone[]>();
    for (const [mint, maxt] of list) addTombstone(byRef, { ref: 5, mint, maxt });
    return byRef.get(5)!.map(({ mint, maxt }) => [mint, maxt]);
  };

  test("overlapping and adjacent ranges become one, others stay apart, ascending", () => {
    expect(ranges([10, 20], [30, 40])).toEqual([
      [10, 20],
      [30, 40],
    ]);
    expect(ranges([30, 40], [10, 20])).toEqual([
      [10, 20],
      [30, 40],
    ]);
    expect(ranges([10, 20], [21, 40])).toEqual([[10, 40]]);
    expect(ranges([10, 20], [22, 40])).toEqual([
      [10, 20],
      [22, 40],
    ]);
    expect(ranges([10, 20], [30, 40], [15, 35])).toEqual([[10, 40]]);
    expect(ranges([10, 20], [12, 14])).toEqual([[10, 20]]);
  });

  test("are read back as they were written, series ascending", () => {
    const file = join(folder, "tombstones");
    const written = new Map([
      [900, [{ ref: 900, mint: -5, maxt: 2 ** 40 }]],
      [
        7,
        [
          { ref: 7, mint: 0, maxt: 1 },
          { ref: 7, mint: 3, maxt: 3 },
        ],
      ],
    ]);
    writeTombstones(file, written);
    expect([...readTombstones(file)]).toEqual([...written].reverse());
    expect(readTombstones(join(folder, "none")).size).toBe(0);
  });

  test("an empty file has 9 bytes, as Prometheus writes it", () => {
    const file = join(folder, "empty");
    writeTombstones(file, new Map());
    expect(readFileSync(file).toString("hex")).toBe("0130ba300100000000");
  });

  test("a range that ends before it begins is corrupt", () => {
    const out = new ByteWriter();
    out.raw(Buffer.from("0130ba3001", "hex"));
    out.uvarint(1);
    out.varint(5);
    out.varint(4);
    out.crc(5);
    expect(() => parseTombstones(out.bytes, "t")).toThrow("t: corrupt at byte 8: a range from 5 to 4");
  });
});

test("a postings table that points behind the lists is refused, with mended checksums, too", async () => {
  const path = writeTestBlock(join(folder, "table"), A, [0, 10_000], SERIES.slice(0, 1)).path;
  const file = join(path, "index");
  const index = Uint8Array.from(readFileSync(file));
  const table = Number(new DataView(index.buffer).getBigUint64(index.length - 12));
  // The last entry ends with where its list is, two bytes of uvarint.
  const end = index.length - 52 - 4;
  index.fill(0xff, end - 2, end - 1);
  index[end - 1] = 0x7f;
  new DataView(index.buffer).setUint32(end, crc32c(index, table + 4, end));
  writeFileSync(file, index);
  const block = await openBlock(metaOf(path), openBlockFolder(path));
  const symbol = block.header.labelNames().at(-1)!;
  expect(() => block.header.postings(symbol, block.values(symbol).at(-1)!)).toThrow("at 16383, behind all lists");
  block.close();
});

/** An index of version 1: symbols by offset, entries not aligned, label indices, a table in no order. */
function indexV1(): Uint8Array {
  const out = new ByteWriter();
  out.u32(0xbaaad700);
  out.u8(1);
  const symbols: Record<string, number> = {};
  const symbolsAt = out.length;
  out.u32(0);
  out.u32(4);
  for (const text of ["", "a", "b", "c"]) {
    symbols[text] = out.length;
    out.text(text);
  }
  out.patchU32(symbolsAt, out.length - symbolsAt - 4);
  out.crc(symbolsAt + 4);
  const seriesAt = out.length;
  const refs = ["b", "c"].map((value) => {
    const ref = out.length;
    const body = new ByteWriter();
    body.uvarint(1);
    body.uvarint(symbols["a"]!);
    body.uvarint(symbols[value]!);
    body.uvarint(0);
    out.uvarint(body.length);
    const from = out.length;
    out.raw(body.bytes);
    out.crc(from);
    return ref;
  });
  const labelIndicesAt = out.length;
  out.raw(new Uint8Array(24).fill(0xaa)); // not read
  const postingsAt = out.length;
  const lists: [string, string, number][] = [];
  for (const [name, value, list] of [
    ["a", "c", [refs[1]!]],
    ["", "", refs],
    ["a", "b", [refs[0]!]],
  ] as const) {
    lists.push([name, value, out.length]);
    const from = out.length + 4;
    out.u32(4 + 4 * list.length);
    out.u32(list.length);
    for (const ref of list) out.u32(ref);
    out.crc(from);
  }
  const tableAt = out.length;
  out.u32(0);
  out.u32(lists.length);
  for (const [name, value, offset] of lists) {
    out.uvarint(2);
    out.text(name);
    out.text(value);
    out.uvarint(offset);
  }
  out.patchU32(tableAt, out.length - tableAt - 4);
  out.crc(tableAt + 4);
  const toc = out.length;
  for (const offset of [symbolsAt, seriesAt, labelIndicesAt, labelIndicesAt, postingsAt, tableAt]) out.u64(offset);
  out.crc(toc);
  return out.bytes.slice();
}

test("an index of version 1 is read: names, values in order, postings, series, and verified", async () => {
  const path = join(folder, "v1", A);
  cpSync(writeTestBlock(folder, C, [0, 10], [{ labels: ["a", "b"], chunks: [[[1, 1]]] }]).path, path, {
    recursive: true,
  });
  writeFileSync(join(path, "index"), indexV1());
  writeFileSync(join(path, "meta.json"), formatMeta({ ...metaOf(path), stats: { numSeries: 2 } }));
  const block = await openBlock(metaOf(path), openBlockFolder(path));
  expect(block.header.labelNames()).toEqual(["a"]);
  expect(block.values("a")).toEqual(["b", "c"]);
  const refs = await block.select({
    matchers: [createMatcher({ type: "=", name: "a", value: "c" })],
    mint: 0,
    maxt: 9,
    skipChunks: true,
    limit: 0,
  });
  const texts: string[] = [];
  for await (const { labelRefs } of block.entries(refs)) {
    texts.push(...labelRefs.map((ref) => block.header.symbols.text(block.header.symbols.ordinal(ref))));
  }
  expect(texts).toEqual(["a", "c"]);
  block.close();
  expect(await verified(path)).toBe(0);
});
