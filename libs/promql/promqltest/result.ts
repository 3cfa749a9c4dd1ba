/** Results of the engine as what scripts compare: series of points. */
import { compareLabels, formatLabels, type Labels } from "#libs/model/labels.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { isStale } from "#libs/model/stale.ts";
import type { QueryValue, RawSeries } from "../engine.ts";
import { ABSENT, HISTOGRAM, type Steps, stepTime, type Tile } from "../tile.ts";

export type Point = { readonly timeMs: number } & (
  | { readonly kind: "stale" }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "histogram"; readonly histogram: NativeHistogram }
);

export interface ResultSeries {
  readonly labels: Labels;
  readonly points: readonly Point[];
}

export type Result =
  | { readonly type: "scalar"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  /** Of a vector every series has one point. Series come as the engine gave them. */
  | { readonly type: "vector" | "matrix"; readonly series: readonly ResultSeries[] };

export function resultOf(value: QueryValue): Result {
  switch (value.type) {
    case "scalar":
      return { type: "scalar", value: value.value };
    case "string":
      return { type: "string", value: value.value };
    case "vector":
      return { type: "vector", series: tileSeries(value.tile, { startMs: value.timeMs, stepMs: 0, count: 1 }) };
    case "matrix":
      return { type: "matrix", series: tileSeries(value.tile, value.steps) };
    case "raw":
      return { type: "matrix", series: value.series.map((series) => rawSeries(series)) };
  }
}

/** What a range query says of one time: a vector. */
export function vectorAt(series: readonly ResultSeries[], timeMs: number): ResultSeries[] {
  return series
    .map(({ labels, points }) => ({ labels, points: points.filter((point) => point.timeMs === timeMs) }))
    .filter(({ points }) => points.length > 0);
}

/** The first two series that do not ascend by labels, shown; undefined when all do. */
export function firstUnsorted(series: readonly ResultSeries[]): string | undefined {
  const at = series.findIndex(({ labels }, i) => i > 0 && compareLabels(series[i - 1]!.labels, labels) >= 0);
  return at < 0 ? undefined : `${formatLabels(series[at - 1]!.labels)} before ${formatLabels(series[at]!.labels)}`;
}

/** The series that have a value at some step. */
function tileSeries(tile: Tile, steps: Steps): ResultSeries[] {
  const words = new Int32Array(tile.values.buffer, tile.values.byteOffset, 2 * tile.values.length);
  const all = tile.labels.map((labels, s): ResultSeries => {
    const points: Point[] = [];
    for (let i = 0; i < steps.count; i++) {
      const at = s * steps.count + i;
      const timeMs = stepTime(steps, i);
      if (tile.present[at] === ABSENT) continue;
      if (tile.present[at] === HISTOGRAM) {
        points.push({ timeMs, kind: "histogram", histogram: tile.histograms![at]! });
      } else points.push(floatPoint(timeMs, tile.values, words, at));
    }
    return { labels, points };
  });
  return all.filter(({ points }) => points.length > 0);
}

function rawSeries({ labels, times, values, histograms }: RawSeries): ResultSeries {
  const words = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
  const points = Array.from(times, (timeMs, i): Point => {
    const histogram = histograms?.[i];
    return histogram === undefined ? floatPoint(timeMs, values, words, i) : { timeMs, kind: "histogram", histogram };
  });
  return { labels, points };
}

function floatPoint(timeMs: number, values: Float64Array, words: Int32Array, at: number): Point {
  return isStale(words, at) ? { timeMs, kind: "stale" } : { timeMs, kind: "float", value: values[at]! };
}
