/** Label sets as operators change them. */
import { ExecutionError } from "#libs/kit/errors.ts";
import { dropLabels, keepLabels, type Labels, labelsKey, METRIC_NAME, withLabel } from "#libs/model/labels.ts";
import type { Tile } from "../tile.ts";

/** What functions that compute drop: the name, and the type and unit that go with it. */
const METADATA_LABELS: ReadonlySet<string> = new Set([METRIC_NAME, "__type__", "__unit__"]);

export function dropName(labels: Labels): Labels {
  return dropLabels(labels, METADATA_LABELS);
}

/** The labels a group or match is made of. */
export function groupingOf(labels: Labels, names: ReadonlySet<string>, without: boolean): Labels {
  return without ? dropLabels(labels, names) : keepLabels(labels, names);
}

/** Names of a `by`, `without`, `on` or `ignoring` clause; leaving out drops the metric's name too. */
export function groupingNames(names: readonly string[], without: boolean): ReadonlySet<string> {
  return new Set(without ? [...names, METRIC_NAME] : names);
}

export { withLabel };

/** Series that became equal by losing labels: allowed as long as no two have a value at the same step. */
export class UniqueSeries {
  readonly #rows = new Map<string, Uint8Array>();

  /** @throws ExecutionError when a series with these labels already had a value at one of the steps. */
  add(tile: Tile, steps: number): void {
    tile.labels.forEach((labels, s) => {
      const key = labelsKey(labels);
      const present = tile.present.subarray(s * steps, (s + 1) * steps);
      const seen = this.#rows.get(key);
      if (seen === undefined) this.#rows.set(key, present.slice());
      else {
        for (let i = 0; i < steps; i++) {
          if (present[i] === 0) continue;
          if (seen[i] === 1) throw new ExecutionError("vector cannot contain metrics with the same labelset");
          seen[i] = 1;
        }
      }
    });
  }
}
