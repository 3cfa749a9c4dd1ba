/**
 * Series whose chunks overlap, made one: out-of-order samples lie in the head or in blocks beside those they were late
 * for. To whoever reads, overlapping chunks mean replicas, of which it takes one at a time; here every sample counts.
 */
import type { StoreItem } from "#libs/storeapi/store.ts";
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { mergeChunks } from "#libs/tsdb/head/merge-chunks.ts";
import { FrameBuilder, FrameReader } from "#libs/tsdb/series/frame.ts";

/** Both inclusive. */
interface Range {
  readonly mint: number;
  readonly maxt: number;
}

export function rangesOverlap(ranges: readonly Range[]): boolean {
  const sorted = ranges.toSorted((a, b) => a.mint - b.mint);
  let end = -Infinity;
  for (const { mint, maxt } of sorted) {
    if (mint <= end) return true;
    end = Math.max(end, maxt);
  }
  return false;
}

/** The same series; no series' chunks overlap. Of samples at one time the one of the chunk that begins first stays. */
export async function* withoutOverlap(items: AsyncIterable<StoreItem>): AsyncGenerator<StoreItem> {
  const reader = new FrameReader();
  const builder = new FrameBuilder();
  for await (const item of items) {
    if (item.kind === "warning") {
      yield item;
      continue;
    }
    reader.enter(item.frame);
    while (reader.next()) {
      const chunks: Chunk[] = [];
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++) chunks.push(reader.chunk(i));
      builder.labels(reader.labels());
      for (const { mint, maxt, encoding, data } of mergeChunks(chunks, [], reader.labels().join(",")))
        builder.chunk(mint, maxt, encoding, data, 0, data.length);
      builder.endSeries();
    }
    yield { kind: "frame", frame: builder.take() };
  }
}
