/**
 * meta.json of a block: Prometheus's fields and Thanos's `thanos` section. Unknown keys are kept as they are.
 * Formats: prometheus/tsdb/block.go, thanos/pkg/block/metadata/meta.go.
 */
import { CorruptionError, messageOf } from "#libs/kit/errors.ts";

export interface BlockStats {
  readonly numSamples?: number;
  readonly numFloatSamples?: number;
  readonly numHistogramSamples?: number;
  readonly numSeries?: number;
  readonly numChunks?: number;
  readonly numTombstones?: number;
}

export interface ThanosMeta {
  readonly version?: number;
  /** External labels; never empty on upload. */
  readonly labels: Readonly<Record<string, string>>;
  readonly downsample: { readonly resolution: number };
  readonly source: string;
  readonly segment_files?: readonly string[];
  readonly files?: readonly { readonly rel_path: string; readonly size_bytes?: number }[];
  readonly index_stats?: { readonly series_max_size?: number; readonly chunk_max_size?: number };
  readonly upload_time?: string;
}

export interface BlockMeta {
  readonly ulid: string;
  /** Milliseconds; the block covers [minTime, maxTime). */
  readonly minTime: number;
  readonly maxTime: number;
  readonly stats?: BlockStats;
  readonly compaction: {
    readonly level: number;
    readonly sources: readonly string[];
    readonly parents?: readonly { readonly ulid: string; readonly minTime: number; readonly maxTime: number }[];
    readonly hints?: readonly string[];
    /** A merge of it came to nothing: all is deleted. */
    readonly deletable?: boolean;
    /** A merge of it went wrong: not tried again with others of its range. */
    readonly failed?: boolean;
  };
  readonly version: 1;
  readonly thanos?: ThanosMeta;
}

/** @throws CorruptionError when it is no meta.json of version 1. */
export function readMeta(text: string, file: string): BlockMeta {
  let meta: Partial<BlockMeta> | null;
  try {
    meta = JSON.parse(text) as Partial<BlockMeta> | null;
  } catch (cause) {
    throw new CorruptionError(file, 0, messageOf(cause), { cause });
  }
  if (meta === null || typeof meta !== "object") throw new CorruptionError(file, 0, "not an object");
  if (meta.version !== 1) throw new CorruptionError(file, 0, `version ${String(meta.version)}, only 1 is known`);
  const { ulid, minTime, maxTime } = meta;
  if (typeof ulid !== "string" || !Number.isFinite(minTime) || !Number.isFinite(maxTime)) {
    throw new CorruptionError(file, 0, "ulid, minTime or maxTime is missing");
  }
  return {
    ...(meta as BlockMeta),
    compaction: { ...meta.compaction, level: meta.compaction?.level ?? 1, sources: meta.compaction?.sources ?? [] },
  };
}

/** Tab-indented as Prometheus writes it. */
export function formatMeta(meta: BlockMeta): string {
  return `${JSON.stringify(meta, undefined, "\t")}\n`;
}
