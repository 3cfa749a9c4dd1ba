/**
 * Work over all series of a large result, with turns for cancellation and others: a million label sets take a second
 * to sort or to compare. What the stores send and tiles bound needs none of this.
 */
import type { Slices } from "#libs/kit/slices.ts";
import { copyRow, createTile, type Tile } from "../tile.ts";
import { mergingEqual } from "./labels.ts";

/** Items between two looks at the clock. */
const STRIDE = 64;
const RUN = 2048;

/** Calls `visit` for 0 … count - 1. */
export async function forEachInSlices(count: number, visit: (i: number) => void, slices: Slices): Promise<void> {
  for (let i = 0; i < count; i++) {
    visit(i);
    if (i % STRIDE === STRIDE - 1 && slices.due) await slices.breathe();
  }
}

/** A sorted copy, equal items in their order: runs are sorted, then merged. */
export async function sortInSlices<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  slices: Slices,
): Promise<T[]> {
  let sorted: T[] = [];
  for (let from = 0; from < items.length; from += RUN) {
    for (const item of items.slice(from, from + RUN).sort(compare)) sorted.push(item);
    if (slices.due) await slices.breathe();
  }
  for (let run = RUN; run < sorted.length; run *= 2) {
    const merged: T[] = [];
    for (let from = 0; from < sorted.length; from += 2 * run) {
      const middle = Math.min(from + run, sorted.length);
      const end = Math.min(from + 2 * run, sorted.length);
      let [left, right] = [from, middle];
      while (left < middle || right < end) {
        const takesLeft = right === end || (left < middle && compare(sorted[left]!, sorted[right]!) <= 0);
        merged.push(sorted[takesLeft ? left++ : right++]!);
        if (merged.length % RUN === 0 && slices.due) await slices.breathe();
      }
    }
    sorted = merged;
  }
  return sorted;
}

/** `pickRows`. */
export async function pickInSlices(tile: Tile, rows: readonly number[], steps: number, slices: Slices): Promise<Tile> {
  const out = createTile(rows.length, steps);
  const pick = (row: number): void => {
    out.labels.push(tile.labels[rows[row]!]!);
    copyRow(tile, rows[row]!, out, row, steps);
  };
  await forEachInSlices(rows.length, pick, slices);
  return out;
}

/** `mergingEqual`, to its end. */
export async function mergeInSlices(tile: Tile, steps: number, slices: Slices): Promise<Tile> {
  const work = mergingEqual(tile, steps);
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (slices.due) await slices.breathe();
  }
}

/** Tiles of `most` series, which bounds what is done with each: parts of the larger ones, in place. */
export async function* splitLarge(
  tiles: AsyncIterable<Tile>,
  steps: number,
  most: number,
  slices: Slices,
): AsyncGenerator<Tile> {
  for await (const tile of tiles) {
    if (tile.labels.length <= most) yield tile;
    else {
      for (let from = 0; from < tile.labels.length; from += most) {
        yield partOf(tile, from, Math.min(from + most, tile.labels.length), steps);
        if (slices.due) await slices.breathe();
      }
    }
  }
}

function partOf(
  { labels, values, present, histograms, nameless }: Tile,
  from: number,
  to: number,
  steps: number,
): Tile {
  const marked = Array.from({ length: to - from }, (_, s) => s).filter((s) => nameless?.has(from + s));
  return {
    labels: labels.slice(from, to),
    values: values.subarray(from * steps, to * steps),
    present: present.subarray(from * steps, to * steps),
    histograms: histograms?.slice(from * steps, to * steps),
    nameless: marked.length === 0 ? undefined : new Set(marked),
  };
}
