import { setImmediate as nextTurn } from "node:timers/promises";

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
  async run(steps: Iterator<void>): Promise<void> {
    while (steps.next().done !== true) if (this.due) await this.breathe();
  }

  /** @throws the signal's reason once it is aborted. */
  async breathe(): Promise<void> {
    if (!this.due) return;
    await nextTurn();
    this.#startedAt = performance.now();
    this.#signal?.throwIfAborted();
  }
}
