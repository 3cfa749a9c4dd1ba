import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CorruptionError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import { metaOf, writeTestBlock } from "../../../test/support/blocks.ts";
import { mergeBlocks } from "../compact/merge-blocks.ts";
import type { Exemplar, SeriesExemplars } from "../head/exemplars.ts";
import { type BlockBytes, openBlockFolder } from "./bytes.ts";
import { encodeExtras, type Extras, EXTRAS_FILE, type FamilyMetadata, readExemplars, readMetadata } from "./extras.ts";
import { joinExemplars, mergeExemplars, mergeExtras } from "./merge-extras.ts";
import { verifyBlock } from "./verify.ts";

const slices = new Slices(10);
const encode = (extras: Partial<Extras>, bytesMax?: number): Promise<Uint8Array | undefined> =>
  encodeExtras({ metadata: [], exemplars: [], isPartial: false, ...extras }, slices, bytesMax);

function exemplar(time: number, value = 1, id = "x"): Exemplar {
  return { time, value: Float64Array.of(value), labels: ["trace_id", id] };
}

const of = (name: string, ...exemplars: Exemplar[]): SeriesExemplars => ({ series: ["__name__", name], exemplars });
const readerOf = (bytes: Uint8Array) => async (offset: number, length: number) => bytes.slice(offset, offset + length);
const all = async (bytes: Uint8Array): Promise<SeriesExemplars[]> => [
  ...(await readExemplars(readerOf(bytes), "f")).series,
];

const UP: FamilyMetadata = ["up", { type: "gauge", unit: "", help: "Whether it is up: ä\n." }];
const LATENCY: FamilyMetadata = ["latency", { type: "histogram", unit: "seconds", help: "" }];

test("the bytes of a small file", async () => {
  const bytes = (await encode({
    metadata: [["up", { type: "gauge", unit: "u", help: "h" }]],
    exemplars: [{ series: ["a", "b"], exemplars: [{ time: 3, value: Float64Array.of(1), labels: [] }] }],
  }))!;
  expect(Buffer.from(bytes).toString("hex")).toBe(
    // Checksums computed by another program.
    [
      "ca1ee87a 01 00 00000009 00000010 a559f0a1",
      "01 02 7570 02 01 75 01 68 b8cdb89c",
      "01 01 61 01 62 01 06 3ff0000000000000 00 0e0aa459",
    ]
      .join("")
      .replaceAll(" ", ""),
  );
});

test("what is written is read: bits of values, times before 1970, names beyond ASCII, several exemplars at one time", async () => {
  const payload = new Float64Array(Int32Array.of(2, 0x7ff00000).buffer);
  const exemplars = [
    of("ä", exemplar(-5, -0), exemplar(-5, 1, "😀"), exemplar(2 ** 52, Infinity)),
    { series: ["__name__", "ö", "le", "+Inf"], exemplars: [{ time: 0, value: payload, labels: [] }] },
  ];
  const bytes = (await encode({ metadata: [UP, LATENCY], exemplars }))!;
  const read = await all(bytes);
  expect(read).toEqual(exemplars);
  expect(Array.from(new Int32Array(read[1]!.exemplars[0]!.value.buffer))).toEqual([2, 0x7ff00000]);
  expect(await readMetadata(readerOf(bytes), "f")).toEqual([LATENCY, UP]);
  expect((await readExemplars(readerOf(bytes), "f")).isPartial).toBe(false);
});

test("nothing to keep is no file, and no file is nothing", async () => {
  expect(await encode({})).toBeUndefined();
  const missing = async () => undefined;
  expect(await readMetadata(missing, "f")).toEqual([]);
  expect([...(await readExemplars(missing, "f")).series]).toEqual([]);
});

test("above the limit series are left out, and the file says so", async () => {
  const exemplars = ["a", "b", "c"].map((name) => of(name, exemplar(1), exemplar(2)));
  const whole = (await encode({ exemplars }))!;
  const bytes = (await encode({ exemplars }, 150))!;
  expect((await all(bytes)).map(({ series }) => series[1])).toEqual(["a", "b"]);
  expect((await readExemplars(readerOf(bytes), "f")).isPartial).toBe(true);
  expect(bytes.length).toBeLessThan(whole.length);
});

test("damage is refused by section", async () => {
  const bytes = (await encode({ metadata: [UP], exemplars: [of("a", exemplar(1))] }))!;
  const damaged = (at: number): ((offset: number, length: number) => Promise<Uint8Array>) => {
    const copy = bytes.slice();
    copy[at]! ^= 1;
    return readerOf(copy);
  };
  await expect(readMetadata(damaged(0), "f")).rejects.toThrow("f: corrupt at byte 0: not a file of exemplars");
  await expect(readMetadata(damaged(4), "f")).rejects.toThrow("f: corrupt at byte 4: version 0, only 1 is known");
  await expect(readMetadata(damaged(8), "f")).rejects.toThrow("f: corrupt at byte 0: header: checksum");
  await expect(readMetadata(damaged(20), "f")).rejects.toThrow("f: corrupt at byte 18: checksum");
  await expect(readExemplars(damaged(bytes.length - 1), "f")).rejects.toThrow("checksum");
  await expect(readExemplars(readerOf(bytes.subarray(0, bytes.length - 3)), "f")).rejects.toThrow("bytes are claimed");
  // The other section can still be read.
  expect(await readMetadata(damaged(bytes.length - 1), "f")).toEqual([UP]);
});

test("exemplars of several places are there once, by time", () => {
  const lists = [
    [of("a", exemplar(1), exemplar(5)), of("c", exemplar(1))],
    [of("a", exemplar(3), exemplar(5), exemplar(5, 2)), of("b", exemplar(9))],
  ];
  expect([...mergeExemplars(lists)]).toEqual([
    of("a", exemplar(1), exemplar(3), exemplar(5), exemplar(5, 2)),
    of("b", exemplar(9)),
    of("c", exemplar(1)),
  ]);
  expect([...mergeExemplars([])]).toEqual([]);
  expect(joinExemplars([[exemplar(1, 0), exemplar(1, -0)], [exemplar(1, 0, "y")], [exemplar(1, 0)]])).toHaveLength(3);
});

let folder = "";
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "cairn-extras-"))));
afterAll(() => rmSync(folder, { recursive: true }));

async function blockWith(ulid: string, at: number, extras: Partial<Extras>): Promise<BlockBytes> {
  const samples = [[at, 1] as const];
  const { path } = writeTestBlock(folder, ulid, [at, at + 10], [{ labels: ["__name__", "a"], chunks: [samples] }]);
  const bytes = await encode(extras);
  if (bytes !== undefined) writeFileSync(join(path, EXTRAS_FILE), bytes);
  return openBlockFolder(path);
}

const sourceOf = (bytes: BlockBytes) => ({ meta: metaOf(bytes.name), bytes });

test("a merged block has the exemplars of all and the newest metadata; beyond the limit the oldest lose theirs", async () => {
  const [A, B, C, D] = ["A", "B", "C", "D"].map((end) => `01HF7YAT0000000000000000B${end}`) as [
    string,
    string,
    string,
    string,
  ];
  const older: FamilyMetadata = ["up", { type: "counter", unit: "", help: "wrong" }];
  const blocks = [
    await blockWith(A, 0, { metadata: [older, LATENCY], exemplars: [of("a", exemplar(1)), of("z", exemplar(2))] }),
    await blockWith(B, 10, { metadata: [UP], exemplars: [of("a", exemplar(11))] }),
    await blockWith(C, 20, {}),
  ];
  const sources = blocks.map(sourceOf);
  const merged = (await mergeBlocks(sources, { path: join(folder, D), ulid: D }))!;
  const bytes = openBlockFolder(merged.path);
  expect([...(await readExemplars(bytes.extras!, D)).series]).toEqual([
    of("a", exemplar(1), exemplar(11)),
    of("z", exemplar(2)),
  ]);
  expect(await readMetadata(bytes.extras!, D)).toEqual([LATENCY, UP]);

  const never = (error: CorruptionError): never => {
    throw error;
  };
  const small = (await mergeExtras(sources, slices, never, 40))!;
  expect(await all(small)).toEqual([of("a", exemplar(11))]);
  expect((await readExemplars(readerOf(small), "f")).isPartial).toBe(true);
  expect(await mergeExtras(sources.slice(2), slices, never)).toBeUndefined();

  writeFileSync(join(folder, A, EXTRAS_FILE), "damaged");
  await expect(verifyBlock(blocks[0]!, sources[0]!.meta, { samples: true })).rejects.toThrow(`${A}/${EXTRAS_FILE}`);
  const damages: string[] = [];
  const rest = (await mergeExtras(sources, slices, ({ file }) => damages.push(file)))!;
  expect(damages).toEqual([join(folder, A, EXTRAS_FILE)]);
  expect(await all(rest)).toEqual([of("a", exemplar(11))]);
  expect((await readExemplars(readerOf(rest), "f")).isPartial).toBe(true);
  for (const block of [...blocks, bytes]) block.close();
});
