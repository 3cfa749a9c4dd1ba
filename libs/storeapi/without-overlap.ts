/**
 * Series whose chunks overlap, made one: out-of-order samples lie in the head or in blocks beside those they were late
 * for. To whoever reads, overlapping chunks mean replicas, of which it takes one at a time; of one source every sample
 * counts (decisions/0006).
 */
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { mergeChunks } from "#libs/tsdb/head/merge-chunks.ts";
import { chunksFollow, FrameBuilder, FrameReader } from "#libs/tsdb/series/frame.ts";
import { frameOf } from "./frames.ts";
import { mergeItems } from "./merge-items.ts";
import type { StoreItem } from "./store.ts";

/** Head and blocks of one source; times inclusive. */
interface SourcePart {
  readonly items: AsyncIterable<StoreItem>;
  readonly mint: number;
  readonly maxt: number;
}

/** The series of all parts, merged; no series' chunks overlap, unless chunks were not asked for. */
export function mergeParts(parts: readonly SourcePart[], skipChunks: boolean): AsyncIterable<StoreItem> {
  const merged = mergeItems(parts.map(({ items }) => items));
  return skipChunks || !overlap(parts) ? merged : withoutOverlap(merged);
}

function overlap(parts: readonly SourcePart[]): boolean {
  if (parts.length < 2) return false;
  let end = -Infinity;
  for (const { mint, maxt } of parts.toSorted((a, b) => a.mint - b.mint)) {
    if (mint <= end) return true;
    end = Math.max(end, maxt);
  }
  return false;
}

/** The same series; no series' chunks overlap. Of samples at one time the one of the chunk that begins first stays. */
async function* withoutOverlap(items: AsyncIterable<StoreItem>): AsyncGenerator<StoreItem> {
  const reader = new FrameReader();
  const builder = new FrameBuilder();
  for await (const item of items) {
    if (item.kind === "warning") {
      yield item;
      continue;
    }
    reader.enter(frameOf(item));
    while (reader.next()) {
      builder.labels(reader.labels());
      const { frame, chunkFrom, chunkTo } = reader;
      if (chunksFollow(frame.mints, frame.maxts, chunkFrom, chunkTo)) builder.copyChunks(frame, chunkFrom, chunkTo);
      else {
        const chunks: Chunk[] = [];
        for (let i = chunkFrom; i < chunkTo; i++) chunks.push(reader.chunk(i));
        for (const { mint, maxt, encoding, data } of mergeChunks(chunks, [], reader.labels().join(",")))
          builder.chunk(mint, maxt, encoding, data, 0, data.length);
      }
      builder.endSeries();
    }
    yield { kind: "frame", frame: builder.take() };
  }
}
