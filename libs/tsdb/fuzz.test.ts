/**
 * Mutated files end in what can be read of them or in a CorruptionError: no other error, no hang, no read outside of
 * the bytes, no memory far beyond their size. Checksums of what was mutated are mended half of the time, or nothing
 * but checksums would be tested. `FUZZ=100000` sets the number of mutations of each kind, `FUZZ_SEED` others.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import type { Histogram } from "#libs/model/histogram.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { writeTestBlock } from "../../test/support/blocks.ts";
import { Fuzz, FUZZ_COUNT as COUNT, FUZZ_TIMEOUT_MS as TIMEOUT_MS, mendChecksum } from "../../test/support/fuzz.ts";
import type { BlockBytes } from "./block/bytes.ts";
import { encodeExtras, readExemplars, readMetadata } from "./block/extras.ts";
import { readMeta } from "./block/meta.ts";
import { openBlock } from "./block/reader.ts";
import { parseTombstones, writeTombstones } from "./block/tombstones.ts";
import { verifyBlock } from "./block/verify.ts";
import { ChunkEncoder, MERGE_ENCODING } from "./chunk/chunk-encoder.ts";
import { SampleCursor } from "./chunk/sample-cursor.ts";
import type { Chunk } from "./chunk/encoding.ts";
import { readIndexHeader } from "./index/header.ts";

const fuzz = new Fuzz();
const below = (n: number): number => fuzz.below(n);
const mutate = (bytes: Uint8Array, from?: number, to?: number): Uint8Array => fuzz.mutate(bytes, from, to);

let folder = "";
let index: Uint8Array;
let segment: Uint8Array;
let tombstones: Uint8Array;
let metaText = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-fuzz-"));
  const series = Array.from({ length: 30 }, (_, i) => ({
    labels: ["__name__", `m${i % 3}`, "i", String(i), ...(i % 2 === 0 ? ["x", "y"] : [])],
    chunks: [
      Array.from({ length: 20 }, (_, k) => [k * 1000 + i, k * i] as const),
      [[30_000, Number.NaN] as const, [31_000, 1e300] as const],
    ],
  }));
  const { path } = writeTestBlock(folder, "01HF7YAT0000000000000000AA", [0, 40_000], series);
  const refs = [20, 21, 22];
  writeTombstones(
    join(path, "tombstones"),
    new Map(
      refs.map((ref) => [
        ref,
        [
          { ref, mint: 5, maxt: 9 },
          { ref, mint: 100, maxt: 2 ** 41 },
        ],
      ]),
    ),
  );
  // Not as Buffers, whose slice() is no copy.
  index = Uint8Array.from(readFileSync(join(path, "index")));
  segment = Uint8Array.from(readFileSync(join(path, "chunks/000001")));
  tombstones = Uint8Array.from(readFileSync(join(path, "tombstones")));
  metaText = readFileSync(join(path, "meta.json"), "utf8");
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A block in memory that fails the test when it is asked for what cannot be an offset. */
function inMemory(indexBytes: Uint8Array, segmentBytes: Uint8Array): BlockBytes {
  const slice = (bytes: Uint8Array, offset: number, length: number): Uint8Array => {
    if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0)) throw new Error(`read ${length} at ${offset}`);
    return bytes.slice(offset, offset + length);
  };
  return {
    name: "fuzzed",
    indexSize: async () => indexBytes.length,
    index: async (offset, length) => slice(indexBytes, offset, length),
    chunks: async (number, offset, length) => {
      if (number !== 0) throw new CorruptionError("fuzzed", 0, `segment ${number}`);
      return slice(segmentBytes, offset, length);
    },
    close: () => undefined,
  };
}

/** Asks a block everything. */
async function readAll(bytes: BlockBytes): Promise<void> {
  const meta = readMeta(metaText, "meta.json");
  const block = await openBlock(meta, bytes);
  for (const name of block.header.labelNames()) block.header.labelValues(name);
  const matchers = [
    createMatcher({ type: "=~", name: "__name__", value: "m[12]" }),
    createMatcher({ type: "!=", name: "i", value: "3" }),
  ];
  const query = { matchers, mint: 0, maxt: 50_000, skipChunks: false, limit: 0 };
  for await (const _frame of block.frames(query, new AbortController().signal)) continue;
  await verifyBlock(bytes, meta, { samples: true });
}

test(`${COUNT} mutated index files`, { timeout: TIMEOUT_MS }, async () => {
  const header = await readIndexHeader(inMemory(index, segment).index, index.length, "index");
  const { toc } = header;
  const tocAt = index.length - 52;
  const view = new DataView(index.buffer, index.byteOffset);
  /** Bodies with their checksums behind them. */
  const bodies: [from: number, to: number][] = [
    [tocAt, tocAt + 48],
    [toc.symbols + 4, toc.symbols + 4 + view.getUint32(toc.symbols)],
    [toc.postingsTable + 4, toc.postingsTable + 4 + view.getUint32(toc.postingsTable)],
  ];
  for (let i = 0; i < header.entryCount; i++) {
    const { from } = header.list(i).range;
    bodies.push([from + 4, from + 4 + view.getUint32(from)]);
  }
  const all = header.list(0).range.from;
  for (let at = all + 8; at < all + 8 + 4 * view.getUint32(all + 4); at += 4) {
    const entry = view.getUint32(at) * 16; // its length takes one byte
    bodies.push([entry + 1, entry + 1 + index[entry]!]);
  }
  for (let i = 0; i < COUNT; i++) {
    const [from, to] = bodies[below(3) === 0 ? below(3) : below(bodies.length)]!;
    let mutated = below(8) === 0 ? mutate(index) : mutate(index, from, to);
    if (below(2) === 0) mendChecksum(mutated, from, to);
    if (below(20) === 0) mutated = mutated.subarray(0, below(mutated.length));
    await fuzz.tolerates("index", i, () => readAll(inMemory(mutated, segment)));
  }
  fuzz.bothHappened(0);
});

test(`${COUNT} mutated segments`, { timeout: TIMEOUT_MS }, async () => {
  for (let i = 0; i < COUNT; i++) {
    let mutated = segment;
    // The entries are short: their lengths take one byte.
    for (let at = 8; at < segment.length; at += segment[at]! + 6) {
      if (below(30) !== 0) continue;
      mutated = below(4) === 0 ? mutate(mutated) : mutate(mutated, at + 1, at + 2 + segment[at]!);
      if (below(4) !== 0) mendChecksum(mutated, at + 1, at + 2 + segment[at]!);
    }
    if (below(20) === 0) mutated = mutated.subarray(0, below(mutated.length));
    await fuzz.tolerates("segment", i, () => readAll(inMemory(index, mutated)));
  }
  fuzz.bothHappened();
});

test(`${COUNT} mutated chunks as a merge reads and writes them again`, { timeout: TIMEOUT_MS }, async () => {
  const encoder = new ChunkEncoder(60, MERGE_ENCODING);
  for (let i = 0; i < 240; i++) {
    const isHistogram = i >= 120;
    encoder.append({
      time: i * 1000 + (i % 7),
      start: i % 120 > 60 ? i * 900 : 0,
      low: i * 77,
      high: 1_072_693_248 + i,
      histogram: isHistogram ? histogram(i) : undefined,
    });
  }
  const chunks: Chunk[] = encoder.finish();
  expect(new Set(chunks.map(({ encoding }) => encoding)).size).toBe(4);
  for (let i = 0; i < COUNT; i++) {
    const chunk = chunks[i % chunks.length]!;
    const data = mutate(below(5) === 0 ? chunk.data.subarray(0, below(chunk.data.length)) : chunk.data);
    await fuzz.tolerates("chunk", i, () => {
      const again = new ChunkEncoder(120, MERGE_ENCODING);
      const cursor = new SampleCursor({ ...chunk, data }, "fuzzed");
      let before = -Infinity;
      while (cursor.next()) {
        if (!(cursor.time > before)) throw new CorruptionError("fuzzed", 0, "times go back");
        before = cursor.time;
        again.append(cursor);
      }
      again.finish();
    });
  }
  fuzz.bothHappened();
});

function histogram(i: number): Histogram {
  return {
    isFloat: false,
    schema: i % 40 > 20 ? 1 : 0,
    zeroThreshold: 0.001,
    zeroCount: BigInt(i),
    count: BigInt(10 * i),
    sum: Float64Array.of(i / 3),
    positiveSpans: [
      [-2, 3],
      [1, 1],
    ],
    negativeSpans: [],
    positive: BigInt64Array.of(BigInt(i), 2n, BigInt(3 * i), 7n),
    negative: new BigInt64Array(0),
    customValues: new Float64Array(0),
    counterResetHint: 0,
  };
}

test(`${COUNT} mutated tombstones files`, { timeout: TIMEOUT_MS }, async () => {
  for (let i = 0; i < COUNT; i++) {
    const mutated = mutate(below(5) === 0 ? tombstones.subarray(0, below(tombstones.length)) : tombstones);
    if (below(4) !== 0 && mutated.length >= 9) mendChecksum(mutated, 5, mutated.length - 4);
    await fuzz.tolerates("tombstones", i, () => void parseTombstones(mutated, "fuzzed"));
  }
  fuzz.bothHappened();
});

test(`${COUNT} mutated meta.json`, { timeout: TIMEOUT_MS }, async () => {
  const values = ["null", "{}", "[]", '"x"', "-1", "1e999", "true", "9007199254740993", '{"level":"x"}'];
  for (let i = 0; i < COUNT; i++) {
    const text =
      below(2) === 0
        ? Buffer.from(mutate(Buffer.from(metaText))).toString("latin1")
        : metaText.replace(/"(\w+)": (\d+|"[^"]*"|\{|\[)/g, (all, name: string) =>
            below(8) === 0
              ? `"${name}": ${values[below(values.length)]}${/[{[]$/.test(all) ? `, "${name}2": ${all.at(-1)}` : ""}`
              : all,
          );
    await fuzz.tolerates(`meta ${text}`, i, () => {
      const meta = readMeta(text, "fuzzed");
      // What readers rely on.
      expect(meta.compaction.sources.length).toBeGreaterThanOrEqual(0);
      expect(meta.compaction.level + meta.minTime + meta.maxTime).not.toBeNaN();
      expect(() => meta.compaction.sources.map((source) => source.length)).not.toThrow();
    });
  }
  fuzz.bothHappened();
});

test(`${COUNT} mutated files of exemplars and metadata`, { timeout: TIMEOUT_MS }, async () => {
  const labels = ["trace_id", "0123456789abcdef"];
  const bytes = (await encodeExtras(
    {
      metadata: Array.from({ length: 20 }, (_, i) => [
        `m${i}`,
        { type: "counter", unit: "s", help: "help ".repeat(i) },
      ]),
      exemplars: Array.from({ length: 20 }, (_, i) => ({
        series: ["__name__", `m${String.fromCharCode(97 + i)}`, "le", "+Inf"],
        exemplars: Array.from({ length: i }, (__, k) => ({ time: k * 2 ** i, value: Float64Array.of(k), labels })),
      })),
      isPartial: false,
    },
    new Slices(10),
  ))!;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const metadataTo = 18 + view.getUint32(6);
  const bodies: [from: number, to: number][] = [
    [0, 14],
    [18, metadataTo],
    [metadataTo + 4, metadataTo + 4 + view.getUint32(10)],
  ];
  for (let i = 0; i < COUNT; i++) {
    const body = bodies[below(3)]!;
    let mutated = below(4) === 0 ? mutate(bytes) : mutate(bytes, ...body);
    if (below(4) !== 0) mendChecksum(mutated, ...body);
    if (below(20) === 0) mutated = mutated.subarray(0, below(mutated.length));
    const read = async (offset: number, length: number): Promise<Uint8Array> =>
      mutated.subarray(offset, offset + length);
    await fuzz.tolerates("extras", i, async () => {
      await readMetadata(read, "extras");
      for (const { exemplars } of (await readExemplars(read, "extras")).series)
        for (const { time } of exemplars) if (!Number.isSafeInteger(time)) throw new Error(`a time of ${time}`);
    });
  }
  fuzz.bothHappened();
});
