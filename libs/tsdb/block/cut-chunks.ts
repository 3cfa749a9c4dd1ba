/** What deletions leave of chunks: whole chunks as they are, others written anew in their own encoding. */
import { ChunkEncoder } from "../chunk/chunk-encoder.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { SampleCursor } from "../chunk/sample-cursor.ts";

/** Closed, in milliseconds. */
export interface Interval {
  readonly mint: number;
  readonly maxt: number;
}

const SAMPLES_MAX = 0xffff;

/** Whether one of `deleted`, which ascend and do not touch, covers all of the chunk. */
export function isDeleted({ mint, maxt }: Interval, deleted: readonly Interval[]): boolean {
  return deleted.some((interval) => interval.mint <= mint && interval.maxt >= maxt);
}

/** The chunk without the samples in `deleted`: itself, or one of its encoding, or none. @throws CorruptionError. */
export function cutChunk<T extends Chunk>(
  chunk: T,
  deleted: readonly Interval[],
  where: string,
): readonly (T | Chunk)[] {
  const overlapping = deleted.filter(({ mint, maxt }) => mint <= chunk.maxt && maxt >= chunk.mint);
  if (overlapping.length === 0) return [chunk];
  if (isDeleted(chunk, overlapping)) return [];
  const encoder = new ChunkEncoder(SAMPLES_MAX, () => chunk.encoding);
  const cursor = new SampleCursor(chunk, where);
  while (cursor.next()) {
    const { time } = cursor;
    if (!overlapping.some(({ mint, maxt }) => time >= mint && time <= maxt)) encoder.append(cursor);
  }
  return encoder.finish();
}
