/** Deletes samples from a block without rewriting it: ranges go into its tombstones, a compaction removes them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Matcher } from "#libs/model/matcher.ts";
import { writeFileAtomic } from "../files.ts";
import { openBlockFolder } from "./bytes.ts";
import { formatMeta, readMeta } from "./meta.ts";
import { openBlock } from "./reader.ts";
import { addTombstone, countTombstones, readTombstones, type Tombstone, writeTombstones } from "./tombstones.ts";

/**
 * Deletes the samples of matching series from `mint` to `maxt`, both inclusive, in the block of `folder`. Readers
 * that are open do not see it: open the block again.
 *
 * @returns how many series have samples less.
 */
export async function deleteSeries(
  folder: string,
  matchers: readonly Matcher[],
  mint: number,
  maxt: number,
): Promise<number> {
  const metaFile = join(folder, "meta.json");
  const meta = readMeta(readFileSync(metaFile, "utf8"), metaFile);
  const tombstonesFile = join(folder, "tombstones");
  const tombstones = new Map<number, readonly Tombstone[]>(readTombstones(tombstonesFile));
  const block = await openBlock(meta, openBlockFolder(folder));
  let count = 0;
  try {
    const refs = await block.select({ matchers, mint, maxt, skipChunks: true, limit: 0 });
    for await (const { ref, chunks } of block.entries(refs)) {
      if (!chunks.some((chunk) => chunk.mint <= maxt && chunk.maxt >= mint)) continue;
      // No further than the series has samples: as Prometheus counts, and as a merge can drop them.
      const from = Math.max(mint, chunks[0]!.mint);
      addTombstone(tombstones, { ref, mint: from, maxt: Math.min(maxt, chunks.at(-1)!.maxt) });
      count++;
    }
  } finally {
    block.close();
  }
  if (count === 0) return 0;
  writeTombstones(tombstonesFile, tombstones);
  const stats = { ...meta.stats, numTombstones: countTombstones(tombstones) };
  writeFileAtomic(metaFile, formatMeta({ ...meta, stats }));
  return count;
}
