/**
 * Range functions as scans: `f(columns, from, to, window)` looks at samples [from, to) of one series, the ones in
 * (start, end], and says whether there is a result, which it leaves in `window.result`. `columns` hold no stale
 * markers. The order of additions is Prometheus's, so results are equal bit for bit.
 */
import type { SampleColumns } from "#libs/model/columns.ts";

export interface Window {
  /** Milliseconds; samples with start < t ≤ end are in. */
  start: number;
  end: number;
  /** Evaluation time of the step, ms. */
  evalTime: number;
  /** Seconds of the range as written. */
  rangeSeconds: number;
  /** The scalar argument of the function at this step, if it has one. */
  param: number;
  result: number;
  /** Indexes i of the series where values[i] < values[i - 1], ascending; kept by the operator for counters. */
  resets: Uint32Array;
  resetCount: number;
  /** Where to start looking in `resets`; moves on with the steps. */
  resetFrom: number;
}

export type RangeKernel = (columns: SampleColumns, from: number, to: number, window: Window) => boolean;

/** Counter functions need `window.resets`. */
export interface RangeFunction {
  readonly kernel: RangeKernel;
  readonly needsResets: boolean;
  /** `last_over_time` and `first_over_time` keep the metric's name. */
  readonly keepsName: boolean;
}

const plain = (kernel: RangeKernel): RangeFunction => ({ kernel, needsResets: false, keepsName: false });
const counter = (kernel: RangeKernel): RangeFunction => ({ kernel, needsResets: true, keepsName: false });
const naming = (kernel: RangeKernel): RangeFunction => ({ kernel, needsResets: false, keepsName: true });

/** Extrapolation to the borders of the range (prometheus/promql/functions.go, extrapolatedRate). */
function extrapolated(
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
  let result = values[to - 1]! - first;
  if (isCounter) {
    // Resets are listed once a series, so a step costs what it contains of them, mostly nothing.
    const { resets, resetCount } = window;
    let i = window.resetFrom;
    while (i < resetCount && resets[i]! <= from) i++;
    window.resetFrom = i;
    for (; i < resetCount && resets[i]! < to; i++) result += values[resets[i]! - 1]!;
  }
  const firstTime = times[from]!;
  const lastTime = times[to - 1]!;
  let toStart = (firstTime - window.start) / 1000;
  let toEnd = (window.end - lastTime) / 1000;
  const sampled = (lastTime - firstTime) / 1000;
  const average = sampled / (count - 1);
  const threshold = average * 1.1;
  if (toStart >= threshold) toStart = average / 2;
  if (isCounter) {
    let toZero = toStart;
    if (result > 0 && first >= 0) toZero = sampled * (first / result);
    if (toZero < toStart) toStart = toZero;
  }
  if (toEnd >= threshold) toEnd = average / 2;
  let factor = (sampled + toStart + toEnd) / sampled;
  if (isRate) factor /= window.rangeSeconds;
  window.result = result * factor;
  return true;
}

function instantDelta(columns: SampleColumns, from: number, to: number, window: Window, isRate: boolean): boolean {
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

export const RANGE_FUNCTIONS: Readonly<Record<string, RangeFunction>> = {
  rate: counter((c, from, to, w) => extrapolated(c, from, to, w, true, true)),
  increase: counter((c, from, to, w) => extrapolated(c, from, to, w, true, false)),
  delta: plain((c, from, to, w) => extrapolated(c, from, to, w, false, false)),
  irate: plain((c, from, to, w) => instantDelta(c, from, to, w, true)),
  idelta: plain((c, from, to, w) => instantDelta(c, from, to, w, false)),
  resets: counter((_c, from, to, w) => {
    let resets = 0;
    for (let i = 0; i < w.resetCount && w.resets[i]! < to; i++) if (w.resets[i]! > from) resets++;
    w.result = resets;
    return true;
  }),
  changes: plain((c, from, to, w) => {
    let changes = 0;
    for (let i = from + 1; i < to; i++) {
      const current = c.values[i]!;
      const previous = c.values[i - 1]!;
      if (current !== previous && !(Number.isNaN(current) && Number.isNaN(previous))) changes++;
    }
    w.result = changes;
    return true;
  }),
  deriv: plain((c, from, to, w) => {
    if (to - from < 2) return false;
    w.result = regression(c, from, to, c.times[from]!).slope;
    return true;
  }),
  predict_linear: plain((c, from, to, w) => {
    if (to - from < 2) return false;
    const { slope, intercept } = regression(c, from, to, w.evalTime);
    w.result = slope * w.param + intercept;
    return true;
  }),
  sum_over_time: plain(sumOverTime),
  avg_over_time: plain(averageOverTime),
  count_over_time: plain((_c, from, to, w) => {
    w.result = to - from;
    return true;
  }),
  min_over_time: plain((c, from, to, w) => {
    let min = c.values[from]!;
    for (let i = from + 1; i < to; i++) if (c.values[i]! < min || Number.isNaN(min)) min = c.values[i]!;
    w.result = min;
    return true;
  }),
  max_over_time: plain((c, from, to, w) => {
    let max = c.values[from]!;
    for (let i = from + 1; i < to; i++) if (c.values[i]! > max || Number.isNaN(max)) max = c.values[i]!;
    w.result = max;
    return true;
  }),
  last_over_time: naming((c, _from, to, w) => {
    w.result = c.values[to - 1]!;
    return true;
  }),
  first_over_time: naming((c, from, _to, w) => {
    w.result = c.values[from]!;
    return true;
  }),
  present_over_time: plain((_c, _from, _to, w) => {
    w.result = 1;
    return true;
  }),
  stddev_over_time: plain((c, from, to, w) => {
    w.result = Math.sqrt(varianceOverTime(c, from, to));
    return true;
  }),
  stdvar_over_time: plain((c, from, to, w) => {
    w.result = varianceOverTime(c, from, to);
    return true;
  }),
  quantile_over_time: plain((c, from, to, w) => {
    w.result = quantileOf(w.param, c.values.slice(from, to));
    return true;
  }),
};
