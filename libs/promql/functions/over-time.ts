/**
 * Range functions: a scan over the samples of one series that are in the window of a step. `kernel` is for floats, in
 * contiguous columns without stale markers; `mixed` for windows that hold histograms, or of series with start
 * timestamps. The order of additions is Prometheus's, so results are equal bit for bit.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import type { SampleColumns } from "#libs/model/columns.ts";
import { detectReset, equalHistograms } from "#libs/model/native-histogram/compare.ts";
import { HistogramSum } from "#libs/model/native-histogram/sum.ts";
import { anchoredFrom, extendedRate } from "./extended-range.ts";
import { histogramOf, isMixed, type MixedKernel, type MixedWindow, ofFloats, samplesIn } from "./mixed-window.ts";
import { extrapolated, hasNewStart, instantDelta, mixedInstantDelta, mixedRate } from "./rate.ts";
import type { RangeKernel, Window } from "./window.ts";

export interface RangeFunction {
  readonly kernel: RangeKernel;
  readonly mixed: MixedKernel;
  /** rate and its like, which are scanned as a whole. */
  readonly extrapolates?: { readonly isCounter: boolean; readonly isRate: boolean };
  /** Needs `window.resets`. */
  readonly isCounter?: boolean;
  /** `last_over_time` and `first_over_time` keep the metric's name. */
  readonly keepsName?: boolean;
  /** Looks at start timestamps, where they count. */
  readonly usesStarts?: boolean;
  /** For `anchored` and `smoothed`; undefined where that is refused. */
  readonly anchored?: MixedKernel;
  readonly smoothed?: MixedKernel;
}

/** Neumaier's compensated sum; `compensation` is left in `lastCompensation`. */
let lastCompensation = 0;

function compensatedSum(values: Float64Array, from: number, to: number): number {
  let sum = 0;
  let c = 0;
  for (let i = from; i < to; i++) {
    const x = values[i]!;
    const t = sum + x;
    if (t === Infinity || t === -Infinity) c = 0;
    else if (Math.abs(sum) >= Math.abs(x)) c += sum - t + x;
    else c += x - t + sum;
    sum = t;
  }
  lastCompensation = c;
  return sum;
}

function isInfinite(x: number): boolean {
  return x === Infinity || x === -Infinity;
}

function sumOverTime(columns: SampleColumns, from: number, to: number, window: Window): boolean {
  const sum = compensatedSum(columns.values, from, to);
  window.result = isInfinite(sum) ? sum : sum + lastCompensation;
  return true;
}

function averageOverTime(columns: SampleColumns, from: number, to: number, window: Window): boolean {
  const { values } = columns;
  let sum = values[from]!;
  let mean = 0;
  let c = 0;
  let incremental = false;
  for (let i = from + 1; i < to; i++) {
    const count = i - from + 1;
    const x = values[i]!;
    if (!incremental) {
      const t = sum + x;
      let nextC = c;
      if (isInfinite(t)) nextC = 0;
      else if (Math.abs(sum) >= Math.abs(x)) nextC += sum - t + x;
      else nextC += x - t + sum;
      if (!isInfinite(t)) {
        sum = t;
        c = nextC;
        continue;
      }
      // The sum overflows: go on with a running mean.
      incremental = true;
      mean = sum / (count - 1);
      c /= count - 1;
    }
    const q = (count - 1) / count;
    const scaled = q * mean;
    const scaledC = q * c;
    const add = x / count;
    const t = add + scaled;
    c = isInfinite(t)
      ? 0
      : Math.abs(add) >= Math.abs(scaled)
        ? scaledC + (add - t + scaled)
        : scaledC + (scaled - t + add);
    mean = t;
  }
  window.result = incremental ? mean + c : sum / (to - from) + c / (to - from);
  return true;
}

/** Welford's method with compensation. */
function varianceOverTime(columns: SampleColumns, from: number, to: number): number {
  let count = 0;
  let mean = 0;
  let cMean = 0;
  let aux = 0;
  let cAux = 0;
  for (let i = from; i < to; i++) {
    count++;
    const x = columns.values[i]!;
    const delta = x - (mean + cMean);
    const add = delta / count;
    let t = mean + add;
    cMean = isInfinite(t) ? 0 : Math.abs(mean) >= Math.abs(add) ? cMean + (mean - t + add) : cMean + (add - t + mean);
    mean = t;
    const square = delta * (x - (mean + cMean));
    t = aux + square;
    cAux = isInfinite(t)
      ? 0
      : Math.abs(aux) >= Math.abs(square)
        ? cAux + (aux - t + square)
        : cAux + (square - t + aux);
    aux = t;
  }
  return (aux + cAux) / count;
}

/** φ-quantile of unsorted values, NaN first; sorts `values` in place. */
export function quantileOf(q: number, values: Float64Array): number {
  if (values.length === 0 || Number.isNaN(q)) return NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  // Typed arrays sort NaN last; Prometheus has it first.
  values.sort();
  let nans = 0;
  while (nans < values.length && Number.isNaN(values[values.length - 1 - nans]!)) nans++;
  const at = (i: number): number => (i < nans ? NaN : values[i - nans]!);
  const rank = q * (values.length - 1);
  const lower = Math.max(0, Math.floor(rank));
  const upper = Math.min(values.length - 1, lower + 1);
  const weight = rank - Math.floor(rank);
  return at(lower) * (1 - weight) + at(upper) * weight;
}

/** Median of the distances from the median; one NaN makes it NaN. */
function medianDeviation(values: Float64Array): number {
  if (values.some(Number.isNaN)) return NaN;
  const median = quantileOf(0.5, values.slice());
  return quantileOf(
    0.5,
    values.map((v) => Math.abs(v - median)),
  );
}

/** Least squares over the window, x relative to `interceptTime` (prometheus/promql/functions.go, linearRegression). */
function regression(
  columns: SampleColumns,
  from: number,
  to: number,
  interceptTime: number,
): { slope: number; intercept: number } {
  const { times, values } = columns;
  let n = 0;
  const sums = [0, 0, 0, 0];
  const cs = [0, 0, 0, 0];
  const initial = values[from]!;
  let constant = true;
  for (let i = from; i < to; i++) {
    const y = values[i]!;
    if (constant && i > from && y !== initial) constant = false;
    n++;
    const x = (times[i]! - interceptTime) / 1000;
    [x, y, x * y, x * x].forEach((term, k) => {
      const t = sums[k]! + term;
      if (isInfinite(t)) cs[k] = 0;
      else if (Math.abs(sums[k]!) >= Math.abs(term)) cs[k] = cs[k]! + (sums[k]! - t + term);
      else cs[k] = cs[k]! + (term - t + sums[k]!);
      sums[k] = t;
    });
  }
  if (constant) return isInfinite(initial) ? { slope: NaN, intercept: NaN } : { slope: 0, intercept: initial };
  const [sumX, sumY, sumXY, sumX2] = sums.map((sum, k) => sum + cs[k]!) as [number, number, number, number];
  const covXY = sumXY - (sumX * sumY) / n;
  const varX = sumX2 - (sumX * sumX) / n;
  const slope = covXY / varX;
  return { slope, intercept: sumY / n - (slope * sumX) / n };
}

function regressionKernel(isDerivative: boolean): RangeKernel {
  return (c, from, to, w) => {
    if (to - from < 2) return false;
    const { slope, intercept } = regression(c, from, to, isDerivative ? c.times[from]! : w.evalTime);
    w.result = isDerivative ? slope : slope * w.param + intercept;
    return true;
  };
}

/** Holt's linear smoothing: level and trend (https://en.wikipedia.org/wiki/Exponential_smoothing). */
function smooth(c: SampleColumns, from: number, to: number, w: Window): boolean {
  const level = checkFactor("smoothing", w.param);
  const trend = checkFactor("trend", w.secondParam);
  if (to - from < 2) return false;
  let before = 0;
  let smoothed = c.values[from]!;
  let slope = c.values[from + 1]! - smoothed;
  for (let i = from + 1; i < to; i++) {
    if (i > from + 1) slope = trend * (smoothed - before) + (1 - trend) * slope;
    const next = level * c.values[i]! + (1 - level) * (smoothed + slope);
    before = smoothed;
    smoothed = next;
  }
  w.result = smoothed;
  return true;
}

function checkFactor(name: string, factor: number): number {
  if (factor > 0 && factor < 1) return factor;
  throw new ExecutionError(`invalid ${name} factor. Expected: 0 < ${name[0]}f < 1, got: ${factor.toFixed(6)}`);
}

function minOverTime({ values }: SampleColumns, from: number, to: number, w: Window): boolean {
  let min = values[from]!;
  for (let i = from + 1; i < to; i++) if (values[i]! < min || Number.isNaN(min)) min = values[i]!;
  w.result = min;
  return true;
}

function maxOverTime({ values }: SampleColumns, from: number, to: number, w: Window): boolean {
  let max = values[from]!;
  for (let i = from + 1; i < to; i++) if (values[i]! > max || Number.isNaN(max)) max = values[i]!;
  w.result = max;
  return true;
}

/** When the best value was seen last. */
const timeOfLast =
  (isBest: (x: number, best: number) => boolean): RangeKernel =>
  (c, from, to, w) => {
    let at = from;
    for (let i = from + 1; i < to; i++) {
      if (isBest(c.values[i]!, c.values[at]!) || Number.isNaN(c.values[at]!)) at = i;
    }
    w.result = c.times[at]! / 1000;
    return true;
  };

/** Goes through all samples of the window in time order; `visit` gets index and kind, of this one and the one before. */
function walkPairs(
  w: MixedWindow,
  floatFrom: number,
  histogramFrom: number,
  visit: (isHistogram: boolean, i: number, wasHistogram: boolean, previous: number) => void,
): void {
  const { floats } = w.series;
  const { times } = w.series.histograms;
  let f = floatFrom;
  let h = histogramFrom;
  let previous = -1;
  let wasHistogram = false;
  while (f < w.floatTo || h < w.histogramTo) {
    const isHistogram = f === w.floatTo || (h < w.histogramTo && times[h]! < floats.times[f]!);
    const i = isHistogram ? h++ : f++;
    if (previous >= 0) visit(isHistogram, i, wasHistogram, previous);
    previous = i;
    wasHistogram = isHistogram;
  }
}

function countResets(w: MixedWindow, floatFrom: number, histogramFrom: number): boolean {
  const { floats, histograms } = w.series;
  let resets = 0;
  walkPairs(w, floatFrom, histogramFrom, (isHistogram, i, wasHistogram, k) => {
    if (isHistogram !== wasHistogram) resets++;
    else if (isHistogram) {
      const isReset = detectReset(histogramOf(w.series, i), histogramOf(w.series, k));
      if (isReset || hasNewStart(histograms, i)) resets++;
    } else if (floats.values[i]! < floats.values[k]! || hasNewStart(floats, i)) resets++;
  });
  w.result = resets;
  return true;
}

function countChanges(w: MixedWindow, floatFrom: number, histogramFrom: number): boolean {
  const { values } = w.series.floats;
  let changes = 0;
  walkPairs(w, floatFrom, histogramFrom, (isHistogram, i, wasHistogram, k) => {
    if (isHistogram !== wasHistogram) changes++;
    else if (isHistogram) {
      if (!equalHistograms(histogramOf(w.series, i), histogramOf(w.series, k))) changes++;
    } else if (isChange(values[k]!, values[i]!)) changes++;
  });
  w.result = changes;
  return true;
}

function isChange(previous: number, current: number): boolean {
  return current !== previous && !(Number.isNaN(current) && Number.isNaN(previous));
}

const anchoredCount =
  (count: (w: MixedWindow, floatFrom: number, histogramFrom: number) => boolean): MixedKernel =>
  (w) => {
    const from = anchoredFrom(w);
    return from !== undefined && count(w, from.floatFrom, from.histogramFrom);
  };

/** sum and avg of histograms, or of floats; not of both. */
function mixedSum(kernel: RangeKernel, isAverage: boolean): MixedKernel {
  return (w) => {
    if (isMixed(w)) return false;
    if (w.histogramFrom === w.histogramTo) return kernel(w.series.floats, w.floatFrom, w.floatTo, w);
    const sum = new HistogramSum(isAverage);
    for (let i = w.histogramFrom; i < w.histogramTo; i++) sum.add(histogramOf(w.series, i));
    if (sum.incompatible) {
      w.notes.mixedSchemas(w.metric, w.at);
      return false;
    }
    if (sum.counterResetCollision) w.notes.counterResetCollision("aggregation", w.at);
    if (sum.boundsReconciled) w.notes.boundsReconciled("aggregation", w.at);
    w.histogram = isAverage ? sum.average() : sum.sum();
    return true;
  };
}

/** The first or last sample, whichever kind it is. */
function mixedEdge(w: MixedWindow, isFirst: boolean, wantsTime: boolean): boolean {
  const { floats } = w.series;
  const { times } = w.series.histograms;
  const f = isFirst ? w.floatFrom : w.floatTo - 1;
  const h = isFirst ? w.histogramFrom : w.histogramTo - 1;
  const hasFloat = w.floatTo > w.floatFrom;
  const hasHistogram = w.histogramTo > w.histogramFrom;
  const takesFloat =
    hasFloat && (!hasHistogram || (isFirst ? floats.times[f]! < times[h]! : floats.times[f]! > times[h]!));
  if (wantsTime) w.result = (takesFloat ? floats.times[f]! : times[h]!) / 1000;
  else if (takesFloat) w.result = floats.values[f]!;
  else w.histogram = histogramOf(w.series, h);
  return true;
}

function isOne(w: Window): boolean {
  w.result = 1;
  return true;
}

function floatFunction(kernel: RangeKernel, floatsMin = 1): RangeFunction {
  return { kernel, mixed: ofFloats(kernel, floatsMin) };
}

function rateFunction(isCounter: boolean, isRate: boolean): RangeFunction {
  return {
    kernel: (c, from, to, w) => extrapolated(c, from, to, w, isCounter, isRate),
    mixed: (w) => mixedRate(w, isCounter, isRate),
    extrapolates: { isCounter, isRate },
    isCounter,
    usesStarts: isCounter,
    anchored: (w) => extendedRate(w, false, isCounter, isRate),
    smoothed: (w) => extendedRate(w, true, isCounter, isRate),
  };
}

function edgeFunction(isFirst: boolean, wantsTime: boolean): RangeFunction {
  return {
    kernel: (c, from, to, w) => {
      const i = isFirst ? from : to - 1;
      w.result = wantsTime ? c.times[i]! / 1000 : c.values[i]!;
      return true;
    },
    mixed: (w) => mixedEdge(w, isFirst, wantsTime),
    keepsName: !wantsTime,
  };
}

export const RANGE_FUNCTIONS: ReadonlyMap<string, RangeFunction> = new Map<string, RangeFunction>([
  ["rate", rateFunction(true, true)],
  ["increase", rateFunction(true, false)],
  ["delta", rateFunction(false, false)],
  [
    "irate",
    {
      kernel: (c, from, to, w) => instantDelta(c, from, to, w, true),
      mixed: (w) => mixedInstantDelta(w, true),
      usesStarts: true,
    },
  ],
  [
    "idelta",
    { kernel: (c, from, to, w) => instantDelta(c, from, to, w, false), mixed: (w) => mixedInstantDelta(w, false) },
  ],
  [
    "resets",
    {
      kernel: (_c, from, to, w) => {
        let resets = 0;
        for (let i = 0; i < w.resetCount && w.resets[i]! < to; i++) if (w.resets[i]! > from) resets++;
        w.result = resets;
        return true;
      },
      mixed: (w) => countResets(w, w.floatFrom, w.histogramFrom),
      isCounter: true,
      usesStarts: true,
      anchored: anchoredCount(countResets),
    },
  ],
  [
    "changes",
    {
      kernel: (c, from, to, w) => {
        let changes = 0;
        for (let i = from + 1; i < to; i++) if (isChange(c.values[i - 1]!, c.values[i]!)) changes++;
        w.result = changes;
        return true;
      },
      mixed: (w) => countChanges(w, w.floatFrom, w.histogramFrom),
      anchored: anchoredCount(countChanges),
    },
  ],
  ["deriv", floatFunction(regressionKernel(true), 2)],
  ["predict_linear", floatFunction(regressionKernel(false), 2)],
  ["double_exponential_smoothing", floatFunction(smooth, 2)],
  ["sum_over_time", { kernel: sumOverTime, mixed: mixedSum(sumOverTime, false) }],
  ["avg_over_time", { kernel: averageOverTime, mixed: mixedSum(averageOverTime, true) }],
  [
    "count_over_time",
    {
      kernel: (_c, from, to, w) => {
        w.result = to - from;
        return true;
      },
      mixed: (w) => {
        w.result = samplesIn(w);
        return true;
      },
    },
  ],
  ["present_over_time", { kernel: (_c, _from, _to, w) => isOne(w), mixed: isOne }],
  ["min_over_time", floatFunction(minOverTime)],
  ["max_over_time", floatFunction(maxOverTime)],
  ["ts_of_min_over_time", floatFunction(timeOfLast((x, best) => x <= best))],
  ["ts_of_max_over_time", floatFunction(timeOfLast((x, best) => x >= best))],
  ["last_over_time", edgeFunction(false, false)],
  ["first_over_time", edgeFunction(true, false)],
  ["ts_of_last_over_time", edgeFunction(false, true)],
  ["ts_of_first_over_time", edgeFunction(true, true)],
  [
    "stddev_over_time",
    floatFunction((c, from, to, w) => {
      w.result = Math.sqrt(varianceOverTime(c, from, to));
      return true;
    }),
  ],
  [
    "stdvar_over_time",
    floatFunction((c, from, to, w) => {
      w.result = varianceOverTime(c, from, to);
      return true;
    }),
  ],
  [
    "quantile_over_time",
    floatFunction((c, from, to, w) => {
      w.notes.quantile(w.param, w.at);
      w.result = quantileOf(w.param, c.values.slice(from, to));
      return true;
    }),
  ],
  [
    "mad_over_time",
    floatFunction((c, from, to, w) => {
      w.result = medianDeviation(c.values.slice(from, to));
      return true;
    }),
  ],
]);
