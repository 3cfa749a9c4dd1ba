/** Small blocks for tests: floats by series, one chunk for each list of samples. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { compareLabels, type Labels } from "#libs/model/labels.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { type BlockMeta, readMeta } from "#libs/tsdb/block/meta.ts";
import { SeriesCursor } from "#libs/tsdb/block/series-cursor.ts";
import { BlockWriter, type BlockWriterLimits, type WrittenBlock } from "#libs/tsdb/block/writer.ts";
import { ChunkEncoder, MERGE_ENCODING } from "#libs/tsdb/chunk/chunk-encoder.ts";
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { SampleCursor } from "#libs/tsdb/chunk/sample-cursor.ts";

export type Sample = readonly [time: number, value: number];

export interface TestSeries {
  /** Name, value, … in order of names. */
  readonly labels: Labels;
  readonly chunks: readonly (readonly Sample[])[];
}

export function floatChunk(samples: readonly Sample[]): Chunk {
  const encoder = new ChunkEncoder(0xffff, MERGE_ENCODING);
  for (const [time, value] of samples) {
    const [low, high] = new Int32Array(Float64Array.of(value).buffer);
    encoder.append({ time, start: 0, low: low!, high: high!, histogram: undefined });
  }
  return encoder.finish()[0]!;
}

/** Writes `<folder>/<ulid>` covering [minTime, maxTime). */
export function writeTestBlock(
  folder: string,
  ulid: string,
  [minTime, maxTime]: readonly [number, number],
  series: readonly TestSeries[],
  limits?: BlockWriterLimits,
): WrittenBlock {
  const symbols = [...new Set(["", ...series.flatMap(({ labels }) => labels)])].sort(compareUtf8);
  const writer = BlockWriter.open(join(folder, ulid), symbols, limits);
  for (const { labels, chunks } of series.toSorted((a, b) => compareLabels(a.labels, b.labels))) {
    writer.addSeries(
      Uint32Array.from(labels, (text) => symbols.indexOf(text)),
      chunks.map(floatChunk),
    );
  }
  return writer.finish({ ulid, minTime, maxTime, compaction: { level: 1, sources: [ulid] } });
}

export function metaOf(path: string): BlockMeta {
  return readMeta(readFileSync(join(path, "meta.json"), "utf8"), path);
}

export function samplesOf(chunk: Chunk): Sample[] {
  const cursor = new SampleCursor(chunk, "test");
  const samples: Sample[] = [];
  while (cursor.next()) {
    samples.push([cursor.time, new Float64Array(Int32Array.of(cursor.low, cursor.high).buffer)[0]!]);
  }
  return samples;
}

/** All series of the block at `path`, its chunks as they are stored: tombstones are not applied. */
export async function readTestBlock(path: string): Promise<TestSeries[]> {
  const bytes = openBlockFolder(path);
  try {
    const cursor = await SeriesCursor.open(bytes);
    const series: TestSeries[] = [];
    while (cursor.isBuffered || (await cursor.load())) {
      cursor.next();
      const labels = Array.from(cursor.labels.subarray(0, cursor.labelCount), (id) => cursor.symbols.text(id));
      series.push({ labels, chunks: (cursor.chunks() ?? (await cursor.loadChunks())).map(samplesOf) });
    }
    return series;
  } finally {
    bytes.close();
  }
}
