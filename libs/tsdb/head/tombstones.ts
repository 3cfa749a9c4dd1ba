/** Deleted ranges of a head's series, by ref: applied when its chunks are read and cut, kept in its log. */
import type { Interval } from "../block/cut-chunks.ts";
import type { RefInterval } from "../wal/records.ts";
import { StoredSamples } from "./stored-samples.ts";

export class Tombstones {
  #byRef = new Map<number, readonly Interval[]>();

  /** Ascending intervals that do not touch. Never changed in place: a reader may keep it. */
  get byRef(): ReadonlyMap<number, readonly Interval[]> {
    return this.#byRef;
  }

  add(deleted: readonly RefInterval[]): void {
    if (deleted.length === 0) return;
    const next = new Map(this.#byRef);
    for (const { ref, mint, maxt } of deleted) next.set(ref, addInterval(next.get(ref) ?? [], { mint, maxt }));
    this.#byRef = next;
  }

  /** Forgets what ends before `time` and series that are gone. */
  truncate(time: number, isLive: (ref: number) => boolean): void {
    if (this.#byRef.size === 0) return;
    const next = new Map<number, readonly Interval[]>();
    for (const [ref, intervals] of this.#byRef) {
      const kept = intervals.filter(({ maxt }) => maxt >= time);
      if (kept.length > 0 && isLive(ref)) next.set(ref, kept);
    }
    this.#byRef = next;
  }
}

/** Adjacent ones become one: times are whole milliseconds. */
function addInterval(intervals: readonly Interval[], { mint, maxt }: Interval): readonly Interval[] {
  const apart = intervals.filter((other) => other.maxt + 1 < mint || other.mint - 1 > maxt);
  const joined = intervals.filter((other) => !(other.maxt + 1 < mint || other.mint - 1 > maxt));
  const merged = {
    mint: joined.reduce((min, other) => Math.min(min, other.mint), mint),
    maxt: joined.reduce((max, other) => Math.max(max, other.maxt), maxt),
  };
  return [...apart, merged].sort((a, b) => a.mint - b.mint);
}

export function touches(intervals: readonly Interval[], mint: number, maxt: number): boolean {
  return intervals.some((interval) => interval.mint <= maxt && interval.maxt >= mint);
}

/** The samples that no interval holds; the list itself when that is all of them. */
export function dropDeleted(samples: StoredSamples, intervals: readonly Interval[]): StoredSamples {
  if (samples.length === 0 || !touches(intervals, samples.mint, samples.maxt)) return samples;
  const kept = new StoredSamples(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const time = samples.times[i]!;
    if (touches(intervals, time, time)) continue;
    if (samples.breaks?.has(i) === true) (kept.breaks ??= new Set()).add(kept.length);
    kept.pushFrom(samples, i);
  }
  return kept;
}
