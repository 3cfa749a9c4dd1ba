/**
 * Tiles: what operators hand on, some series × all steps. Presence is a byte a value and never NaN, which is a
 * value like any other; a byte is read faster than a bit (55 against 72 ms over 10 M samples).
 */
import type { Labels } from "#libs/model/labels.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";

/** Series in a tile of a range query; with long ranges fewer, so that a tile stays in the cache. */
export const TILE_SERIES = 64;
/**
 * In the first tile, and where results are collected at first: most queries have few, and 64 × 241 steps are 139 KB.
 * Up to 64 bytes, 8 series of an instant, V8 needs no memory outside its heap, which costs more than the query's values.
 */
export const FIRST_TILE_SERIES = 8;

/** Series that a tile of so many steps should have at most: 64 KiB of values. */
export function tileRows(steps: number): number {
  return Math.max(1, Math.min(steps === 1 ? 4096 : TILE_SERIES, Math.floor(65_536 / steps)));
}

/** What a cell of a tile holds. */
export const ABSENT = 0;
export const FLOAT = 1;
export const HISTOGRAM = 2;

export interface Tile {
  readonly labels: Labels[];
  /** `values[series * steps + step]`, defined where `present` is FLOAT. */
  readonly values: Float64Array;
  /** ABSENT, FLOAT or HISTOGRAM. */
  readonly present: Uint8Array;
  /** At the index of `present` where that is HISTOGRAM; undefined while there is none. Never write to one of them. */
  histograms: (NativeHistogram | undefined)[] | undefined;
  /** Series whose name goes at the end of the query (delayed name removal); undefined while there is none. */
  nameless: Set<number> | undefined;
}

export function createTile(capacity: number, steps: number): Tile {
  return {
    labels: [],
    values: new Float64Array(capacity * steps),
    present: new Uint8Array(capacity * steps),
    histograms: undefined,
    nameless: undefined,
  };
}

/** Bytes of values. What is less is left to the collector. */
const RELEASED_BYTES_MIN = 1 << 14;

/**
 * Gives the memory of large values back at once, which nobody may look at any more: left to the collector they call for a
 * full collection every few queries (1,000 series × 241 steps as they are: 28 ms of CPU, 17 without).
 */
export function releaseTile({ values, present }: Pick<Tile, "values" | "present">): void {
  if (values.byteLength < RELEASED_BYTES_MIN) return;
  for (const { buffer } of [values, present]) if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** One series without labels that has a value at every step. */
export function constantTile(values: Float64Array): Tile {
  const present = new Uint8Array(values.length).fill(FLOAT);
  return { labels: [[]], values, present, histograms: undefined, nameless: undefined };
}

export function setFloat(tile: Tile, at: number, value: number): void {
  tile.values[at] = value;
  tile.present[at] = FLOAT;
}

export function setHistogram(tile: Tile, at: number, histogram: NativeHistogram): void {
  histogramsOf(tile)[at] = histogram;
  tile.present[at] = HISTOGRAM;
}

function histogramsOf(tile: Tile): (NativeHistogram | undefined)[] {
  // As long as the cells from the start: a sparse array would become a hash table.
  tile.histograms ??= Array.from<NativeHistogram | undefined>({ length: tile.present.length });
  return tile.histograms;
}

export function histogramAt(tile: Tile, at: number): NativeHistogram {
  return tile.histograms![at]!;
}

/** Copies one cell, whatever it holds. */
export function copyCell(from: Tile, at: number, to: Tile, target: number): void {
  const kind = from.present[at]!;
  to.present[target] = kind;
  if (kind === FLOAT) to.values[target] = from.values[at]!;
  else if (kind === HISTOGRAM) histogramsOf(to)[target] = from.histograms![at]!;
}

/** Steps. Up to here a loop is faster than two native calls, which make views first. */
const SHORT_ROW = 16;

/** Copies the steps and the mark of series `s` of `from` to series `row` of `to`; labels are the caller's. */
export function copyRow(from: Tile, s: number, to: Tile, row: number, steps: number): void {
  const source = s * steps;
  const target = row * steps;
  if (steps > SHORT_ROW) {
    to.values.set(from.values.subarray(source, source + steps), target);
    to.present.set(from.present.subarray(source, source + steps), target);
  } else {
    for (let i = 0; i < steps; i++) {
      to.values[target + i] = from.values[source + i]!;
      to.present[target + i] = from.present[source + i]!;
    }
  }
  if (from.histograms !== undefined) {
    for (let i = 0; i < steps; i++) {
      if (from.present[source + i] === HISTOGRAM) histogramsOf(to)[target + i] = from.histograms[source + i]!;
    }
  }
  if (from.nameless?.has(s) === true) (to.nameless ??= new Set()).add(row);
}

/** Whether series `s` has anything at any step. */
export function hasAny(tile: Tile, s: number, steps: number): boolean {
  const to = (s + 1) * steps;
  for (let i = s * steps; i < to; i++) if (tile.present[i] !== ABSENT) return true;
  return false;
}

/** The series `rows` of a tile, in that order. */
export function pickRows(tile: Tile, rows: readonly number[], steps: number): Tile {
  const out = createTile(rows.length, steps);
  rows.forEach((s, row) => {
    out.labels.push(tile.labels[s]!);
    copyRow(tile, s, out, row, steps);
  });
  return out;
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
