/** Exemplars and metadata of several blocks, or of blocks and a head, as one: each exemplar once, the newest metadata. */
import { CorruptionError } from "#libs/kit/errors.ts";
import type { Slices } from "#libs/kit/slices.ts";
import { compareLabels, equalLabels, type Labels, labelsKey, labelValue } from "#libs/model/labels.ts";
import type { Matcher } from "#libs/model/matcher.ts";
import type { Exemplar, SeriesExemplars } from "../head/exemplars.ts";
import type { MetadataEntry } from "../head/metric-metadata.ts";
import type { BlockBytes } from "./bytes.ts";
import { encodeExtras, EXEMPLAR_BYTES_MAX, EXTRAS_FILE, readExemplars, readMetadata } from "./extras.ts";
import type { BlockMeta } from "./meta.ts";

interface Source {
  readonly meta: BlockMeta;
  readonly bytes: BlockBytes;
}

/**
 * The extras file of a block merged from these; undefined when they have nothing. Beyond `exemplarBytesMax` the exemplars
 * of the oldest are left out. A source whose file is damaged is told to `onDamage`, and passed over: samples must not wait
 * for it.
 */
export async function mergeExtras(
  sources: readonly Source[],
  slices: Slices,
  onDamage: (error: CorruptionError) => void,
  exemplarBytesMax: number = EXEMPLAR_BYTES_MAX,
): Promise<Uint8Array | undefined> {
  const families = new Map<string, MetadataEntry>();
  const lists: Iterable<SeriesExemplars>[] = [];
  let isPartial = false;
  let bytes = 0;
  for (const { bytes: block } of sources.toSorted((a, b) => b.meta.maxTime - a.meta.maxTime)) {
    if (block.extras === undefined) continue;
    const file = `${block.name}/${EXTRAS_FILE}`;
    try {
      for (const [family, entry] of await readMetadata(block.extras, file))
        if (!families.has(family)) families.set(family, entry);
      const stored = await readExemplars(block.extras, file);
      bytes += stored.bytes;
      isPartial ||= stored.isPartial || bytes > exemplarBytesMax;
      if (bytes <= exemplarBytesMax) lists.push(stored.series);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      isPartial = true;
      onDamage(error);
    }
    if (slices.due) await slices.breathe();
  }
  return encodeExtras(
    { metadata: [...families], exemplars: mergeExemplars(lists), isPartial },
    slices,
    exemplarBytesMax,
  );
}

/** Lists of ascending series as one. */
export function* mergeExemplars(lists: readonly Iterable<SeriesExemplars>[]): Generator<SeriesExemplars> {
  const heads = lists.map((list) => {
    const rest = list[Symbol.iterator]();
    return { rest, next: rest.next() };
  });
  for (;;) {
    let first: Labels | undefined;
    for (const { next } of heads)
      if (next.done !== true && (first === undefined || compareLabels(next.value.series, first) < 0))
        first = next.value.series;
    if (first === undefined) return;
    const same: (readonly Exemplar[])[] = [];
    for (const head of heads) {
      if (head.next.done === true || !equalLabels(head.next.value.series, first)) continue;
      same.push(head.next.value.exemplars);
      head.next = head.rest.next();
    }
    yield { series: first, exemplars: same.length === 1 ? same[0]! : joinExemplars(same) };
  }
}

/** Exemplars of one series from several places, by time, each once. */
export function joinExemplars<E extends Exemplar>(lists: readonly (readonly E[])[]): E[] {
  let time = NaN;
  /** Of that time. */
  const seen = new Set<string>();
  return lists
    .flat()
    .sort((a, b) => a.time - b.time)
    .filter((exemplar) => {
      if (exemplar.time !== time) seen.clear();
      time = exemplar.time;
      const bits = new BigInt64Array(exemplar.value.buffer, exemplar.value.byteOffset, 1)[0]!;
      const key = `${bits} ${labelsKey(exemplar.labels)}`;
      const isNew = !seen.has(key);
      seen.add(key);
      return isNew;
    });
}

/** Of series that one of the lists of matchers selects, those in [mint, maxt]; undefined when there are none. */
export function selectExemplars(
  { series, exemplars }: SeriesExemplars,
  matchers: readonly (readonly Matcher[])[],
  mint: number,
  maxt: number,
): SeriesExemplars | undefined {
  if (!matchers.some((set) => set.every((matcher) => matcher.matches(labelValue(series, matcher.name)))))
    return undefined;
  const inRange = exemplars.filter(({ time }) => time >= mint && time <= maxt);
  return inRange.length === 0 ? undefined : { series, exemplars: inRange };
}
