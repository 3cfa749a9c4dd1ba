/**
 * The newest exemplars of a head: a ring of fixed size, and per series the list by time. When one is taken follows
 * prometheus/tsdb/exemplar.go; of several of one series at one time, the order is by value, then by labels.
 */
import { compareLabels, equalLabels, type Labels } from "#libs/model/labels.ts";
import type { Matcher } from "#libs/model/matcher.ts";
import { labelValue } from "#libs/model/labels.ts";

/** Most characters of an exemplar's label names and values together. */
const LABELS_LENGTH_MAX = 128;

export interface Exemplar {
  readonly time: number;
  /** One float, bit for bit. */
  readonly value: Float64Array;
  /** Sorted, without empty values. */
  readonly labels: Labels;
}

export interface SeriesExemplars {
  readonly series: Labels;
  /** Ascending by time. */
  readonly exemplars: readonly Exemplar[];
}

export const EXEMPLAR_OUTCOME = { STORED: 0, DUPLICATE: 1, OUT_OF_ORDER: 2, INVALID: 3, DISABLED: 4 } as const;
export type ExemplarOutcome = (typeof EXEMPLAR_OUTCOME)[keyof typeof EXEMPLAR_OUTCOME];

interface SeriesList {
  readonly series: Labels;
  readonly exemplars: Exemplar[];
}

export class Exemplars {
  readonly #countMax: number;
  readonly #outOfOrderMs: number;
  /** The ring: what was added, in that order; `#next` is the oldest once it is full. */
  readonly #ring: { readonly list: SeriesList; readonly exemplar: Exemplar }[] = [];
  #next = 0;
  readonly #lists = new Map<string, SeriesList>();

  constructor(countMax: number, outOfOrderMs: number) {
    this.#countMax = countMax;
    this.#outOfOrderMs = outOfOrderMs;
  }

  get enabled(): boolean {
    return this.#countMax > 0;
  }

  get count(): number {
    return this.#ring.length;
  }

  /** What `add` would say. */
  check(series: Labels, exemplar: Exemplar): ExemplarOutcome {
    if (!this.enabled) return EXEMPLAR_OUTCOME.DISABLED;
    let length = 0;
    // Code points, as Go counts.
    for (const text of exemplar.labels) length += Array.from(text).length;
    if (length > LABELS_LENGTH_MAX) return EXEMPLAR_OUTCOME.INVALID;
    const newest = this.#lists.get(keyOf(series))?.exemplars.at(-1);
    if (newest === undefined) return EXEMPLAR_OUTCOME.STORED;
    const value = exemplar.value[0]!;
    const newestValue = newest.value[0]!;
    if (exemplar.time === newest.time) {
      if (value === newestValue && equalLabels(exemplar.labels, newest.labels)) return EXEMPLAR_OUTCOME.DUPLICATE;
      if (value < newestValue || (value === newestValue && compareLabels(exemplar.labels, newest.labels) < 0))
        return EXEMPLAR_OUTCOME.OUT_OF_ORDER;
    }
    const isLate = exemplar.time < newest.time && exemplar.time <= newest.time - this.#outOfOrderMs;
    return isLate ? EXEMPLAR_OUTCOME.OUT_OF_ORDER : EXEMPLAR_OUTCOME.STORED;
  }

  add(series: Labels, exemplar: Exemplar): ExemplarOutcome {
    const outcome = this.check(series, exemplar);
    if (outcome !== EXEMPLAR_OUTCOME.STORED) return outcome;
    const key = keyOf(series);
    let list = this.#lists.get(key);
    let at = list?.exemplars.length ?? 0;
    while (at > 0 && list!.exemplars[at - 1]!.time > exemplar.time) at--;
    // A late one at the time of another is taken for the same.
    if (list !== undefined && at < list.exemplars.length && list.exemplars[at - 1]?.time === exemplar.time)
      return EXEMPLAR_OUTCOME.DUPLICATE;
    if (list === undefined) this.#lists.set(key, (list = { series, exemplars: [] }));
    list.exemplars.splice(at, 0, exemplar);
    const entry = { list, exemplar };
    if (this.#ring.length < this.#countMax) this.#ring.push(entry);
    else {
      const oldest = this.#ring[this.#next]!;
      oldest.list.exemplars.splice(oldest.list.exemplars.indexOf(oldest.exemplar), 1);
      if (oldest.list.exemplars.length === 0) this.#lists.delete(keyOf(oldest.list.series));
      this.#ring[this.#next] = entry;
      this.#next = (this.#next + 1) % this.#countMax;
    }
    return EXEMPLAR_OUTCOME.STORED;
  }

  /** Of series that one of the lists of matchers selects, in [mint, maxt], by labels. */
  select(matchers: readonly (readonly Matcher[])[], mint: number, maxt: number): SeriesExemplars[] {
    const found: SeriesExemplars[] = [];
    for (const { series, exemplars } of this.#lists.values()) {
      const isWanted = matchers.some((set) =>
        set.every((matcher) => matcher.matches(labelValue(series, matcher.name))),
      );
      if (!isWanted) continue;
      const inRange = exemplars.filter(({ time }) => time >= mint && time <= maxt);
      if (inRange.length > 0) found.push({ series, exemplars: inRange });
    }
    return found.sort((a, b) => compareLabels(a.series, b.series));
  }

  /** Everything, in the order it was added. */
  *all(): Generator<{ readonly series: Labels; readonly exemplar: Exemplar }> {
    for (let i = 0; i < this.#ring.length; i++) {
      const { list, exemplar } = this.#ring[(this.#next + i) % this.#ring.length]!;
      yield { series: list.series, exemplar };
    }
  }
}

function keyOf(series: Labels): string {
  return series.join("\u{ff}");
}
