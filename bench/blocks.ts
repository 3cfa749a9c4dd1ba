/**
 * Blocks: postings and label values of a label with 500,000 values, writing 2 h blocks, and merging three of them.
 * `BENCH_MERGE_SERIES` sizes the merge; its blocks are kept at `BENCH_MERGE_FOLDER`, for a peer to merge the same.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { readMeta } from "#libs/tsdb/block/meta.ts";
import { openBlock } from "#libs/tsdb/block/reader.ts";
import { verifyBlock } from "#libs/tsdb/block/verify.ts";
import { BlockWriter } from "#libs/tsdb/block/writer.ts";
import { type Chunk, ENCODING } from "#libs/tsdb/chunk/encoding.ts";
import { appendXor, emptyXorState, XOR_SAMPLE_BYTES_MAX } from "#libs/tsdb/chunk/xor.ts";
import { mergeBlocks } from "#libs/tsdb/compact/merge-blocks.ts";
import { type Postings, union } from "#libs/tsdb/index/postings.ts";
import { loadSeries } from "#tools/load.ts";
import { row, summary, time } from "./measure.ts";
import { compactionOfPrometheus } from "./peers.ts";

/** On a border of 6 h: Prometheus merges what lies between two of them. */
const START = 1_700_006_400_000;
const RANGE_MS = 7_200_000;
const STEP_MS = 15_000;
const ULIDS = ["01HF7YAT0000000000000000AA", "01HF7YAT0000000000000000BB", "01HF7YAT0000000000000000CC"] as const;

export async function blocks(print: (line: string) => void): Promise<void> {
  const lists: Postings[] = Array.from({ length: 10 }, (_, k) =>
    Uint32Array.from({ length: 100_000 }, (_, i) => i * 10 + k),
  );
  const bits = time(5, () => void union(lists));
  print(row(["union of 10 lists, 1 M refs, ms", bits.best, bits.median, ""]));
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  try {
    await labelValues(folder, print);
    await merge(process.env["BENCH_MERGE_FOLDER"] ?? folder, print);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function labelValues(folder: string, print: (line: string) => void): Promise<void> {
  const ids = Array.from({ length: 500_000 }, (_, i) => `id-${String(i).padStart(6, "0")}`);
  const symbols = ["", "__name__", "id", "m", "shard", "x", "y", ...ids].sort(compareUtf8);
  const ordinals = new Map(symbols.map((symbol, i) => [symbol, i]));
  const writer = BlockWriter.open(join(folder, "values"), symbols);
  const writeAt = performance.now();
  ids.forEach((id, i) => {
    const labels = ["__name__", "m", "id", id, "shard", i % 4 === 0 ? "x" : "y"];
    writer.addSeries(
      Uint32Array.from(labels, (text) => ordinals.get(text)!),
      [],
    );
  });
  const identity = { ulid: ULIDS[0], minTime: 0, maxTime: 1, compaction: { level: 1, sources: [] } };
  const { meta, path } = writer.finish(identity);
  const wroteMs = performance.now() - writeAt;
  print(row(["index of 500,000 series and values, ms", wroteMs, wroteMs, "written, one run"]));
  const block = await openBlock(meta, openBlockFolder(path));
  const all = [createMatcher({ type: "=", name: "__name__", value: "m" })];
  const firstAt = performance.now();
  await block.labelValues("shard", all);
  print(
    row([
      "values of a label, 500,000 series match, first time, ms",
      performance.now() - firstAt,
      0,
      "builds the column",
    ]),
  );
  for (const [label, matcher] of [
    ["shard", all],
    ["id", [createMatcher({ type: "=", name: "id", value: "id-123456" })]],
    ["id", [createMatcher({ type: "=", name: "shard", value: "x" })]],
  ] as const) {
    await block.labelValues(label, matcher);
    const times: number[] = [];
    let found = 0;
    for (let i = 0; i < 15; i++) {
      const startedAt = performance.now();
      found = (await block.labelValues(label, matcher)).length;
      times.push(performance.now() - startedAt);
    }
    const { best, median } = summary(times);
    print(row([`values of ${label} where ${matcher[0].name}=${matcher[0].value}, ms`, best, median, `${found} found`]));
  }
  block.close();
}

/** Three blocks of 2 h merged by us and, from the same files, by a Prometheus that finds them when it starts. */
export async function mergeBeside(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  try {
    await merge(folder, print);
    // Prometheus leaves the newest block alone: a fourth one, of one series.
    writeBlock(folder, "01HF7YAT0000000000000000EE", START + 3 * RANGE_MS, 1);
    const theirs = await compactionOfPrometheus(folder);
    if (theirs !== undefined)
      print(row(["the same by prometheus, ms", theirs.wall * 1000, theirs.cpu * 1000, "ms, ms CPU"]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function merge(folder: string, print: (line: string) => void): Promise<void> {
  const series = Number(process.env["BENCH_MERGE_SERIES"] ?? 100_000);
  const samples = series * (RANGE_MS / STEP_MS);
  mkdirSync(folder, { recursive: true });
  for (const [i, ulid] of ULIDS.entries()) {
    if (existsSync(join(folder, ulid))) continue;
    const startedAt = performance.now();
    const encodeMs = writeBlock(folder, ulid, START + i * RANGE_MS, series);
    const ns = ((performance.now() - startedAt - encodeMs) * 1e6) / samples;
    if (i === 0)
      print(row([`block of ${samples / 1e6} M samples written, ns a sample`, ns, ns, "chunks ready, synced"]));
  }
  const sources = ULIDS.map((ulid) => {
    const path = join(folder, ulid);
    return { meta: readMeta(readFileSync(join(path, "meta.json"), "utf8"), path), bytes: openBlockFolder(path) };
  });
  const target = join(folder, "01HF7YAT0000000000000000DD");
  const merges: number[] = [];
  const verifies: number[] = [];
  const cpus: number[] = [];
  for (let i = 0; i < 3; i++) {
    rmSync(target, { recursive: true, force: true });
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    const merged = (await mergeBlocks(sources, { path: target, ulid: "01HF7YAT0000000000000000DD" }))!;
    merges.push(performance.now() - startedAt);
    const { user, system } = process.cpuUsage(cpu);
    cpus.push((user + system) / 1000);
    const bytes = openBlockFolder(target);
    const verifyAt = performance.now();
    await verifyBlock(bytes, merged.meta, { samples: false });
    verifies.push(performance.now() - verifyAt);
    bytes.close();
  }
  for (const { bytes } of sources) bytes.close();
  rmSync(target, { recursive: true });
  const [whole, verify] = [summary(merges), summary(verifies)];
  print(row([`three blocks of ${series} series merged, ms`, whole.best, whole.median, "written, synced, read back"]));
  const cpu = summary(cpus);
  print(row(["  CPU of that, ms", cpu.best, cpu.median, ""]));
  print(row(["reading the merged block back, ms", verify.best, verify.median, "part of the above"]));
}

/** Counters and gauges of `tools load`. @returns the ms of encoding and sorting, which are not the block's. */
function writeBlock(folder: string, ulid: string, start: number, count: number): number {
  const preparedAt = performance.now();
  const all = Array.from({ length: count }, (_, i) => loadSeries(i, 1));
  const symbols = [
    ...new Set(["", ...all.flatMap(({ labels }) => labels.flatMap(({ name, value }) => [name, value]))]),
  ];
  const ordinals = new Map(symbols.sort(compareUtf8).map((symbol, i) => [symbol, i]));
  const entries = all.map(({ labels, valueAt }) => ({
    labels: Uint32Array.from(labels.flatMap(({ name, value }) => [ordinals.get(name)!, ordinals.get(value)!])),
    valueAt,
  }));
  entries.sort((a, b) => {
    const i = a.labels.findIndex((id, k) => id !== b.labels[k]);
    return i === -1 ? 0 : a.labels[i]! - (b.labels[i] ?? -1);
  });
  let encodeMs = performance.now() - preparedAt;
  const writer = BlockWriter.open(join(folder, ulid), symbols);
  for (const { labels, valueAt } of entries) {
    const encodeAt = performance.now();
    const chunks = [0, 1, 2, 3].map((k) => encode(start, k * 120, valueAt));
    encodeMs += performance.now() - encodeAt;
    writer.addSeries(labels, chunks);
  }
  writer.finish({ ulid, minTime: start, maxTime: start + RANGE_MS, compaction: { level: 1, sources: [ulid] } });
  return encodeMs;
}

const value = new Float64Array(1);
const words = new Int32Array(value.buffer);

function encode(start: number, from: number, valueAt: (step: number) => number): Chunk {
  const state = emptyXorState(new Uint8Array(120 * XOR_SAMPLE_BYTES_MAX + 2));
  for (let step = from; step < from + 120; step++) {
    value[0] = valueAt(step);
    appendXor(state, start + step * STEP_MS, words[0]!, words[1]!);
  }
  state.bytes[1] = 120;
  const data = state.bytes.slice(0, (state.bitAt + 7) >>> 3);
  return { mint: start + from * STEP_MS, maxt: start + (from + 119) * STEP_MS, encoding: ENCODING.XOR, data };
}
