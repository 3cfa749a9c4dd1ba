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

/** @throws CorruptionError when it is no meta.json of version 1, or a field readers rely on is of another type. */
export function readMeta(text: string, file: string): BlockMeta {
  let meta: unknown;
  try {
    meta = JSON.parse(text);
  } catch (cause) {
    throw new CorruptionError(file, 0, messageOf(cause), { cause });
  }
  const fail = (what: string): never => {
    throw new CorruptionError(file, 0, what);
  };
  if (!isObject(meta)) return fail("not an object");
  if (meta["version"] !== 1) fail(`version ${String(meta["version"])}, only 1 is known`);
  const { ulid, minTime, maxTime, stats, compaction = {}, thanos } = meta;
  if (typeof ulid !== "string" || !Number.isFinite(minTime) || !Number.isFinite(maxTime)) {
    fail("ulid, minTime or maxTime is missing");
  }
  if (stats !== undefined && !(isObject(stats) && Object.values(stats).every(Number.isFinite))) {
    fail("stats is not an object of numbers");
  }
  if (!isObject(compaction)) return fail("compaction is not an object");
  const { level = 1, sources, parents, hints } = compaction;
  if (!Number.isFinite(level)) fail("compaction.level is not a number");
  if (!isList(sources, isText) || !isList(hints, isText)) fail("compaction.sources or hints is not a list of strings");
  if (!isList(parents, isObject)) fail("compaction.parents is not a list of objects");
  if (thanos !== undefined && thanos !== null) checkThanos(thanos, fail);
  return {
    ...(meta as unknown as BlockMeta),
    compaction: { ...compaction, level: level as number, sources: (sources ?? []) as string[] },
  };
}

function checkThanos(thanos: unknown, fail: (what: string) => never): void {
  if (!isObject(thanos)) return fail("thanos is not an object");
  const { labels = {}, downsample = {}, files, segment_files: segments } = thanos;
  if (!isObject(labels) || !Object.values(labels).every(isText)) fail("thanos.labels is not an object of strings");
  if (!isObject(downsample)) fail("thanos.downsample is not an object");
  if (!isList(files, isObject) || !isList(segments, isText)) fail("thanos.files or segment_files is not a list");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** Go writes an empty list as null or not at all. */
function isList(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.every(isItem));
}

/** Tab-indented as Prometheus writes it. */
export function formatMeta(meta: BlockMeta): string {
  return `${JSON.stringify(meta, undefined, "\t")}\n`;
}
