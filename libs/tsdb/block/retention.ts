/** Which local blocks are old or large enough to go, and what a crash left of others. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { BlockMeta } from "./meta.ts";

export interface Retention {
  /** Blocks that end this long before the newest one ends go; 0 keeps them. */
  readonly durationMs: number;
  /** Most bytes of all blocks and of what else counts; 0 is no limit. */
  readonly bytesMax: number;
}

/**
 * The blocks to delete: those whose merge came to nothing, those past the duration, and the oldest of what is beyond
 * the size. `otherBytes` are those of log and head, which go first into the size. As Prometheus decides it, so the
 * newest block is never past the duration, but may be beyond the size.
 */
export function planRetention<T extends { readonly meta: BlockMeta; readonly sizeBytes: number }>(
  blocks: readonly T[],
  { durationMs, bytesMax }: Retention,
  otherBytes: number,
): T[] {
  const newestFirst = blocks.toSorted((a, b) => b.meta.maxTime - a.meta.maxTime);
  const end = newestFirst[0]?.meta.maxTime ?? 0;
  let bytes = otherBytes;
  let isBeyondSize = false;
  return newestFirst.filter(({ meta, sizeBytes }, i) => {
    bytes += sizeBytes;
    isBeyondSize ||= bytesMax > 0 && bytes > bytesMax;
    const isOld = i > 0 && durationMs > 0 && end - meta.maxTime >= durationMs;
    return isOld || isBeyondSize || meta.compaction.deletable === true;
  });
}

/** Bytes of all files in a folder and the folders in it. */
export function folderBytes(path: string): number {
  let bytes = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    bytes += entry.isDirectory() ? folderBytes(inner) : statSync(inner).size;
  }
  return bytes;
}

const LEFTOVER = /\.tmp(-for-(creation|deletion))?$/;

/** Removes blocks half written or half deleted from a data folder that nobody else uses. @returns their names. */
export function removeLeftovers(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => LEFTOVER.test(name));
  for (const name of names) rmSync(join(folder, name), { recursive: true, force: true });
  return names;
}
