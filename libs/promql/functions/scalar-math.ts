/** Functions of one value, and of a value and the scalar arguments at the same step. */

import { log2 } from "#libs/model/go-math.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { mapOf } from "./map-of.ts";
import { histogramDeviation, histogramVariance } from "./native-variance.ts";

/** `f(v, args)`; NaN is a result like any other. */
export type ValueFunction = (value: number, first: number, second: number) => number;

/** Go's math.Max and math.Min: an infinity wins over NaN. */
export function goMax(a: number, b: number): number {
  if (a === Infinity || b === Infinity) return Infinity;
  return Math.max(a, b);
}

export function goMin(a: number, b: number): number {
  if (a === -Infinity || b === -Infinity) return -Infinity;
  return Math.min(a, b);
}

/** Go's math.Pow where V8 differs: 1^NaN and (-1)^±Inf are 1. */
export function goPow(a: number, b: number): number {
  if (a === 1 || (a === -1 && (b === Infinity || b === -Infinity))) return 1;
  return a ** b;
}

export const VALUE_FUNCTIONS: ReadonlyMap<string, ValueFunction> = mapOf<ValueFunction>({
  abs: Math.abs,
  ceil: Math.ceil,
  floor: Math.floor,
  exp: Math.exp,
  sqrt: Math.sqrt,
  ln: Math.log,
  log2,
  // As Go computes them; V8's differ in the last digit.
  log10: (v) => log2(v) * (Math.LN2 / Math.LN10),
  sgn: (v) => (v < 0 ? -1 : v > 0 ? 1 : v),
  deg: (v) => (v * 180) / Math.PI,
  rad: (v) => (v * Math.PI) / 180,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  clamp: (v, min, max) => goMax(min, goMin(max, v)),
  clamp_min: (v, min) => goMax(min, v),
  clamp_max: (v, max) => goMin(max, v),
  round: (v, to) => {
    const inverse = 1 / to;
    return Math.floor(v * inverse + 0.5) / inverse;
  },
});

export interface HistogramFunction {
  readonly apply: (histogram: NativeHistogram) => number;
  /** Type and unit stay: they fit what comes out. */
  readonly dropsNameOnly: boolean;
}

const ofHistogram = (apply: (h: NativeHistogram) => number): HistogramFunction => ({ apply, dropsNameOnly: true });

/** Functions of one native histogram. */
export const HISTOGRAM_FUNCTIONS: ReadonlyMap<string, HistogramFunction> = mapOf<HistogramFunction>({
  histogram_avg: ofHistogram((h) => h.sum / h.count),
  histogram_count: ofHistogram((h) => h.count),
  histogram_stddev: ofHistogram(histogramDeviation),
  histogram_stdvar: ofHistogram(histogramVariance),
  histogram_sum: ofHistogram((h) => h.sum),
});
