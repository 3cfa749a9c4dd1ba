/**
 * Tiles: what operators hand on, some series × all steps. Presence is a byte a value and never NaN, which is a
 * value like any other; a byte is read faster than a bit (55 against 72 ms over 10 M samples).
 */
import type { Labels } from "#libs/model/labels.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";

/** Series in a tile of a range query; with long ranges fewer, so that a tile stays in the cache. */
export const TILE_SERIES = 64;

export interface Tile {
  readonly labels: Labels[];
  /** `values[series * steps + step]`, defined where `present` is FLOAT. */
  readonly values: Float64Array;
  /** ABSENT, FLOAT or HISTOGRAM. */
  readonly present: Uint8Array;
  /** At the index of `present` where that is HISTOGRAM; undefined while there is none. Never write to one of them. */
  histograms: (NativeHistogram | undefined)[] | undefined;
}

export const ABSENT = 0;
export const FLOAT = 1;
export const HISTOGRAM = 2;

export function createTile(capacity: number, steps: number): Tile {
  return {
    labels: [],
    values: new Float64Array(capacity * steps),
    present: new Uint8Array(capacity * steps),
    histograms: undefined,
  };
}

/** Steps of an evaluation: `startMs + i * stepMs`, `i < count`. An instant query has one. */
export interface Steps {
  readonly startMs: number;
  readonly stepMs: number;
  readonly count: number;
}

export function stepTime(steps: Steps, i: number): number {
  return steps.startMs + i * steps.stepMs;
}

export function lastStep(steps: Steps): number {
  return steps.startMs + (steps.count - 1) * steps.stepMs;
}

/** The series of a tile that are present at some step, copied together: `tile` itself when all are. */
export function compactTile(tile: Tile, steps: number): Tile {
  const kept: number[] = [];
  for (let s = 0; s < tile.labels.length; s++) {
    if (tile.present.indexOf(1, s * steps) >= 0 && tile.present.indexOf(1, s * steps) < (s + 1) * steps) kept.push(s);
  }
  if (kept.length === tile.labels.length) return tile;
  const out = createTile(kept.length, steps);
  kept.forEach((s, i) => {
    out.labels.push(tile.labels[s]!);
    out.values.set(tile.values.subarray(s * steps, (s + 1) * steps), i * steps);
    out.present.set(tile.present.subarray(s * steps, (s + 1) * steps), i * steps);
  });
  return out;
}
