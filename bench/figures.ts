/**
 * What a head and its blocks cost, beside VictoriaMetrics and Prometheus on the same bodies:
 *
 *   500,000 series × 4 samples, each with a label of its own   memory, CPU of a new series
 *   100,000 series × 2 h of scrapes every 15 s                 memory, restart, bytes a sample, block from the head
 *   three blocks of 2 h of 100,000 series                      merged into one
 *
 * then our head's folders of both in this thread. Ten samples of a series go in one request where there are hundreds:
 * Prometheus would take seven minutes for them one by one.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import { labelValues, mergeBeside } from "./blocks.ts";
import { dataBody, target } from "./dataset.ts";
import { head } from "./head.ts";
import { blockBytes, headLife } from "./head-life.ts";
import { cpuSeconds, row, rssMegabytes, summary } from "./measure.ts";
import { ask, post, type Server, startAll, stopAll } from "./peers.ts";

type Print = (line: string) => void;

const INTERVAL_MS = 15_000;
const START = 1_699_999_200_000;
const SEED = 42;
const SAMPLES_A_REQUEST = 2000;

interface Load {
  readonly series: number;
  readonly steps: number;
  /** Samples of a series in one request. */
  readonly batch: number;
  /** Each series has a label of its own. */
  readonly unique: boolean;
}

export async function figures(print: Print): Promise<void> {
  const wide = { series: 500_000, steps: 4, batch: 1, unique: true };
  await beside(print, wide, (running) => valuesWithMatcher(print, running));
  const long = { series: 100_000, steps: 480, batch: 10, unique: false };
  await beside(print, long, async (running) => {
    await blockOfPrometheus(print, running);
    await restart(print, running, long);
  });
  head(print);
  await mergeBeside(print);
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  try {
    await labelValues(folder, print);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Loads all servers, then does `more` and lives through our head alone. */
async function beside(print: Print, load: Load, more: (running: readonly Server[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  const running = await startAll(print, folder);
  try {
    await send(print, running, load);
    await more(running);
    const ours = running.find(({ name }) => name === "cairn")!;
    for (const server of running) if (server !== ours) server.kill();
    await ours.stop();
    await headLife(print, join(ours.folder, "receive", "default-tenant"));
  } finally {
    await stopAll(running, folder);
  }
}

/** A figure of each server. */
function show(print: Print, running: readonly Server[], what: string, note: string, of: readonly number[]): void {
  print(row([what, "", "", note]));
  running.forEach(({ name }, s) => print(row([`  ${name}`, of[s]!, "", ""])));
}

async function send(
  print: Print,
  running: readonly Server[],
  { series: count, steps, batch, unique }: Load,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const targets = Array.from({ length: count / 100 }, (_, id) => target(id, INTERVAL_MS, SEED, unique));
  const perRequest = SAMPLES_A_REQUEST / batch;
  const targetsPerRequest = perRequest / 100;
  const idle = running.map(({ pid }) => rssMegabytes(pid));
  const cpu = running.map(({ pid }) => cpuSeconds(pid));
  let creating: number[] = [];
  for (let step = 0; step < steps; step += batch) {
    for (let from = 0; from < targets.length; from += 64 * targetsPerRequest) {
      const bodies: Uint8Array[] = [];
      for (let i = from; i < Math.min(targets.length, from + 64 * targetsPerRequest); i += targetsPerRequest)
        bodies.push(
          dataBody(targets.slice(i, i + targetsPerRequest).flat(), batch, START + step * INTERVAL_MS, INTERVAL_MS),
        );
      for (const server of running) await Promise.all(bodies.map((body) => post(agent, server, body)));
    }
    if (step === 0) creating = running.map(({ pid }, s) => ((cpuSeconds(pid) - cpu[s]!) * 1e6) / count);
  }
  agent.destroy();
  await sleep(3000);
  const what = `${count} series × ${steps}`;
  const samples = count * (steps - batch);
  show(print, running, `${what}: CPU of a new series, µs`, `with ${batch} samples, over HTTP`, creating);
  const rest = running.map(({ pid }, s) => ((cpuSeconds(pid) - cpu[s]!) * 1e6 - creating[s]! * count) / samples);
  show(print, running, `${what}: CPU of a further sample, µs`, "", rest);
  const rss = running.map(({ pid }) => rssMegabytes(pid));
  show(print, running, `${what}: memory, MB`, `idle ${idle.map((mb) => mb.toFixed(0)).join(", ")}`, rss);
  show(
    print,
    running,
    `${what}: bytes a series`,
    "less when idle",
    rss.map((mb, s) => ((mb - idle[s]!) * 2 ** 20) / count),
  );
}

/** Values of a label that 500,000 series have one of their own of each, where 500 match. */
async function valuesWithMatcher(print: Print, running: readonly Server[]): Promise<void> {
  const params = { "match[]": 'up{job="job-3"}', start: String(START / 1000), end: String(START / 1000 + 60) };
  const times = running.map((): number[] => []);
  // From the hundredth on: code is compiled.
  for (let i = -100; i < 20; i++) {
    for (const [s, server] of running.entries()) {
      const at = performance.now();
      const { data } = JSON.parse(await ask(server, "label/uid/values", params)) as { data: string[] };
      if (i >= 0) times[s]!.push(performance.now() - at);
      if (data.length !== 500) throw new Error(`${server.name} has ${data.length} values, not 500`);
    }
  }
  print(row(["500 of 500,000 label values by a matcher, ms", "", "", "best, median; over HTTP"]));
  running.forEach(({ name }, s) => {
    const { best, median } = summary(times[s]!);
    print(row([`  ${name}`, best, median, ""]));
  });
}

/** Stops and starts each as an operator does; it is back when it counts all series again. */
async function restart(print: Print, running: readonly Server[], { series, steps }: Load): Promise<void> {
  const stopping: number[] = [];
  const starting: number[] = [];
  const cpu: number[] = [];
  const params = { query: 'count({__name__=~".+"})', time: String((START + steps * INTERVAL_MS) / 1000) };
  for (const server of running) {
    let at = performance.now();
    await server.stop();
    stopping.push(performance.now() - at);
    at = performance.now();
    await server.start();
    const ready = performance.now() - at;
    cpu.push(cpuSeconds(server.pid) * 1000);
    const answer = await ask(server, "query", params);
    if (!answer.includes(`"${series}"`)) throw new Error(`${server.name} has lost series: ${answer.slice(0, 300)}`);
    starting.push(ready);
  }
  show(print, running, "end of that head, ms", "SIGTERM until the process is gone", stopping);
  show(
    print,
    running,
    "restart with that head, ms",
    "process started until it is ready; it then counts all series",
    starting,
  );
  show(print, running, "  CPU of that, ms", "the whole process", cpu);
}

/** Prometheus's way to a block while it runs: a snapshot. */
async function blockOfPrometheus(print: Print, running: readonly Server[]): Promise<void> {
  for (const server of running) {
    if (server.name === "victoria-metrics") {
      const bytes = folderBytes(join(server.folder, "data"));
      print(row(["victoria-metrics: MB on the disk", bytes / 1e6, "", "data"]));
    }
    if (server.name !== "prometheus") continue;
    const cpu = cpuSeconds(server.pid);
    const answer = await fetch(`${server.query}/admin/tsdb/snapshot`, { method: "POST" });
    if (!answer.ok) throw new Error(`prometheus: snapshot: ${await answer.text()}`);
    const seconds = cpuSeconds(server.pid) - cpu;
    const snapshot = join(server.folder, "snapshots", readdirSync(join(server.folder, "snapshots"))[0]!);
    const blocks = readdirSync(snapshot).filter(isUlid);
    const bytes = blocks.reduce((sum, name) => sum + blockBytes(join(snapshot, name)), 0);
    print(
      row(["prometheus: block of that head, s of CPU", seconds, "", `${(bytes / 1e6).toFixed(1)} MB, 48 M samples`]),
    );
  }
}

function folderBytes(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
