/**
 * Mutated files end in what can be read of them or in a CorruptionError: no other error, no hang, no read outside of
 * the bytes, no memory far beyond their size. Checksums of what was mutated are mended half of the time, or nothing
 * but checksums would be tested. `FUZZ=100000` sets the number of mutations of each kind, `FUZZ_SEED` others.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import type { Histogram } from "#libs/model/histogram.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { floatChunk, writeTestBlock } from "../../test/support/blocks.ts";
import { seeded } from "../../test/support/write.ts";
import type { BlockBytes } from "./block/bytes.ts";
import { encodeExtras, readExemplars, readMetadata } from "./block/extras.ts";
import { readMeta } from "./block/meta.ts";
import { openBlock } from "./block/reader.ts";
import { parseTombstones, writeTombstones } from "./block/tombstones.ts";
import { verifyBlock } from "./block/verify.ts";
import { ChunkEncoder, MERGE_ENCODING } from "./chunk/chunk-encoder.ts";
import { SampleCursor } from "./chunk/sample-cursor.ts";
import type { Chunk } from "./chunk/encoding.ts";
import { crc32c } from "./encoding/crc32c.ts";
import { HeadChunkFiles } from "./head/chunk-files.ts";
import { readIndexHeader } from "./index/header.ts";
import { RECORD, readSamples, readSeries, readTombstoneRecord } from "./wal/records.ts";
import { readWal } from "./wal/reader.ts";
import { ByteWriter } from "./encoding/writer.ts";

const COUNT = Number(process.env["FUZZ"] ?? 1500);
const SEED = Number(process.env["FUZZ_SEED"] ?? 1);
const MILLISECONDS_MAX = 10_000;
// What earlier mutations left to the collector counts, too.
const ALLOCATED_MAX = 256 << 20;
const TIMEOUT_MS = 3_600_000;

const random = seeded(SEED);
const below = (n: number): number => Math.floor(random() * n);
const EVIL = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x40];

/** A copy with some bytes of [from, to) changed. */
function mutate(bytes: Uint8Array, from = 0, to = bytes.length): Uint8Array {
  const mutated = bytes.slice();
  for (let k = 1 + below(4); k > 0 && to > from; k--) {
    const at = from + below(to - from);
    const kind = below(4);
    if (kind === 0) mutated[at]! ^= 1 << below(8);
    else if (kind === 1) mutated[at] = below(256);
    else for (let i = 0; i < 1 + below(8) && at + i < to; i++) mutated[at + i] = EVIL[below(EVIL.length)]!;
  }
  return mutated;
}

function mendChecksum(bytes: Uint8Array, from: number, to: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(to, crc32c(bytes, from, to));
}

const seen = { refused: 0, read: 0 };

/** Runs `body`, which may refuse the bytes, within bounds of time and memory. */
async function tolerates(what: () => string, body: () => Promise<void> | void): Promise<void> {
  const startedAt = performance.now();
  const before = process.memoryUsage().arrayBuffers;
  try {
    await body();
    seen.read++;
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw new Error(`${what()}: ${String(error)}`, { cause: error });
    seen.refused++;
  }
  const tookMs = performance.now() - startedAt;
  const allocated = process.memoryUsage().arrayBuffers - before;
  if (tookMs > MILLISECONDS_MAX) throw new Error(`${what()}: took ${tookMs} ms`);
  if (allocated > ALLOCATED_MAX) throw new Error(`${what()}: took ${allocated} bytes`);
}

function bothHappened(): void {
  // Or the mutations test nothing.
  expect(Math.min(seen.refused, seen.read)).toBeGreaterThan(COUNT / 100);
  seen.refused = 0;
  seen.read = 0;
}

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
    await tolerates(
      () => `index ${i} of seed ${SEED}`,
      () => readAll(inMemory(mutated, segment)),
    );
  }
  expect(seen.refused).toBeGreaterThan(COUNT / 10);
  seen.read = seen.refused = 0;
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
    await tolerates(
      () => `segment ${i} of seed ${SEED}`,
      () => readAll(inMemory(index, mutated)),
    );
  }
  bothHappened();
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
    await tolerates(
      () => `chunk ${i} of seed ${SEED}`,
      () => {
        const again = new ChunkEncoder(120, MERGE_ENCODING);
        const cursor = new SampleCursor({ ...chunk, data }, "fuzzed");
        let before = -Infinity;
        while (cursor.next()) {
          if (!(cursor.time > before)) throw new CorruptionError("fuzzed", 0, "times go back");
          before = cursor.time;
          again.append(cursor);
        }
        again.finish();
      },
    );
  }
  bothHappened();
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
    await tolerates(
      () => `tombstones ${i} of seed ${SEED}`,
      () => void parseTombstones(mutated, "fuzzed"),
    );
  }
  bothHappened();
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
    await tolerates(
      () => `meta ${text}`,
      () => {
        const meta = readMeta(text, "fuzzed");
        // What readers rely on.
        expect(meta.compaction.sources.length).toBeGreaterThanOrEqual(0);
        expect(meta.compaction.level + meta.minTime + meta.maxTime).not.toBeNaN();
        expect(() => meta.compaction.sources.map((source) => source.length)).not.toThrow();
      },
    );
  }
  bothHappened();
});

test(`${COUNT} mutated log segments`, { timeout: TIMEOUT_MS }, async () => {
  const wal = join(folder, "wal");
  mkdirSync(wal);
  const out = new ByteWriter();
  const bodies: [number, number][] = [];
  const fragment = (write: () => void): void => {
    const at = out.length;
    out.raw(new Uint8Array(7));
    write();
    bodies.push([at + 7, out.length]);
  };
  fragment(() => {
    out.u8(RECORD.SERIES);
    for (const ref of [1, 2]) {
      out.u64(ref);
      out.uvarint(2);
      for (const text of ["__name__", "m", "i", String(ref)]) out.text(text);
    }
  });
  fragment(() => {
    out.u8(RECORD.SAMPLES);
    out.u64(1);
    out.u64(1000);
    for (let i = 0; i < 20; i++) {
      out.varint(i % 2);
      out.varint(i * 15_000);
      out.f64Words(i, 1_072_693_248);
    }
  });
  fragment(() => {
    out.u8(RECORD.TOMBSTONES);
    out.u64(1);
    out.varint(0);
    out.varint(5000);
  });
  const bytes = out.bytes.slice();
  const mend = (target: Uint8Array, [from, to]: [number, number]): void => {
    const view = new DataView(target.buffer);
    target[from - 7] = 1;
    view.setUint16(from - 6, to - from);
    view.setUint32(from - 4, crc32c(target, from, to));
  };
  for (const body of bodies) mend(bytes, body);
  for (let i = 0; i < COUNT; i++) {
    const body = bodies[below(bodies.length)]!;
    const mutated = below(3) === 0 ? mutate(bytes) : mutate(bytes, ...body);
    if (below(3) !== 0) mend(mutated, body);
    writeFileSync(join(wal, "00000000"), below(10) === 0 ? mutated.subarray(0, below(mutated.length)) : mutated);
    await tolerates(
      () => `log ${i} of seed ${SEED}`,
      () => {
        for (const { bytes: record } of readWal(wal, () => undefined)) {
          if (record[0] === RECORD.SERIES) readSeries(record, "fuzzed", () => undefined);
          else if (record[0] === RECORD.TOMBSTONES) readTombstoneRecord(record, "fuzzed", () => undefined);
          else if (record[0] === RECORD.SAMPLES || record[0] === RECORD.SAMPLES_V2)
            readSamples(record, "fuzzed", () => undefined);
        }
      },
    );
  }
  bothHappened();
});

test(`${COUNT} mutated files of chunks_head`, { timeout: TIMEOUT_MS }, async () => {
  const path = join(folder, "chunks_head");
  mkdirSync(path);
  const out = new ByteWriter();
  out.raw(Buffer.from("0130bc9101000000", "hex"));
  const ends: [from: number, to: number][] = [];
  for (let i = 0; i < 20; i++) {
    const { mint, maxt, encoding, data } = floatChunk([
      [i * 1000, i],
      [i * 1000 + 500, -i],
    ]);
    const from = out.length;
    out.u64((i % 4) + 1);
    out.u64(mint);
    out.u64(maxt);
    out.u8(encoding);
    out.uvarint(data.length);
    out.raw(data);
    ends.push([from, out.length]);
    out.crc(from);
  }
  const bytes = out.bytes.slice();
  for (let i = 0; i < COUNT; i++) {
    const body = ends[below(ends.length)]!;
    let mutated = below(4) === 0 ? mutate(bytes) : mutate(bytes, ...body);
    if (below(2) === 0) mendChecksum(mutated, ...body);
    if (below(10) === 0) mutated = mutated.subarray(0, below(mutated.length));
    for (const name of readdirSync(path)) rmSync(join(path, name)); // each load begins a file of its own
    writeFileSync(join(path, "000001"), mutated);
    let damages = 0;
    await tolerates(
      () => `head chunks ${i} of seed ${SEED}`,
      () => {
        const files = new HeadChunkFiles(path);
        try {
          files.load(
            () => undefined,
            () => damages++,
          );
        } finally {
          files.close();
        }
        if (damages > 0) throw new CorruptionError(path, 0, "damage was reported");
      },
    );
  }
  bothHappened();
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
    await tolerates(
      () => `extras ${i} of seed ${SEED}`,
      async () => {
        await readMetadata(read, "extras");
        for (const { exemplars } of (await readExemplars(read, "extras")).series)
          for (const { time } of exemplars) if (!Number.isSafeInteger(time)) throw new Error(`a time of ${time}`);
      },
    );
  }
  bothHappened();
});
