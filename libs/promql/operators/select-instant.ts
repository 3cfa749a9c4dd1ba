/**
 * Instant selectors: series by series from storage into tiles. A series' samples are decoded once, into contiguous
 * columns, and every step finds its sample by moving a pointer forward.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import type { SampleColumns } from "#libs/model/columns.ts";
import { RESET_HINT } from "#libs/model/histogram.ts";
import { borrowColumns, returnColumns } from "#libs/model/kernel-memory.ts";
import { labelValue, METRIC_NAME } from "#libs/model/labels.ts";
import { type NativeHistogram, withHint } from "#libs/model/native-histogram.ts";
import { isStale } from "#libs/model/stale.ts";
import { interpolateHistograms } from "../functions/extended-range.ts";
import type { VectorSelector } from "../parser/ast.ts";
import type { SelectRequest, SeriesBatch } from "../storage.ts";
import { FLOAT, lastStep, setFloat, setHistogram, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { keepStats } from "./histogram-stats.ts";
import { TileFiller } from "./tile-filler.ts";

/** What is wanted of a sample: the value, its time or its start time in seconds, its time in ms (of info metrics). */
export type SampleAspect = "value" | "time" | "start" | "info";

/** Reference times of the steps: `first + i * stepMs`, or `first` at every step under `@`. */
interface Lookup {
  readonly first: number;
  readonly stepMs: number;
  readonly count: number;
  readonly lookbackMs: number;
}

/** The sample of each series at each step: the newest within the lookback, unless it is a stale marker. */
export async function* selectInstant(
  selector: VectorSelector,
  context: EvalContext,
  aspect: SampleAspect,
): AsyncGenerator<Tile> {
  const { steps, lookbackMs, slices } = context;
  const fixed = selector.at?.kind === "time" ? selector.at.timeMs : undefined;
  const first = (fixed ?? steps.startMs) - selector.offsetMs;
  const last = (fixed ?? lastStep(steps)) - selector.offsetMs;
  const lookup = { first, stepMs: fixed === undefined ? steps.stepMs : 0, count: steps.count, lookbackMs };
  const smoothed = selector.borders === "smoothed" && aspect === "value";
  const request: SelectRequest = {
    matchers: selector.matchers,
    mint: first - lookbackMs + 1,
    maxt: smoothed ? last + lookbackMs : last,
    func: aspect === "value" ? "" : aspect === "info" ? "info" : "timestamp",
    stepMs: steps.stepMs,
    rangeMs: 0,
    newestOnly: !smoothed && (steps.count === 1 || fixed !== undefined),
    labels: selector.labels,
  };
  const columns = borrowColumns();
  const filler = new TileFiller(steps.count);
  try {
    for await (const batch of context.storage.select(request, onWarning(context), context.signal)) {
      while (
        takeSeries(batch, columns, request.mint, lookup, smoothed ? "smoothed" : aspect, filler, selector, context)
      ) {
        yield filler.take();
        if (slices.due) await slices.breathe();
      }
      if (slices.due) await slices.breathe();
    }
  } finally {
    returnColumns(columns);
  }
  if (!filler.isEmpty) yield filler.take();
}

/**
 * Takes series into the tile. @returns true when that is full, false when the batch has no more. Not in the generator,
 * whose loops are compiled anew for every query and less well.
 */
function takeSeries(
  batch: SeriesBatch,
  columns: SampleColumns,
  mint: number,
  lookup: Lookup,
  aspect: SampleAspect | "smoothed",
  filler: TileFiller,
  selector: VectorSelector,
  context: EvalContext,
): boolean {
  const { budget } = context;
  while (batch.next()) {
    columns.clear();
    batch.samples(columns);
    if (selector.statsOnly === true) keepStats(columns, mint);
    budget.load(columns.length);
    const any =
      aspect === "smoothed"
        ? smooth(columns, lookup, filler, batch, selector, context)
        : columns.histograms === undefined && (aspect === "value" || aspect === "time")
          ? find(columns, lookup, aspect === "time", filler.tile.values, filler.tile.present, filler.from)
          : findAny(columns, lookup, aspect, filler.tile, filler.from);
    if (any && filler.keep(batch.labels())) return true;
  }
  return false;
}

export function onWarning(context: EvalContext): (text: string) => void {
  return (text) => context.annotations.warn(text);
}

/** A series of floats. @returns whether there was any. */
function find(
  columns: SampleColumns,
  { first, stepMs, count, lookbackMs }: Lookup,
  wantsTime: boolean,
  values: Float64Array,
  present: Uint8Array,
  from: number,
): boolean {
  const { times, words, length } = columns;
  const source = columns.values;
  let any = false;
  let i = -1;
  for (let step = 0; step < count; step++) {
    const time = first + step * stepMs;
    while (i + 1 < length && times[i + 1]! <= time) i++;
    if (i < 0 || times[i]! <= time - lookbackMs || isStale(words, i)) continue;
    values[from + step] = wantsTime ? times[i]! / 1000 : source[i]!;
    present[from + step] = FLOAT;
    any = true;
  }
  return any;
}

/** A series of anything. */
function findAny(
  columns: SampleColumns,
  { first, stepMs, count, lookbackMs }: Lookup,
  aspect: SampleAspect,
  tile: Tile,
  from: number,
): boolean {
  const { times, words, values, histograms, starts, length } = columns;
  let any = false;
  let i = -1;
  for (let step = 0; step < count; step++) {
    const time = first + step * stepMs;
    while (i + 1 < length && times[i + 1]! <= time) i++;
    if (i < 0 || times[i]! <= time - lookbackMs || isStale(words, i)) continue;
    const histogram = histograms?.[i];
    if (aspect === "time") setFloat(tile, from + step, times[i]! / 1000);
    else if (aspect === "start") setFloat(tile, from + step, (starts?.[i] ?? 0) / 1000);
    else if (aspect === "info") setFloat(tile, from + step, infoTime(times[i]!, histogram));
    else if (histogram !== undefined) setHistogram(tile, from + step, histogram);
    else setFloat(tile, from + step, values[i]!);
    any = true;
  }
  return any;
}

function infoTime(time: number, histogram: NativeHistogram | undefined): number {
  if (histogram !== undefined) throw new ExecutionError("this should be an info metric, with float samples");
  return time;
}

/** `metric smoothed`: on the line between the samples around a step; the last sample goes on for a lookback. */
function smooth(
  columns: SampleColumns,
  { first, stepMs, count, lookbackMs }: Lookup,
  { tile, from }: TileFiller,
  batch: SeriesBatch,
  selector: VectorSelector,
  context: EvalContext,
): boolean {
  const notes = context.annotations;
  dropStale(columns);
  const { times, values, histograms, length } = columns;
  let any = false;
  for (let step = 0; step < count; step++) {
    const time = first + step * stepMs;
    let low = 0;
    while (low < length && times[low]! <= time - lookbackMs) low++;
    let high = low;
    while (high < length && times[high]! <= time + lookbackMs) high++;
    if (low === high) continue;
    const kinds = new Set<boolean>();
    for (let i = low; i < high; i++) kinds.add(histograms?.[i] !== undefined);
    const metric = labelValue(batch.labels(), METRIC_NAME);
    if (kinds.size === 2) {
      notes.mixedFloatsHistograms(metric, selector.span);
      continue;
    }
    let i = low;
    while (i < high && times[i]! < time) i++;
    const isExact = i < high && times[i] === time;
    if (!isExact && i === low) continue; // nothing before it
    const at = from + step;
    if (kinds.has(false)) {
      const value = isExact
        ? values[i]!
        : i === high
          ? values[i - 1]!
          : values[i - 1]! + ((values[i]! - values[i - 1]!) * (time - times[i - 1]!)) / (times[i]! - times[i - 1]!);
      setFloat(tile, at, value);
      any = true;
      continue;
    }
    const previous = histograms![i - 1];
    const next = histograms![i];
    if (!isExact && i < high && previous!.usesCustomBuckets !== next!.usesCustomBuckets) {
      notes.mixedSchemas(metric, selector.span);
      continue;
    }
    if (isExact) setHistogram(tile, at, next!);
    else if (i === high) setHistogram(tile, at, withHint(previous!, RESET_HINT.UNKNOWN));
    else {
      const areGauges = previous!.counterResetHint === RESET_HINT.GAUGE && next!.counterResetHint === RESET_HINT.GAUGE;
      const between = interpolateHistograms(
        previous!,
        times[i - 1]!,
        next!,
        times[i]!,
        time,
        !areGauges,
        notes,
        metric,
        selector.span,
      );
      if (between === undefined) continue;
      setHistogram(tile, at, between);
    }
    any = true;
  }
  return any;
}

/** Takes the stale markers out. */
export function dropStale(columns: SampleColumns): void {
  const { times, values, words, histograms, starts, length } = columns;
  // Most series have none, and a marker is a NaN.
  let kept = 0;
  while (kept < length && !Number.isNaN(values[kept]!)) kept++;
  for (let i = kept; i < length; i++) {
    if (isStale(words, i)) continue;
    if (kept !== i) {
      times[kept] = times[i]!;
      words[2 * kept] = words[2 * i]!;
      words[2 * kept + 1] = words[2 * i + 1]!;
      if (histograms !== undefined) histograms[kept] = histograms[i];
      if (starts !== undefined) starts[kept] = starts[i]!;
    }
    kept++;
  }
  columns.length = kept;
  if (histograms !== undefined) histograms.length = kept;
}
