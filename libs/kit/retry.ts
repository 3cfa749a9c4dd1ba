import { setTimeout as sleep } from "node:timers/promises";

export interface RetryPolicy {
  readonly attemptsMax: number;
  readonly firstDelayMs: number;
  readonly delayMaxMs: number;
  /** Uniform in [0, 1): spreads the retries of many callers. */
  readonly random: () => number;
  /** Whether trying again can help. */
  readonly isRetryable: (error: unknown) => boolean;
}

/** Calls `job` until it succeeds, with exponential backoff and full jitter; throws the last error. */
export async function retry<T>(policy: RetryPolicy, signal: AbortSignal, job: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await job();
    } catch (error) {
      if (attempt >= policy.attemptsMax || signal.aborted || !policy.isRetryable(error)) throw error;
      const ceiling = Math.min(policy.delayMaxMs, policy.firstDelayMs * 2 ** (attempt - 1));
      await sleep(ceiling * policy.random(), undefined, { signal });
    }
  }
}
