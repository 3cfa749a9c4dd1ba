/**
 * Which blocks to merge next, as Prometheus's compactor decides (reference/prometheus.md §1.10), and what the merged
 * block's meta.json says of them. Knows metas only, no folder and no bucket.
 */
import type { BlockMeta } from "../block/meta.ts";

const HINT_OUT_OF_ORDER = "from-out-of-order";
/** Blocks made of a part of a head's series: never merged with others, or the hint would be lost. */
const PARTIAL_HINTS = ["from-stale-series", "from-selected-series"] as const;

/** Share of series with a tombstone from which on a block is rewritten. */
const TOMBSTONES_SHARE = 0.05;

/** Ranges of local blocks up to `maxMs`: 2 h, 6 h, 18 h, … */
export function localRanges(firstMs: number, maxMs: number): number[] {
  return exponentialRanges(firstMs, 10, 3).filter((range) => range <= Math.max(firstMs, maxMs));
}

/** `count` ranges, each `factor` times the one before. */
export function exponentialRanges(firstMs: number, count: number, factor: number): number[] {
  return Array.from({ length: count }, (_, i) => firstMs * factor ** i);
}

/**
 * The blocks of the next merge, by minTime; one block alone is rewritten for its tombstones. Empty when there is
 * nothing to do. In this order: blocks that overlap; blocks that fill one aligned range, or lie in one that is over,
 * without the newest block; one with many tombstones. `ranges` ascend.
 */
export function planCompaction(metas: readonly BlockMeta[], ranges: readonly number[]): readonly BlockMeta[] {
  const hinted = PARTIAL_HINTS.map((hint) => metas.filter(({ compaction }) => compaction.hints?.includes(hint)));
  // The plain ones first, so that blocks of parts of a head cannot starve them.
  const plain = metas.filter((meta) => !hinted.some((list) => list.includes(meta)));
  for (const list of [plain, ...hinted]) {
    const plan = planClass(list, ranges);
    if (plan.length > 0) return plan;
  }
  return [];
}

function planClass(metas: readonly BlockMeta[], ranges: readonly number[]): readonly BlockMeta[] {
  const sorted = metas.toSorted((a, b) => a.minTime - b.minTime);
  const overlapping = firstOverlapping(sorted);
  if (overlapping.length > 0) return overlapping;
  // The newest block may still be copied by a backup, and its range is not over.
  const old = sorted.slice(0, -1);
  const inRange = firstInRange(old, ranges);
  if (inRange.length > 0) return inRange;
  return withTombstones(old, ranges);
}

/** The first run of blocks each of which begins before one ahead of it ends. */
function firstOverlapping(sorted: readonly BlockMeta[]): BlockMeta[] {
  const run: BlockMeta[] = [];
  let end = sorted[0]?.maxTime ?? 0;
  for (let i = 1; i < sorted.length; i++) {
    const meta = sorted[i]!;
    if (meta.minTime < end) {
      if (run.length === 0) run.push(sorted[i - 1]!);
      run.push(meta);
    } else if (run.length > 0) break;
    end = Math.max(end, meta.maxTime);
  }
  return run;
}

function firstInRange(sorted: readonly BlockMeta[], ranges: readonly number[]): readonly BlockMeta[] {
  const newest = sorted.at(-1)?.minTime ?? 0;
  for (const range of ranges.slice(1)) {
    for (const group of groupByRange(sorted, range)) {
      if (group.length < 2 || group.some(({ compaction }) => compaction.failed)) continue;
      const end = group.at(-1)!.maxTime;
      if (end - group[0]!.minTime === range || end <= newest) return group;
    }
  }
  return [];
}

/** Blocks by the aligned range of that width they lie in; those that cross a border are left out. */
function groupByRange(sorted: readonly BlockMeta[], range: number): BlockMeta[][] {
  const groups: BlockMeta[][] = [];
  for (let i = 0; i < sorted.length;) {
    const end = Math.floor(sorted[i]!.minTime / range) * range + range;
    const from = i;
    while (i < sorted.length && sorted[i]!.maxTime <= end) i++;
    if (i > from) groups.push(sorted.slice(from, i));
    else i++;
  }
  return groups;
}

/** The newest block worth being rewritten; among small ones only one of which nothing is left. */
function withTombstones(sorted: readonly BlockMeta[], ranges: readonly number[]): readonly BlockMeta[] {
  const widthMin = ranges[Math.floor(ranges.length / 2)] ?? Infinity;
  for (const meta of sorted.toReversed()) {
    const { numTombstones = 0, numSeries = 0 } = meta.stats ?? {};
    if (meta.maxTime - meta.minTime < widthMin) return numTombstones > 0 && numTombstones >= numSeries ? [meta] : [];
    if (numTombstones / (numSeries + 1) > TOMBSTONES_SHARE) return [meta];
  }
  return [];
}

/** Time range and history of the block merged from these; `parents` in the order given. */
export function mergedIdentity(metas: readonly BlockMeta[]): Pick<BlockMeta, "minTime" | "maxTime" | "compaction"> {
  const has = (hint: string) => (meta: BlockMeta) => meta.compaction.hints?.includes(hint) === true;
  const hints = [
    ...(metas.every(has(HINT_OUT_OF_ORDER)) ? [HINT_OUT_OF_ORDER] : []),
    ...PARTIAL_HINTS.filter((hint) => metas.some(has(hint))).toSorted(),
  ];
  return {
    minTime: Math.min(...metas.map(({ minTime }) => minTime)),
    maxTime: Math.max(...metas.map(({ maxTime }) => maxTime)),
    compaction: {
      level: Math.max(...metas.map(({ compaction }) => compaction.level)) + 1,
      sources: [...new Set(metas.flatMap(({ compaction }) => compaction.sources))].sort(),
      parents: metas.map(({ ulid, minTime, maxTime }) => ({ ulid, minTime, maxTime })),
      ...(hints.length > 0 && { hints }),
    },
  };
}

/**
 * History of a block written anew without what is deleted from it: that of `meta`, on the same level. All blocks that
 * the data went through stay named as parents.
 */
export function rewrittenCompaction({ ulid, minTime, maxTime, compaction }: BlockMeta): BlockMeta["compaction"] {
  return { ...compaction, parents: [...(compaction.parents ?? []), { ulid, minTime, maxTime }] };
}

/** The blocks that one of level 1 was written anew from: only then it has parents. */
export function originsOf({ compaction: { level, parents } }: BlockMeta): string[] {
  return level === 1 ? (parents ?? []).map(({ ulid }) => ulid) : [];
}

/** ULIDs of the blocks whose samples this one has: its own, those it was written from, and those they were cut as. */
export function heldBy({ ulid, compaction: { sources, parents = [] } }: BlockMeta): string[] {
  return [...new Set([ulid, ...sources, ...parents.map((parent) => parent.ulid)])];
}
