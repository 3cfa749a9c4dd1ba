import type { Logger } from "./log.ts";
import { Registry } from "./prometheus.ts";

/** What main.ts gives every component, and a test gives with fakes. Nothing else is ambient. */
export interface Env {
  readonly log: Logger;
  /** Where this thread's metrics are registered; `/metrics` joins those of all threads. */
  readonly metrics: Registry;
  /** Unix time in milliseconds. The only clock: tests move it by hand. */
  now(): number;
  /** Aborts when the process is asked to stop. */
  readonly stopping: AbortSignal;
  /** Runs `close` at shutdown or when start-up fails, in reverse order of registration. */
  readonly defer: (what: string, close: () => Promise<void> | void) => void;
}

export interface Deferred {
  readonly env: Env;
  /** Closes everything deferred, newest first, once. One failing close does not stop the rest. */
  readonly close: () => Promise<void>;
}

export function createEnv(log: Logger, now: () => number, stopping: AbortSignal): Deferred {
  const stack: { what: string; close: () => Promise<void> | void }[] = [];
  return {
    env: { log, metrics: new Registry(), now, stopping, defer: (what, close) => void stack.push({ what, close }) },
    async close(): Promise<void> {
      for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
        try {
          await top.close();
        } catch (err) {
          log.error({ err, what: top.what }, "close failed");
        }
      }
    },
  };
}
