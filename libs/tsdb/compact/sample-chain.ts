/**
 * The samples of overlapping chunks as one series, each time once. Which chunk a time's sample is taken from when
 * several have it follows Prometheus's chained iterator: the chunk just read gives way to another one that is as far.
 *
 * A histogram counter behind one of another chunk says nothing about resets: its hint is taken away.
 */
import { RESET_HINT } from "#libs/model/histogram.ts";
import type { Sample, SampleCursor } from "../chunk/sample-cursor.ts";
import { Heap } from "./heap.ts";

export class SampleChain {
  readonly #waiting = new Heap<SampleCursor>((a, b) => a.time < b.time);
  #current: SampleCursor | undefined;
  #time = -Infinity;

  /** Takes the cursors over. The first is read first of those that are as far at the start. */
  constructor([first, ...others]: readonly SampleCursor[]) {
    this.#current = first;
    for (const cursor of others) if (cursor.next()) this.#waiting.push(cursor);
  }

  /** The next sample, valid until the next call; undefined behind the last. */
  next(): Sample | undefined {
    let current = this.#current;
    let changed = this.#time === -Infinity;
    while (current !== undefined) {
      if (current.next()) {
        if (current.time === this.#time) continue;
        const other = this.#waiting.first;
        if (other === undefined || current.time < other.time) break;
        this.#waiting.push(current);
      }
      current = this.#waiting.pop();
      changed = true;
      if (current !== undefined && current.time !== this.#time) break;
    }
    this.#current = current;
    if (current === undefined) return undefined;
    this.#time = current.time;
    const { histogram } = current;
    if (!changed || histogram === undefined || histogram.counterResetHint === RESET_HINT.GAUGE) return current;
    const { time, start, low, high } = current;
    return { time, start, low, high, histogram: { ...histogram, counterResetHint: RESET_HINT.UNKNOWN } };
  }
}
