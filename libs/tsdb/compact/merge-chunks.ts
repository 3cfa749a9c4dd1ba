/**
 * Merges the chunks that several blocks have of one series. What overlaps nothing stays as it is, a chunk that is
 * there twice is taken once, and overlapping ones are written anew, 120 samples each, as Prometheus's compactor does.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { ChunkEncoder, MERGE_ENCODING } from "../chunk/chunk-encoder.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { SampleCursor } from "../chunk/sample-cursor.ts";
import { Heap } from "./heap.ts";
import { SampleChain } from "./sample-chain.ts";

/** Samples of a chunk written anew. */
const MERGED_SAMPLES = 120;

interface List {
  readonly chunks: readonly Chunk[];
  at: number;
}

/**
 * The chunks of all lists, each ascending, as one: ascending and without overlap.
 *
 * @throws CorruptionError naming `where` when a chunk to decode is corrupt.
 */
export function mergeChunks(lists: readonly (readonly Chunk[])[], where: string): readonly Chunk[] {
  const filled = lists.filter((chunks) => chunks.length > 0);
  if (filled.length <= 1) return filled[0] ?? [];
  if (filled.every((chunks, i) => i === 0 || filled[i - 1]!.at(-1)!.maxt < chunks[0]!.mint)) return filled.flat();
  const heap = new Heap<List>((a, b) => {
    const [x, y] = [a.chunks[a.at]!, b.chunks[b.at]!];
    return x.mint === y.mint ? x.maxt < y.maxt : x.mint < y.mint;
  });
  for (const chunks of filled) heap.push({ chunks, at: 0 });
  const merged: Chunk[] = [];
  const take = (): Chunk => {
    const list = heap.pop()!;
    const chunk = list.chunks[list.at++]!;
    if (list.at < list.chunks.length) heap.push(list);
    return chunk;
  };
  while (heap.size > 0) {
    const first = take();
    const overlapping: Chunk[] = [];
    let previous = first;
    let { maxt } = first;
    for (let next = heap.first; next !== undefined && next.chunks[next.at]!.mint <= maxt; next = heap.first) {
      const chunk = take();
      if (isSame(chunk, previous)) continue;
      overlapping.push(chunk);
      maxt = Math.max(maxt, chunk.maxt);
      previous = chunk;
    }
    if (overlapping.length === 0) merged.push(first);
    else merged.push(...encodeChain([...overlapping, first], where));
  }
  return merged;
}

function isSame(a: Chunk, b: Chunk): boolean {
  return a.mint === b.mint && a.maxt === b.maxt && Buffer.compare(a.data, b.data) === 0;
}

function encodeChain(chunks: readonly Chunk[], where: string): Chunk[] {
  const chain = new SampleChain(chunks.map((chunk) => new SampleCursor(chunk, where)));
  const encoder = new ChunkEncoder(MERGED_SAMPLES, MERGE_ENCODING);
  let before = -Infinity;
  for (let sample = chain.next(); sample !== undefined; sample = chain.next()) {
    if (sample.time <= before) throw new CorruptionError(where, 0, `times go back from ${before} to ${sample.time}`);
    before = sample.time;
    encoder.append(sample);
  }
  return encoder.finish();
}
