/**
 * Ranges with other borders (prometheus/promql/functions.go: extendedRate and its like). The window reaches a lookback
 * further to the left, and for `smoothed` also to the right; what counts at a border is
 *
 *   anchored: the last sample at or before it, and no extrapolation
 *   smoothed: the value interpolated between its neighbours
 */
import type { SampleColumns } from "#libs/model/columns.ts";
import { RESET_HINT } from "#libs/model/histogram.ts";
import { type NativeHistogram, withHint } from "#libs/model/native-histogram.ts";
import { addHistograms, subtractHistograms } from "#libs/model/native-histogram/add.ts";
import { detectReset } from "#libs/model/native-histogram/compare.ts";
import { compactHistogram, divideHistogram, scaleHistogram } from "#libs/model/native-histogram/scale.ts";
import type { Annotations } from "../annotations.ts";
import type { Span } from "../parser/ast.ts";
import { isMixed, type MixedWindow } from "./mixed-window.ts";
import { joined } from "./rate.ts";

/** First index in [from, to) whose time is above `time`, `to` if there is none. */
function after(times: Float64Array, from: number, to: number, time: number): number {
  let i = from;
  while (i < to && times[i]! <= time) i++;
  return i;
}

/**
 * The samples [first, last] that matter of [from, to): from the last one at or before the start on; smoothed up to the
 * first at or after the end. Undefined when none of them says anything about the range.
 */
function bounds(
  times: Float64Array,
  from: number,
  to: number,
  w: MixedWindow,
  smoothed: boolean,
): { first: number; last: number } | undefined {
  const first = Math.max(from, after(times, from, to - 1, w.start) - 1);
  let last = to - 1;
  if (smoothed) {
    last = from;
    while (last < to - 1 && times[last]! < w.end) last++;
  }
  if (times[last]! <= w.start) return undefined;
  if (smoothed && times[first]! > w.end) return undefined;
  return { first, last };
}

/** The line through samples i and i + 1 at `time`; a counter that fell between them began at zero. */
function interpolate(floats: SampleColumns, i: number, time: number, isCounter: boolean): number {
  const { times, values } = floats;
  let left = values[i]!;
  const right = values[i + 1]!;
  if (isCounter && right < left) left = 0;
  return left + ((right - left) * (time - times[i]!)) / (times[i + 1]! - times[i]!);
}

export function extendedRate(w: MixedWindow, smoothed: boolean, isCounter: boolean, isRate: boolean): boolean {
  if (isMixed(w)) return false;
  if (w.histogramTo > w.histogramFrom) return extendedHistogramRate(w, smoothed, isCounter, isRate);
  if (w.floatTo === w.floatFrom) return false;
  const { floats } = w.series;
  const { times, values } = floats;
  const found = bounds(times, w.floatFrom, w.floatTo, w, smoothed);
  if (found === undefined) return false;
  let { first, last } = found;
  const left = leftValue(floats, first, w.start, smoothed, isCounter);
  const right = rightValue(floats, last, w.floatFrom, w.end, smoothed, isCounter);
  let result = right - left;
  if (isCounter) {
    // The borders know of the resets beside them.
    if (times[first]! <= w.start) first++;
    if (times[last]! >= w.end) last--;
    let correction = 0;
    let previous = left;
    for (let i = first; i <= last; i++) {
      if (values[i]! < previous) correction += previous;
      previous = values[i]!;
    }
    if (right < previous) correction += previous;
    result += correction;
  }
  w.result = isRate ? result / w.rangeSeconds : result;
  return true;
}

function leftValue(floats: SampleColumns, first: number, start: number, smoothed: boolean, isCounter: boolean): number {
  return smoothed && floats.times[first]! < start
    ? interpolate(floats, first, start, isCounter)
    : floats.values[first]!;
}

function rightValue(
  floats: SampleColumns,
  last: number,
  from: number,
  end: number,
  smoothed: boolean,
  isCounter: boolean,
): number {
  return smoothed && last > from && floats.times[last]! > end
    ? interpolate(floats, last - 1, end, isCounter)
    : floats.values[last]!;
}

/**
 * The samples of a bare range selector with these borders: one at the start, those of [from, to) between, one at the
 * end. Undefined when there are none. Not of counters: nothing says that it is one.
 */
export function extendedSamples(
  floats: SampleColumns,
  from: number,
  to: number,
  start: number,
  end: number,
  smoothed: boolean,
): { times: Float64Array; values: Float64Array } | undefined {
  const lastIndex = to - 1;
  let first = Math.max(from, after(floats.times, from, lastIndex, start) - 1);
  let last = lastIndex;
  if (smoothed) {
    last = from;
    while (last < lastIndex && floats.times[last]! < end) last++;
  }
  if (floats.times[last]! <= start) return undefined;
  const left = leftValue(floats, first, start, smoothed, false);
  const right = rightValue(floats, last, from, end, smoothed, false);
  if (floats.times[first]! <= start) first++;
  if (floats.times[last]! >= end) last--;
  return {
    times: Float64Array.of(start, ...floats.times.subarray(first, last + 1), end),
    values: Float64Array.of(left, ...floats.values.subarray(first, last + 1), right),
  };
}

/** h1 at t1 and h2 at t2 on a line, at `time`; undefined when their buckets are of different kinds. */
export function interpolateHistograms(
  h1: NativeHistogram,
  t1: number,
  h2: NativeHistogram,
  t2: number,
  time: number,
  isCounter: boolean,
  notes: Annotations,
  metric: string,
  at: Span,
): NativeHistogram | undefined {
  if (time === t1) return h1;
  if (time === t2) return h2;
  const fraction = (time - t1) / (t2 - t1);
  if (isCounter && detectReset(h2, h1)) return scaleHistogram(h2, fraction);
  const difference = subtractHistograms(h2, h1);
  if (difference?.boundsReconciled === true) notes.boundsReconciled("subtraction", at);
  const result = difference && addHistograms(scaleHistogram(difference.histogram, fraction), h1);
  if (result === undefined) {
    notes.mixedSchemas(metric, at);
    return undefined;
  }
  if (result.boundsReconciled) notes.boundsReconciled("addition", at);
  return result.histogram;
}

function extendedHistogramRate(w: MixedWindow, smoothed: boolean, isCounter: boolean, isRate: boolean): boolean {
  const { times } = w.series.histograms;
  const histograms = w.series.histograms.histograms as readonly NativeHistogram[];
  const { notes, metric, at } = w;
  const found = bounds(times, w.histogramFrom, w.histogramTo, w, smoothed);
  if (found === undefined) return false;
  const { first, last } = found;
  for (let i = first; i <= last; i++) {
    if (histograms[i]!.usesCustomBuckets !== histograms[first]!.usesCustomBuckets) {
      notes.mixedSchemas(metric, at);
      return false;
    }
    if (isCounter && histograms[i]!.counterResetHint === RESET_HINT.GAUGE) notes.notCounter(metric, at);
  }
  const between = (i: number, time: number): NativeHistogram | undefined =>
    interpolateHistograms(
      histograms[i]!,
      times[i]!,
      histograms[i + 1]!,
      times[i + 1]!,
      time,
      isCounter,
      notes,
      metric,
      at,
    );
  const left = smoothed && times[first]! < w.start ? between(first, w.start) : histograms[first]!;
  if (left === undefined) return false;
  const right =
    smoothed && last > w.histogramFrom && times[last]! > w.end ? between(last - 1, w.end) : histograms[last]!;
  if (right === undefined) return false;
  if (!isCounter && (left.counterResetHint !== RESET_HINT.GAUGE || right.counterResetHint !== RESET_HINT.GAUGE)) {
    notes.notGauge(metric, at);
  }
  let result = joined(w, right, left, "subtraction");
  if (result !== undefined && isCounter) {
    const correction = resetCorrection(w, first, last, left, right, smoothed);
    if (correction === "incompatible") return false;
    if (correction !== undefined) result = joined(w, result, correction, "addition");
  }
  if (result === undefined) return false;
  if (isRate) result = divideHistogram(result, w.rangeSeconds);
  w.histogram = compactHistogram(withHint(result, RESET_HINT.GAUGE));
  return true;
}

/** What was lost in resets between the borders; undefined when nothing was. */
function resetCorrection(
  w: MixedWindow,
  first: number,
  last: number,
  left: NativeHistogram,
  right: NativeHistogram,
  smoothed: boolean,
): NativeHistogram | "incompatible" | undefined {
  const { times } = w.series.histograms;
  const histograms = w.series.histograms.histograms as readonly NativeHistogram[];
  let from = first + 1;
  let previous = left;
  // `left` and `right` stand for the outermost samples, and an interpolated left one knows of a reset behind it.
  if (smoothed && times[first]! < w.start && detectReset(histograms[first + 1]!, histograms[first]!)) {
    previous = histograms[first + 1]!;
    from++;
  }
  if (from > last) return undefined;
  let correction: NativeHistogram | undefined;
  for (let i = from; i <= last; i++) {
    const current = i === last ? right : histograms[i]!;
    if (detectReset(current, previous)) {
      const sum = correction === undefined ? previous : joined(w, correction, previous, "addition");
      if (sum === undefined) return "incompatible";
      correction = sum;
    }
    previous = current;
  }
  return correction;
}

/**
 * Where resets and changes of an anchored range begin: at the last sample at or before the start, whichever kind it
 * is. Undefined when nothing comes behind the start.
 */
export function anchoredFrom(w: MixedWindow): { floatFrom: number; histogramFrom: number } | undefined {
  const { floats } = w.series;
  const { times } = w.series.histograms;
  const floatFrom = after(floats.times, w.floatFrom, w.floatTo, w.start);
  const histogramFrom = after(times, w.histogramFrom, w.histogramTo, w.start);
  if (floatFrom === w.floatTo && histogramFrom === w.histogramTo) return undefined;
  const lastFloat = floatFrom > w.floatFrom ? floats.times[floatFrom - 1]! : -Infinity;
  const lastHistogram = histogramFrom > w.histogramFrom ? times[histogramFrom - 1]! : -Infinity;
  if (lastFloat === -Infinity && lastHistogram === -Infinity) return { floatFrom, histogramFrom };
  return lastFloat >= lastHistogram
    ? { floatFrom: floatFrom - 1, histogramFrom }
    : { floatFrom, histogramFrom: histogramFrom - 1 };
}
