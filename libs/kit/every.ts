import { setTimeout as sleep } from "node:timers/promises";
import type { Env } from "./env.ts";

/**
 * Runs `job` now, then again `intervalMs` after each end, until the process stops. The first run is awaited and
 * may throw; a later failure is logged and tried again at the next turn.
 */
export async function every(intervalMs: number, what: string, job: () => Promise<void>, env: Env): Promise<void> {
  await job();
  const ended = new AbortController();
  const signal = AbortSignal.any([env.stopping, ended.signal]);
  const loop = (async () => {
    while (!signal.aborted) {
      try {
        await sleep(intervalMs, undefined, { signal });
      } catch {
        return; // stopping
      }
      try {
        await job();
      } catch (err) {
        if (!signal.aborted) env.log.error({ err }, `${what} failed`);
      }
    }
  })();
  env.defer(what, () => {
    ended.abort();
    return loop;
  });
}
