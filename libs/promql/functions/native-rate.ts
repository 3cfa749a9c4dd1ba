/** The histogram part of `rate`, `increase`, `delta`, `irate` and `idelta` (prometheus/promql/functions.go). */
import type { SampleColumns } from "#libs/model/columns.ts";
import { RESET_HINT } from "#libs/model/histogram.ts";
import { copyHistogram, NativeHistogram } from "#libs/model/native-histogram.ts";
import { addHistograms, subtractHistograms } from "#libs/model/native-histogram/add.ts";
import { detectReset } from "#libs/model/native-histogram/compare.ts";
import { compactHistogram, reduceSchema } from "#libs/model/native-histogram/scale.ts";

/** What a query is to be told; the engine has the words. */
export type RateNote =
  | "mixed-samples"
  | "mixed-schemas"
  | "not-counter"
  | "not-gauge"
  | "start-overlap"
  | "bounds-reconciled-add"
  | "bounds-reconciled-sub";

export interface HistogramRate {
  /** A compact gauge; undefined when the samples do not fit together. */
  readonly histogram: NativeHistogram | undefined;
  readonly notes: ReadonlySet<RateNote>;
}

/**
 * What histograms rose by in a window of at least two samples [from, to), not extrapolated: the last less the first and,
 * for a counter, plus the one before each reset. If the second sample was reset, the first counts as empty and its
 * buckets need not fit the others'. Without `isCounter`, only the first and the last matter.
 */
export function histogramRate(columns: SampleColumns, from: number, to: number, isCounter: boolean): HistogramRate {
  const histograms = columns.histograms ?? [];
  for (let i = from; i < to; i++) if (histograms[i] === undefined) return refused(new Set(["mixed-samples"]));
  const notes = new Set<RateNote>();
  let previous = histograms[from]!;
  const last = histograms[to - 1]!;
  if (isCounter && (isGauge(previous) || isGauge(last))) notes.add("not-counter");
  if (isCounter && isReset(columns, from + 1, previous)) previous = emptyLike(histograms[from + 1]!);
  const isCustom = previous.usesCustomBuckets;
  if (last.usesCustomBuckets !== isCustom) return refused(notes.add("mixed-schemas"));
  if (!isCounter && !(isGauge(previous) && isGauge(last))) notes.add("not-gauge");

  let schema = Math.min(last.schema, previous.schema);
  for (let i = from + 1; isCounter && i < to - 1; i++) {
    const h = histograms[i]!;
    // Prometheus forgets here what it was going to say, unlike above.
    if (h.usesCustomBuckets !== isCustom) return refused(new Set(["mixed-schemas"]));
    if (isGauge(h)) notes.add("not-counter");
    schema = Math.min(schema, h.schema);
  }
  let rise = subtract(reduceSchema(last, schema), previous, notes);
  for (let i = from + 1; isCounter && i < to; i++) {
    if (startsOverlap(columns, i)) notes.add("start-overlap");
    if (isReset(columns, i, previous)) {
      const sum = addHistograms(rise, previous)!;
      if (sum.boundsReconciled) notes.add("bounds-reconciled-add");
      rise = sum.histogram;
    }
    previous = histograms[i]!;
  }
  return { histogram: compactGauge(rise), notes };
}

/**
 * What the last two samples rose by: their difference or, if the counter was reset in between (`startedAnew` says what
 * start timestamps say), the last one. `irate` is then divided by the seconds between.
 */
export function instantHistogram(
  previous: NativeHistogram,
  last: NativeHistogram,
  isCounter: boolean,
  startedAnew: boolean,
): HistogramRate {
  const notes = new Set<RateNote>();
  if (isCounter && (isGauge(previous) || isGauge(last))) notes.add("not-counter");
  if (!isCounter && !(isGauge(previous) && isGauge(last))) notes.add("not-gauge");
  if (isCounter && (startedAnew || detectReset(last, previous))) return { histogram: compactGauge(last), notes };
  if (last.usesCustomBuckets !== previous.usesCustomBuckets) return refused(notes.add("mixed-schemas"));
  return { histogram: compactGauge(subtract(last, previous, notes)), notes };
}

function refused(notes: ReadonlySet<RateNote>): HistogramRate {
  return { histogram: undefined, notes };
}

function isGauge(h: NativeHistogram): boolean {
  return h.counterResetHint === RESET_HINT.GAUGE;
}

/** Was the counter reset after `previous`, which stands for sample i - 1? */
function isReset({ times, starts, histograms }: SampleColumns, i: number, previous: NativeHistogram): boolean {
  const startedAnew = starts !== undefined && startsAnew(starts[i - 1]!, times[i - 1]!, starts[i]!, times[i]!);
  return startedAnew || detectReset(histograms![i]!, previous);
}

/** No observations, in the buckets of `h`. */
function emptyLike(h: NativeHistogram): NativeHistogram {
  const empty = new NativeHistogram();
  empty.schema = h.schema;
  empty.customValues = h.customValues;
  return empty;
}

function subtract(a: NativeHistogram, b: NativeHistogram, notes: Set<RateNote>): NativeHistogram {
  const { histogram, boundsReconciled } = subtractHistograms(a, b)!;
  if (boundsReconciled) notes.add("bounds-reconciled-sub");
  return histogram;
}

function compactGauge(h: NativeHistogram): NativeHistogram {
  const gauge = copyHistogram(compactHistogram(h));
  gauge.counterResetHint = RESET_HINT.GAUGE;
  return gauge;
}

/**
 * Do start timestamps (ms, 0 unknown) say that a counter began anew after the sample before? One at that sample's time
 * does if that one's start is known, as of deltas; one at or behind its own sample says nothing.
 */
export function startsAnew(previousStart: number, previousTime: number, start: number, time: number): boolean {
  if (start === 0 || start >= time || start < previousTime) return false;
  return start > previousTime || (previousStart !== 0 && previousStart < previousTime);
}

/** Does sample `i` claim to have counted since before the sample before it, which counts from elsewhere? */
export function startsOverlap({ times, starts }: SampleColumns, i: number): boolean {
  return starts !== undefined && starts[i] !== 0 && starts[i]! < times[i - 1]! && starts[i] !== starts[i - 1];
}
