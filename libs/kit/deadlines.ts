/**
 * Times by which work has to be done, nearly always long after it is. One timer serves all: it is set for the earliest,
 * and left as it is when that work is done in time, so that most have nothing to do with timers.
 */

/** A timer of more would go off at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export interface Deadline {
  readonly at: number;
  readonly onPast: () => void;
}

export class Deadlines {
  readonly #waiting = new Set<Deadline>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  /** `onPast` is called in so many milliseconds, unless `remove` is before. */
  add(afterMs: number, onPast: () => void): Deadline {
    const deadline = { at: performance.now() + afterMs, onPast };
    this.#waiting.add(deadline);
    if (deadline.at < this.#timerAt) this.#set(deadline.at);
    return deadline;
  }

  remove(deadline: Deadline): void {
    this.#waiting.delete(deadline);
  }

  #set(at: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    // The work keeps the process, not its end.
    this.#timer = setTimeout(() => this.#look(), Math.min(at - performance.now(), TIMER_MAX_MS)).unref();
  }

  #look(): void {
    const now = performance.now();
    let next = Infinity;
    for (const deadline of this.#waiting) {
      if (deadline.at > now) next = Math.min(next, deadline.at);
      else {
        this.#waiting.delete(deadline);
        deadline.onPast();
      }
    }
    this.#timerAt = Infinity;
    if (next < Infinity) this.#set(next);
  }
}
