/**
 * rate, increase, delta, irate and idelta (prometheus/promql/functions.go: extrapolatedRate, instantValue). The float
 * kernels are what nearly every query runs; the mixed ones also know histograms and start timestamps.
 */
import type { SampleColumns } from "#libs/model/columns.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { addHistograms, subtractHistograms } from "#libs/model/native-histogram/add.ts";
import { divideHistogram, scaleHistogram } from "#libs/model/native-histogram/scale.ts";
import { histogramOf, isMixed, type MixedWindow } from "./mixed-window.ts";
import { histogramRate, instantHistogram, type RateNote, startsAnew, startsOverlap } from "./native-rate.ts";
import type { Window } from "./window.ts";

/** Floats without start timestamps; `FloatScanner` has a loop of its own for these. */
export function extrapolated(
  columns: SampleColumns,
  from: number,
  to: number,
  window: Window,
  isCounter: boolean,
  isRate: boolean,
): boolean {
  const count = to - from;
  if (count < 2) return false;
  const { times, values } = columns;
  const first = values[from]!;
  let growth = values[to - 1]! - first;
  for (let i = from + 1; isCounter && i < to; i++) if (values[i]! < values[i - 1]!) growth += values[i - 1]!;
  const { start, end } = window;
  let factor = extrapolation(start, end, times[from]!, times[to - 1]!, count, isCounter ? growth : 0, first);
  if (isRate) factor /= window.rangeSeconds;
  window.result = growth * factor;
  return true;
}

/**
 * The factor from growth between samples to growth over the range: up to its borders where samples are dense enough
 * to reach them, else half an interval further; a counter (`growth` > 0) not further back than where it was zero.
 */
export function extrapolation(
  start: number,
  end: number,
  firstTime: number,
  lastTime: number,
  count: number,
  growth: number,
  first: number,
): number {
  let toStart = (firstTime - start) / 1000;
  let toEnd = (end - lastTime) / 1000;
  const sampled = (lastTime - firstTime) / 1000;
  const average = sampled / (count - 1);
  const threshold = average * 1.1;
  if (toStart >= threshold) toStart = average / 2;
  if (growth > 0 && first >= 0) {
    const toZero = sampled * (first / growth);
    if (toZero < toStart) toStart = toZero;
  }
  if (toEnd >= threshold) toEnd = average / 2;
  return (sampled + toStart + toEnd) / sampled;
}

export function mixedRate(w: MixedWindow, isCounter: boolean, isRate: boolean): boolean {
  if (isMixed(w)) return false;
  return w.histogramTo > w.histogramFrom ? mixedHistogramRate(w, isCounter, isRate) : startedRate(w, isCounter, isRate);
}

/** Floats of which some have start timestamps. */
function startedRate(w: MixedWindow, isCounter: boolean, isRate: boolean): boolean {
  const { floatFrom: from, floatTo: to } = w;
  const { times, values, starts } = w.series.floats;
  if (from === to) return false;
  let growth = values[to - 1]! - values[from]!;
  if (isCounter) {
    let overlaps = false;
    for (let i = from + 1; i < to; i++) {
      const anew = starts !== undefined && startsAnew(starts[i - 1]!, times[i - 1]!, starts[i]!, times[i]!);
      if (values[i]! < values[i - 1]! || anew) growth += values[i - 1]!;
      if (startsOverlap(w.series.floats, i)) overlaps = true;
    }
    if (overlaps) w.notes.startTimeOverlap(w.metric, w.at);
  }
  const start = isCounter ? startInside(w, starts, times, from) : undefined;
  if (start === undefined && to - from === 1) return false;
  const factor =
    start === undefined
      ? extrapolation(w.start, w.end, times[from]!, times[to - 1]!, to - from, isCounter ? growth : 0, values[from]!)
      : startedExtrapolation(w, start, times, from, to);
  if (start !== undefined) growth += values[from]!;
  w.result = growth * (isRate ? factor / w.rangeSeconds : factor);
  return true;
}

/** The start timestamp of the first sample, where it lies in the range: the counter was zero then. */
function startInside(
  w: Window,
  starts: Float64Array | undefined,
  times: Float64Array,
  from: number,
): number | undefined {
  const start = starts?.[from] ?? 0;
  return start !== 0 && start > w.start && start < times[from]! ? start : undefined;
}

/** Nothing is to be guessed at the left border. */
function startedExtrapolation(w: Window, start: number, times: Float64Array, from: number, to: number): number {
  const last = times[to - 1]!;
  const average = to - from > 1 ? (last - times[from]!) / 1000 / (to - from - 1) : 0;
  const sampled = (last - start) / 1000;
  let toEnd = (w.end - last) / 1000;
  if (toEnd >= average * 1.1) toEnd = average / 2;
  return (sampled + toEnd) / sampled;
}

function mixedHistogramRate(w: MixedWindow, isCounter: boolean, isRate: boolean): boolean {
  const { histogramFrom: from, histogramTo: to } = w;
  const { histograms } = w.series;
  let growth: NativeHistogram | undefined;
  if (to - from > 1) {
    const rate = histogramRate(histograms, from, to, isCounter);
    tell(w, rate.notes);
    if (rate.histogram === undefined) return false;
    growth = rate.histogram;
  }
  const { times, starts } = histograms;
  const first = histogramOf(w.series, from);
  const start = isCounter ? startInside(w, starts, times, from) : undefined;
  let factor: number;
  if (start !== undefined) {
    growth = growth === undefined ? first : joined(w, growth, first, "addition");
    factor = startedExtrapolation(w, start, times, from, to);
  } else if (growth === undefined) return false;
  else
    factor = extrapolation(
      w.start,
      w.end,
      times[from]!,
      times[to - 1]!,
      to - from,
      isCounter ? growth.count : 0,
      first.count,
    );
  if (growth === undefined) return false;
  w.histogram = scaleHistogram(growth, isRate ? factor / w.rangeSeconds : factor);
  return true;
}

function tell({ notes, metric, at }: MixedWindow, said: ReadonlySet<RateNote>): void {
  for (const note of said) {
    if (note === "mixed-samples") notes.mixedFloatsHistograms(metric, at);
    else if (note === "mixed-schemas") notes.mixedSchemas(metric, at);
    else if (note === "not-counter") notes.notCounter(metric, at);
    else if (note === "not-gauge") notes.notGauge(metric, at);
    else if (note === "start-overlap") notes.startTimeOverlap(metric, at);
    else notes.boundsReconciled(note === "bounds-reconciled-add" ? "addition" : "subtraction", at);
  }
}

/** `a` ± `b` with what there is to say about it; undefined when their buckets are of different kinds. */
export function joined(
  w: MixedWindow,
  a: NativeHistogram,
  b: NativeHistogram,
  operation: "addition" | "subtraction",
): NativeHistogram | undefined {
  const outcome = operation === "addition" ? addHistograms(a, b) : subtractHistograms(a, b);
  if (outcome === undefined) {
    w.notes.mixedSchemas(w.metric, w.at);
    return undefined;
  }
  if (outcome.boundsReconciled) w.notes.boundsReconciled(operation, w.at);
  return outcome.histogram;
}

export function instantDelta(
  columns: SampleColumns,
  from: number,
  to: number,
  window: Window,
  isRate: boolean,
): boolean {
  if (to - from < 2) return false;
  const { times, values } = columns;
  const last = values[to - 1]!;
  const previous = values[to - 2]!;
  const elapsed = times[to - 1]! - times[to - 2]!;
  if (elapsed === 0) return false;
  const delta = isRate && last < previous ? last : last - previous;
  window.result = isRate ? delta / (elapsed / 1000) : delta;
  return true;
}

/** The same of the last two samples, whatever they are. */
export function mixedInstantDelta(w: MixedWindow, isRate: boolean): boolean {
  const { floats, histograms } = w.series;
  const floatCount = w.floatTo - w.floatFrom;
  const histogramCount = w.histogramTo - w.histogramFrom;
  if (floatCount + histogramCount < 2) return false;
  const f = w.floatTo - 1;
  const h = w.histogramTo - 1;
  if (floatCount >= 2 && (histogramCount === 0 || floats.times[f - 1]! > histograms.times[h]!)) {
    if (!isRate || !hasNewStart(floats, f)) return instantDelta(floats, w.floatFrom, w.floatTo, w, isRate);
    w.result = floats.values[f]! / ((floats.times[f]! - floats.times[f - 1]!) / 1000);
    return true;
  }
  if (!(histogramCount >= 2 && (floatCount === 0 || histograms.times[h - 1]! > floats.times[f]!))) {
    w.notes.mixedFloatsHistograms(w.metric, w.at);
    return false;
  }
  const [previous, last] = [histogramOf(w.series, h - 1), histogramOf(w.series, h)];
  const delta = instantHistogram(previous, last, isRate, isRate && hasNewStart(histograms, h));
  tell(w, delta.notes);
  if (delta.histogram === undefined) return false;
  const seconds = (histograms.times[h]! - histograms.times[h - 1]!) / 1000;
  w.histogram = isRate ? divideHistogram(delta.histogram, seconds) : delta.histogram;
  return true;
}

/** Whether start timestamps say that the counter began anew before sample `i`. */
export function hasNewStart({ times, starts }: SampleColumns, i: number): boolean {
  return starts !== undefined && startsAnew(starts[i - 1]!, times[i - 1]!, starts[i]!, times[i]!);
}
