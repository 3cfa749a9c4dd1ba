/**
 * `tools wal dump`: all that a head holds after it has replayed a Prometheus data folder, with the blocks beside it:
 * one series a line, then the exemplars by series. The folder is not touched: logs and head chunks are copied first.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BadRequestError } from "#libs/kit/errors.ts";
import { createLog, type Logger } from "#libs/kit/log.ts";
import { labelsToObject } from "#libs/model/labels.ts";
import { blockSource } from "#libs/storeapi/block-source.ts";
import { asItems, framesOf } from "#libs/storeapi/frames.ts";
import { mergeItems } from "#libs/storeapi/merge-items.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { readMeta } from "#libs/tsdb/block/meta.ts";
import { type BlockReader, openBlock } from "#libs/tsdb/block/reader.ts";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { mergeChunks } from "#libs/tsdb/head/merge-chunks.ts";
import type { SeriesQuery } from "#libs/tsdb/select.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";
import { sampleText, samplesOf } from "./block-dump.ts";
import { wordsOf } from "#libs/model/histogram.ts";

const EVERYTHING: SeriesQuery = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
/** What a folder has that is not in blocks. */
const HEAD_FOLDERS = ["wal", "wbl", "chunks_head"];
const EXEMPLARS_MAX = 1_000_000;

export async function walDump(
  dir: string,
  print: (line: string) => void,
  log: Logger = createLog({ level: "warn", format: "logfmt" }),
): Promise<number> {
  if (!existsSync(join(dir, "wal"))) throw new BadRequestError(`${dir}: no data folder, there is no wal in it`);
  const copy = mkdtempSync(join(tmpdir(), "cairn-wal-dump-"));
  const blocks: BlockReader[] = [];
  try {
    for (const name of readdirSync(dir)) {
      if (HEAD_FOLDERS.includes(name) || name.startsWith("chunk_snapshot."))
        cpSync(join(dir, name), join(copy, name), { recursive: true });
      else if (isUlid(name)) blocks.push(await openBlockAt(join(dir, name)));
    }
    const head = Head.open(copy, {
      rangeMs: 7_200_000,
      seriesMax: Infinity,
      seed: 1,
      minValidTime: inOrderEnd(blocks),
      exemplarsMax: EXEMPLARS_MAX,
      log,
    });
    try {
      await dumpSeries(head, blocks, print);
      dumpExemplars(head, print);
    } finally {
      await head.close();
    }
  } finally {
    for (const block of blocks) block.close();
    rmSync(copy, { recursive: true });
  }
  return 0;
}

async function openBlockAt(path: string): Promise<BlockReader> {
  const file = join(path, "meta.json");
  return openBlock(readMeta(readFileSync(file, "utf8"), file), openBlockFolder(path));
}

/** Where the head begins: blocks of out-of-order samples say nothing about it. */
function inOrderEnd(blocks: readonly BlockReader[]): number {
  return blocks
    .filter(({ meta }) => meta.compaction.hints?.includes("from-out-of-order") !== true)
    .reduce((max, { meta }) => Math.max(max, meta.maxTime), -Infinity);
}

async function dumpSeries(head: Head, blocks: readonly BlockReader[], print: (line: string) => void): Promise<void> {
  const { signal } = new AbortController();
  const sources = [...blocks.map(blockSource), head];
  /** Series of which all samples are deleted are there, too. */
  const names = new Set<string>();
  const merged = mergeItems(sources.map((source) => asItems(source.frames(EVERYTHING, signal))));
  let reader = new FrameReader();
  for await (const frame of framesOf(merged, () => undefined)) {
    reader.enter(frame);
    while (reader.next()) {
      const chunks: Chunk[] = [];
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++) chunks.push(reader.chunk(i));
      const where = reader.labels().join(",");
      const samples = mergeChunks(chunks, [], where).flatMap((chunk) => samplesOf(chunk, -Infinity, Infinity, where));
      const labels = JSON.stringify(labelsToObject(reader.labels()));
      names.add(labels);
      print(`{"labels":${labels},"samples":[${samples.join(",")}]}`);
    }
  }
  reader = new FrameReader();
  for await (const frame of head.frames({ ...EVERYTHING, skipChunks: true }, signal)) {
    reader.enter(frame);
    while (reader.next()) {
      const labels = JSON.stringify(labelsToObject(reader.labels()));
      if (!names.has(labels)) print(`{"labels":${labels},"samples":[]}`);
    }
  }
}

function dumpExemplars(head: Head, print: (line: string) => void): void {
  for (const { series, exemplars } of head.exemplars([[]], -Infinity, Infinity)) {
    const shown = exemplars.map(({ time, value, labels }) => ({
      labels: labelsToObject(labels),
      t: time,
      value: sampleText({ values: value, words: wordsOf(value) }, 0),
    }));
    print(JSON.stringify({ exemplars: shown, seriesLabels: labelsToObject(series) }));
  }
}
