/** Who waits for a turn: one goes on at each, so that a socket waits for one slice, not for one of each query. */
const waiting: (() => void)[] = [];

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) setImmediate(takeTurn);
  });
}

function takeTurn(): void {
  waiting.shift()!();
  if (waiting.length > 0) setImmediate(takeTurn);
}

/** Goes through steps without a pause. */
export function atOnce<R>(steps: Iterator<void, R>): R {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/**
 * Long CPU work in slices: `await slices.breathe()` is free until `sliceMs` have passed since the last turn of
 * the event loop, then lets sockets, messages and cancellation through.
 */
export class Slices {
  readonly #sliceMs: number;
  readonly #signal: AbortSignal | undefined;
  #startedAt = performance.now();

  constructor(sliceMs: number, signal?: AbortSignal) {
    this.#sliceMs = sliceMs;
    this.#signal = signal;
  }

  /** Whether a turn is due: lets a hot loop skip the await. */
  get due(): boolean {
    return performance.now() - this.#startedAt >= this.#sliceMs;
  }

  /** Goes through steps that are short each. @throws as `breathe`. */
  async run<R>(steps: Iterator<void, R>): Promise<R> {
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
      if (this.due) await this.breathe();
    }
  }

  /** @throws the signal's reason once it is aborted. */
  async breathe(): Promise<void> {
    if (!this.due) return;
    await nextTurn();
    this.#startedAt = performance.now();
    this.#signal?.throwIfAborted();
  }
}
