/**
 * kill -9 under load: whatever was acknowledged is there after the restart, floats, histograms and late samples, and
 * nothing that was not sent. CRASH_KILLS and CRASH_SEED in the environment make it longer or another.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { SeenSample } from "../support/head.ts";
import { startCairn, temporaryFolder } from "../support/process.ts";
import { storedSeries } from "../support/store.ts";
import { seeded, type TestHistogram, type TestSeries, write } from "../support/write.ts";

const KILLS = Number(process.env["CRASH_KILLS"] ?? 5);
const SEED = Number(process.env["CRASH_SEED"] ?? 7);
const START = 1_700_000_000_000;
const SENDERS = 4;
const FLOATS = 20;

const at = (i: number): number => START + i * 1000;

/** Pairs of requests have their late series' times exchanged: every second sample comes late. */
const lateIndex = (i: number): number => i ^ 1;

function histogram(i: number): TestHistogram {
  return {
    timestamp: BigInt(at(i)),
    count: { case: "countInt", value: BigInt(3 * i) },
    zeroCount: { case: "zeroCountInt", value: 0n },
    sum: i,
    schema: 0,
    zeroThreshold: 0.001,
    positiveSpans: [{ offset: 0, length: 2 }],
    positiveDeltas: [BigInt(i), BigInt(i)],
  };
}

/** Request `i` of a sender: one sample of each of its series. */
function request(sender: number, i: number): TestSeries[] {
  const labels = (kind: string, k = 0): Record<string, string> => ({
    __name__: "crash",
    kind,
    sender: String(sender),
    series: String(k),
  });
  const floats = Array.from({ length: FLOATS }, (_, k) => ({
    labels: labels("float", k),
    samples: [[at(i), i]] as const,
  }));
  const late = lateIndex(i);
  return [
    ...floats,
    { labels: labels("histogram"), samples: [], histograms: [histogram(i)] },
    { labels: labels("late"), samples: [[at(late), late]] },
  ];
}

interface Sender {
  /** Requests whose acknowledgement came, and requests that were sent. */
  acknowledged: number;
  sent: number;
  /** Requests that a kill caught: of them only the late sample may be missing when the rest is there. */
  readonly caught: Set<number>;
}

/** Holds what is stored against what was sent. @returns how many whole requests of the sender there are. */
function check(
  sender: Sender,
  series: readonly { kind: string; samples: readonly SeenSample[] }[],
  what: string,
): number {
  if (sender.acknowledged > 0) expect(series.length, what).toBe(FLOATS + 2);
  let count = -1;
  for (const { kind, samples } of series) {
    if (kind === "late") continue;
    expect(samples.length, what).toBeGreaterThanOrEqual(sender.acknowledged);
    expect(samples.length, what).toBeLessThanOrEqual(sender.sent);
    if (count >= 0) expect(samples.length, `${what}: of a request either all or nothing is in order`).toBe(count);
    count = samples.length;
    // Sample i was sent with time i and value i: a hole or an invention would show.
    samples.forEach((sample, i) => expect(sample, what).toEqual([at(i), kind === "float" ? i : [i, 2 * i]]));
  }
  const stored = Math.max(count, 0);
  const late = new Map(series.find(({ kind }) => kind === "late")?.samples.map(([time, value]) => [time, value]) ?? []);
  for (const [time, value] of late) {
    expect(time, what).toBe(at(Number(value)));
    expect(lateIndex(Number(value)), what).toBeLessThan(sender.sent);
  }
  for (let i = 0; i < sender.acknowledged; i++)
    if (!sender.caught.has(i))
      expect(late.get(at(lateIndex(i))), `${what}: late sample of request ${i}`).toBe(lateIndex(i));
  return stored;
}

test(
  `${KILLS} kills at random moments lose no acknowledged sample (seed ${SEED})`,
  async () => {
    const { path, cleanup } = temporaryFolder("crash");
    const random = seeded(SEED);
    const senders = Array.from({ length: SENDERS }, (): Sender => ({ acknowledged: 0, sent: 0, caught: new Set() }));
    try {
      for (let kill = 0; kill <= KILLS; kill++) {
        const cairn = await startCairn(path, ["--tsdb.out-of-order.time-window", "1h"]);
        const stored = await storedSeries(cairn.grpc, "crash");
        senders.forEach((sender, s) => {
          const own = stored
            .filter(({ labels }) => labels.includes(`,sender,${s},`))
            .map(({ labels, samples }) => ({ kind: /,kind,(\w+),/.exec(labels)![1]!, samples }));
          const whole = check(sender, own, `sender ${s} after kill ${kill}`);
          // What was in flight may be stored: the sender goes on behind it.
          for (let i = sender.acknowledged; i < whole; i++) sender.caught.add(i);
          sender.acknowledged = whole;
          sender.sent = whole;
        });
        if (kill === KILLS) {
          expect(await cairn.stop(), cairn.log()).toBe(0);
          break;
        }
        const killed = new AbortController();
        const load = senders.map(async (sender, s) => {
          while (!killed.signal.aborted) {
            const i = sender.sent++;
            try {
              const response = await write(cairn.remoteWrite, request(s, i));
              expect([204, 503]).toContain(response.status);
              if (response.status === 204) sender.acknowledged = i + 1;
            } catch (error) {
              if (!(error instanceof TypeError)) throw error;
              return; // the connection died with the process
            }
          }
        });
        await sleep(50 + random() * 600);
        // Now and then a clean end: the next start is from a snapshot, and the kill after it leaves that behind.
        if (random() < 0.2) {
          expect(await cairn.stop(), cairn.log()).toBe(0);
          killed.abort();
        } else {
          cairn.process.kill("SIGKILL");
          killed.abort();
        }
        await Promise.all(load);
        await cairn.stop("SIGKILL");
      }
      expect(Math.min(...senders.map(({ acknowledged }) => acknowledged))).toBeGreaterThan(0);
    } finally {
      cleanup();
    }
  },
  60_000 + KILLS * 10_000,
);
