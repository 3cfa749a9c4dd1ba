import { LimitError } from "./errors.ts";

/** Lets `width` jobs run at once; up to `queueLengthMax` more wait in order of arrival. */
export class Gate {
  readonly #what: string;
  readonly #width: number;
  readonly #queueLengthMax: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** `what` names the limit and its flag in the error, such as `--query.max-concurrent`. */
  constructor(what: string, width: number, queueLengthMax: number) {
    this.#what = what;
    this.#width = width;
    this.#queueLengthMax = queueLengthMax;
  }

  get running(): number {
    return this.#running;
  }

  /** @throws LimitError when the queue is full; the signal's reason when it aborts while waiting. */
  async run<T>(job: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#running >= this.#width) await this.#wait(signal);
    else this.#running++;
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next(); // hands its place over
    }
  }

  #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#queueLengthMax) {
      throw new LimitError(
        `${this.#what}: ${this.#width} running and ${this.#queueLengthMax} waiting; raise it or send fewer at once`,
      );
    }
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason as Error);
      };
      this.#waiting.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
