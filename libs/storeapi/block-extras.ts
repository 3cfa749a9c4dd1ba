/** Exemplars and metadata out of the files that blocks keep of them. One that cannot be read costs a warning. */
import { CorruptionError, LimitError, NotFoundError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import { type Labels, withLabel } from "#libs/model/labels.ts";
import type { Matcher } from "#libs/model/matcher.ts";
import type { BlockBytes } from "#libs/tsdb/block/bytes.ts";
import { EXTRAS_FILE, readExemplars, readMetadata } from "#libs/tsdb/block/extras.ts";
import { mergeExemplars, selectExemplars } from "#libs/tsdb/block/merge-extras.ts";
import type { SeriesExemplars } from "#libs/tsdb/head/exemplars.ts";
import type { MetadataEntry } from "#libs/tsdb/head/metric-metadata.ts";

export interface ExemplarAnswer {
  /** Ascending by labels of the blocks' own, each series once. */
  readonly values: readonly SeriesExemplars[];
  readonly warnings: readonly string[];
}

export interface MetadataAnswer {
  readonly values: ReadonlyMap<string, MetadataEntry>;
  readonly warnings: readonly string[];
}

export interface ExemplarRange {
  /** Milliseconds, both inclusive. */
  readonly mint: number;
  readonly maxt: number;
  /** Most exemplars of an answer. */
  readonly countMax: number;
}

/** Exemplars in the blocks of series that one of the lists of matchers selects. @throws LimitError */
export async function exemplarsOf(
  blocks: readonly BlockBytes[],
  matchers: readonly (readonly Matcher[])[],
  { mint, maxt, countMax }: ExemplarRange,
  signal: AbortSignal,
): Promise<ExemplarAnswer> {
  const slices = new Slices(10, signal);
  const warnings: string[] = [];
  const lists: SeriesExemplars[][] = [];
  let count = 0;
  for (const block of matchers.length === 0 ? [] : blocks) {
    await orWarn(warnings, async () => {
      const file = `${block.name}/${EXTRAS_FILE}`;
      if (block.extras === undefined) return;
      const { series, isPartial } = await readExemplars(block.extras, file);
      if (isPartial) warnings.push(`${file}: not all exemplars are in it, there were too many`);
      const list: SeriesExemplars[] = [];
      lists.push(list);
      for (const stored of series) {
        const selected = selectExemplars(stored, matchers, mint, maxt);
        if (selected !== undefined) list.push(selected);
        count += selected?.exemplars.length ?? 0;
        if (count > countMax)
          throw new LimitError(
            `more than ${countMax} exemplars are selected, --store.limits.request-exemplars allows no more; ask for less series or time, or raise it`,
          );
        if (slices.due) await slices.breathe();
      }
    });
  }
  return { values: [...mergeExemplars(lists)], warnings };
}

/** What the blocks say of metrics: of several, the first. */
export async function metadataOf(blocks: readonly BlockBytes[]): Promise<MetadataAnswer> {
  const slices = new Slices(10);
  const values = new Map<string, MetadataEntry>();
  const warnings: string[] = [];
  for (const { extras, name } of blocks) {
    await orWarn(warnings, async () => {
      if (extras === undefined) return;
      for (const [family, entry] of await readMetadata(extras, `${name}/${EXTRAS_FILE}`))
        if (!values.has(family)) values.set(family, entry);
    });
    if (slices.due) await slices.breathe();
  }
  return { values, warnings };
}

async function orWarn(warnings: string[], read: () => Promise<void>): Promise<void> {
  try {
    await read();
  } catch (error) {
    // What replicates buckets may leave our file behind.
    if (!(error instanceof CorruptionError || error instanceof NotFoundError)) throw error;
    warnings.push(error.message);
  }
}

/** The list with external labels on its series; they win. */
export function withExternal({ series, exemplars }: SeriesExemplars, external: Labels): SeriesExemplars {
  let labels = series;
  for (let i = 0; i < external.length; i += 2) labels = withLabel(labels, external[i]!, external[i + 1]!);
  return { series: labels, exemplars };
}
