/**
 * kill -9 under load: whatever was acknowledged is there after the restart, and nothing that was not sent.
 * CRASH_KILLS and CRASH_SEED in the environment make it longer or another.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { ask, startCairn, temporaryFolder } from "../support/process.ts";
import { seeded, write } from "../support/write.ts";

const KILLS = Number(process.env["CRASH_KILLS"] ?? 5);
const SEED = Number(process.env["CRASH_SEED"] ?? 7);
const START = 1_700_000_000_000;

test(`${KILLS} kills at random moments lose no acknowledged sample (seed ${SEED})`, async () => {
  const { path, cleanup } = temporaryFolder("crash");
  const random = seeded(SEED);
  const senders = 4;
  /** Sender → samples acknowledged, and samples that were sent. */
  const acknowledged = Array.from({ length: senders }, () => 0);
  const sent = Array.from({ length: senders }, () => 0);
  try {
    for (let kill = 0; kill <= KILLS; kill++) {
      const cairn = await startCairn(path);
      for (let s = 0; s < senders; s++) {
        const time = String((START + (sent[s]! + 1) * 1000) / 1000);
        const answer = await ask(cairn.http, "query", { query: `crash{sender="${s}"}[1000d]`, time });
        const perSeries = answer.data.result.map(({ values }) => values!);
        if (acknowledged[s]! > 0) expect(perSeries.length, `sender ${s}: series after kill ${kill}`).toBe(20);
        for (const values of perSeries) {
          expect(values.length, `sender ${s}: samples after kill ${kill}`).toBeGreaterThanOrEqual(acknowledged[s]!);
          expect(values.length).toBeLessThanOrEqual(sent[s]!);
          // Sample i was sent with time i and value i: a hole or an invention would show.
          values.forEach(([t, v], i) => expect([t * 1000, Number(v)]).toEqual([START + i * 1000, i]));
        }
        // What was in flight may be stored: the sender goes on behind it.
        acknowledged[s] = perSeries[0]?.length ?? 0;
        for (const values of perSeries)
          expect(values.length, "a request is stored whole or not at all").toBe(acknowledged[s]!);
        sent[s] = acknowledged[s]!;
      }
      if (kill === KILLS) {
        expect(await cairn.stop()).toBe(0);
        break;
      }
      const killed = new AbortController();
      const load = Array.from({ length: senders }, async (_, s) => {
        while (!killed.signal.aborted) {
          const i = sent[s]!++;
          const series = Array.from({ length: 20 }, (__, k) => ({
            labels: { __name__: "crash", sender: String(s), series: String(k) },
            samples: [[START + i * 1000, i]] as const,
          }));
          try {
            const response = await write(cairn.remoteWrite, series);
            if (response.status === 204) acknowledged[s] = i + 1;
          } catch {
            return; // the connection died with the process
          }
        }
      });
      await sleep(50 + random() * 600);
      cairn.process.kill("SIGKILL");
      killed.abort();
      await Promise.all(load);
      await cairn.stop("SIGKILL");
    }
    expect(Math.min(...acknowledged)).toBeGreaterThan(0);
  } finally {
    cleanup();
  }
});
