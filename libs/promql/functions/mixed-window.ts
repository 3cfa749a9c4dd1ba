/**
 * Range functions where a plain scan over floats does not do: series with histograms, with start timestamps, or with
 * other borders than the range's own. Floats and histograms of the series lie in columns of their own; a window is a
 * stretch of each. Rules and texts are Prometheus's (prometheus/promql/functions.go).
 */
import { SampleColumns } from "#libs/model/columns.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import type { Window } from "./window.ts";

export interface MixedSeries {
  readonly floats: SampleColumns;
  /** Every sample a histogram. */
  readonly histograms: SampleColumns;
}

export interface MixedWindow extends Window {
  series: MixedSeries;
  /** Floats [floatFrom, floatTo) and histograms [histogramFrom, histogramTo) of the series are in the window. */
  floatFrom: number;
  floatTo: number;
  histogramFrom: number;
  histogramTo: number;
  /** The result, where it is a histogram: `result` is not looked at then. */
  histogram: NativeHistogram | undefined;
}

/** Says whether there is a result, and leaves it in the window. */
export type MixedKernel = (window: MixedWindow) => boolean;

/** Takes floats and histograms apart. */
export function splitSeries(columns: SampleColumns): MixedSeries {
  const floats = new SampleColumns();
  const histograms = new SampleColumns();
  for (let i = 0; i < columns.length; i++) {
    (columns.histograms?.[i] === undefined ? floats : histograms).copy(columns, i);
  }
  histograms.histograms ??= [];
  return { floats, histograms };
}

/** A kernel of floats that leaves histograms alone, with an info where it had to; `floatsMin` are needed for a result. */
export function ofFloats(
  kernel: (columns: SampleColumns, from: number, to: number, window: Window) => boolean,
  floatsMin = 1,
): MixedKernel {
  return (w) => {
    const floats = w.floatTo - w.floatFrom;
    if (floats > 0 && w.histogramTo > w.histogramFrom) w.notes.histogramsIgnoredInRange(w.metric, w.at);
    return floats >= floatsMin && kernel(w.series.floats, w.floatFrom, w.floatTo, w);
  };
}

export function samplesIn(w: MixedWindow): number {
  return w.floatTo - w.floatFrom + w.histogramTo - w.histogramFrom;
}

/** Histogram `i` of the series. */
export function histogramOf(series: MixedSeries, i: number): NativeHistogram {
  return series.histograms.histograms![i]!;
}

/** True, with a warning, when the window has both. */
export function isMixed(w: MixedWindow): boolean {
  if (w.floatTo === w.floatFrom || w.histogramTo === w.histogramFrom) return false;
  w.notes.mixedFloatsHistograms(w.metric, w.at);
  return true;
}
