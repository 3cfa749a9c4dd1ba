/** Chunks of one series that overlap, or of which samples were deleted, as chunks that neither do nor have. */
import type { Interval } from "../block/cut-chunks.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { mergeSamples, type StoredSamples, unpackChunk } from "./stored-samples.ts";
import { dropDeleted, touches } from "./tombstones.ts";

/** As Prometheus packs what it had to unpack. */
const SAMPLES_PER_CHUNK = 120;

/**
 * Chunks in any order, ascending. What overlaps nothing and lost nothing is passed on as it is; of samples at one
 * time the one of the chunk that comes first in `chunks` stays. `where` is for errors.
 */
export function mergeChunks(chunks: readonly Chunk[], deleted: readonly Interval[], where: string): Chunk[] {
  const order = chunks
    .map((chunk, rank) => ({ chunk, rank }))
    .sort((a, b) => a.chunk.mint - b.chunk.mint || a.rank - b.rank);
  const out: Chunk[] = [];
  for (let i = 0; i < order.length;) {
    const group = [order[i]!];
    let maxt = order[i]!.chunk.maxt;
    for (i++; i < order.length && order[i]!.chunk.mint <= maxt; i++) {
      group.push(order[i]!);
      maxt = Math.max(maxt, order[i]!.chunk.maxt);
    }
    const first = group[0]!.chunk;
    if (group.length === 1 && !touches(deleted, first.mint, first.maxt)) out.push(first);
    else {
      group.sort((a, b) => a.rank - b.rank);
      const samples = samplesOf(
        group.map(({ chunk }) => chunk),
        deleted,
        where,
      );
      out.push(...samples.toChunks(SAMPLES_PER_CHUNK));
    }
  }
  return out;
}

function samplesOf(chunks: readonly Chunk[], deleted: readonly Interval[], where: string): StoredSamples {
  return dropDeleted(mergeSamples(chunks.map((chunk) => unpackChunk(chunk, where))), deleted);
}
