/** Label sets as operators change them. */
import { ExecutionError } from "#libs/kit/errors.ts";
import { dropLabels, keepLabels, type Labels, labelsKey, METRIC_NAME } from "#libs/model/labels.ts";
import { ABSENT, copyCell, hasAny, pickRows, type Tile } from "../tile.ts";

/** What functions that compute drop: the name, and the type and unit that go with it. */
export const METADATA_LABELS: ReadonlySet<string> = new Set([METRIC_NAME, "__type__", "__unit__"]);
const NAME_LABEL: ReadonlySet<string> = new Set([METRIC_NAME]);

export function dropMetadata(labels: Labels): Labels {
  return dropLabels(labels, METADATA_LABELS);
}

/** When the names of computed series go: at once, or with `delayed` at the end of the query, marked until then. */
export class NameRemoval {
  readonly delayed: boolean;
  /** Whether more than a name was dropped: then even series of one name may have become equal. */
  droppedMore = false;

  constructor(delayed: boolean) {
    this.delayed = delayed;
  }

  /** Takes the name off series `s`; with `nameOnly` its type and unit stay. */
  apply(tile: Tile, s: number, nameOnly = false): void {
    if (this.delayed) {
      (tile.nameless ??= new Set()).add(s);
      return;
    }
    const before = tile.labels[s]!;
    const after = dropLabels(before, nameOnly ? NAME_LABEL : METADATA_LABELS);
    if (before.length - after.length > 2) this.droppedMore = true;
    tile.labels[s] = after;
  }

  /** Does what was delayed, for series `s`. */
  finish(tile: Tile, s: number): void {
    if (tile.nameless?.delete(s) === true) tile.labels[s] = dropMetadata(tile.labels[s]!);
  }
}

/** The labels a group or match is made of. */
export function groupingOf(labels: Labels, names: ReadonlySet<string>, without: boolean): Labels {
  return without ? dropLabels(labels, names) : keepLabels(labels, names);
}

/** Names of a `by`, `without`, `on` or `ignoring` clause; leaving out drops the metric's name too. */
export function groupingNames(names: readonly string[], without: boolean): ReadonlySet<string> {
  return new Set(without ? [...names, METRIC_NAME] : names);
}

const SAME_LABELS = "vector cannot contain metrics with the same labelset";

const SERIES_BETWEEN_TURNS = 1024;

/**
 * Series with equal labels as one; they must not have values at the same step. `tile` itself when all differ. May be
 * interrupted where it yields.
 */
export function* mergingEqual(tile: Tile, steps: number): Generator<undefined, Tile> {
  const rowOf = new Map<string, number>();
  const kept: number[] = [];
  const doubles: [s: number, first: number][] = [];
  for (const [s, labels] of tile.labels.entries()) {
    if (s % SERIES_BETWEEN_TURNS === 0) yield;
    const key = labelsKey(labels);
    const first = rowOf.get(key);
    if (first === undefined) {
      rowOf.set(key, s);
      kept.push(s);
    } else if (hasAny(tile, s, steps)) doubles.push([s, first]);
  }
  if (kept.length === tile.labels.length) return tile;
  for (const [d, [s, first]] of doubles.entries()) {
    if (d % SERIES_BETWEEN_TURNS === 0) yield;
    for (let i = 0; i < steps; i++) {
      if (tile.present[s * steps + i] === ABSENT) continue;
      if (tile.present[first * steps + i] !== ABSENT) throw new ExecutionError(SAME_LABELS);
      copyCell(tile, s * steps + i, tile, first * steps + i);
    }
  }
  return pickRows(tile, kept, steps);
}

/** Label sets seen so far, of series that must all differ. */
export class DistinctLabels {
  readonly #keys = new Set<string>();

  /** @throws ExecutionError when one of them was there before. */
  add(sets: readonly Labels[]): void {
    for (const labels of sets) {
      const key = labelsKey(labels);
      if (this.#keys.has(key)) throw new ExecutionError(SAME_LABELS);
      this.#keys.add(key);
    }
  }
}
