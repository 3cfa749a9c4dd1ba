/**
 * Whole servers beside each other: the same bodies over loopback, interleaved, CPU from /proc. Ours writes and syncs a
 * log before it acknowledges, Prometheus writes one without sync, VictoriaMetrics has none: say so beside any ratio.
 */
import { mkdtempSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadBody, loadSeries } from "#tools/load.ts";
import { cpuSeconds, row, rssMegabytes, summary } from "./measure.ts";
import { ask, post, type Server, startAll, stopAll } from "./peers.ts";

const STEP_MS = 15_000;

export async function servers(print: (line: string) => void, seriesCount: number, steps: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  const running = await startAll(print, folder);
  try {
    // BENCH_COUNTERS: counters only, so that a rate goes over all series.
    const stride = process.env["BENCH_COUNTERS"] === undefined ? 1 : 4;
    const series = Array.from({ length: seriesCount }, (_, i) => loadSeries(i * stride, 42));
    const start0 = Date.now() - steps * STEP_MS;
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const cpuBefore = running.map((server) => cpuSeconds(server.pid));
    const wall = running.map(() => 0);
    let samples = 0;
    let cpuAfterFirst: number[] = [];
    for (let step = 0; step < steps; step++) {
      const bodies: Uint8Array[] = [];
      for (let i = 0; i < series.length; i += 2000)
        bodies.push(loadBody(series.slice(i, i + 2000), step, start0 + step * STEP_MS));
      for (const [s, server] of running.entries()) {
        const startedAt = performance.now();
        await Promise.all(bodies.map((body) => post(agent, server, body)));
        wall[s]! += performance.now() - startedAt;
      }
      samples += series.length;
      if (step === 0) cpuAfterFirst = running.map((server) => cpuSeconds(server.pid));
    }
    agent.destroy();
    await sleep(1500);
    const steady = samples - series.length;
    print(
      row([
        `remote write, ${seriesCount} series × ${steps}`,
        "µs CPU a sample",
        "µs wall",
        "RSS MB; µs CPU for each new series",
      ]),
    );
    running.forEach((server, s) => {
      const cpu = ((cpuSeconds(server.pid) - cpuAfterFirst[s]!) * 1e6) / steady;
      const creating = ((cpuAfterFirst[s]! - cpuBefore[s]!) * 1e6) / series.length;
      print(
        row([
          `  ${server.name}`,
          cpu,
          (wall[s]! * 1000) / samples,
          `${rssMegabytes(server.pid).toFixed(0)} MB; ${creating.toFixed(1)}`,
        ]),
      );
    });
    await queries(print, running, start0, steps);
  } finally {
    await stopAll(running, folder);
  }
}

async function queries(
  print: (line: string) => void,
  running: readonly Server[],
  startMs: number,
  steps: number,
): Promise<void> {
  const end = (startMs + (steps - 1) * STEP_MS) / 1000;
  const from = Math.max(startMs / 1000 + 300, end - 3600);
  const range = { start: String(from), end: String(end), step: "60" };
  const cases: [string, string, Record<string, string>][] = [
    [
      "sum by (cluster) (rate(load_requests_total[5m])), range",
      "query_range",
      { query: "sum by (cluster) (rate(load_requests_total[5m]))", ...range },
    ],
    [
      "load_temperature of 250 series, range",
      "query_range",
      { query: 'load_temperature{job="job-1",cluster="cluster-1"}', ...range },
    ],
    ['count({__name__=~".+"}), instant', "query", { query: 'count({__name__=~".+"})', time: String(end) }],
    [
      "topk(10, rate(load_requests_total[5m])), instant",
      "query",
      { query: "topk(10, rate(load_requests_total[5m]))", time: String(end) },
    ],
  ];
  for (const [name, path, params] of cases) {
    print(row([name, "ms best", "ms median", "ms CPU"]));
    const times = running.map((): number[] => []);
    const cpuBefore = running.map((server) => cpuSeconds(server.pid));
    const runs = 7;
    for (let i = 0; i < runs; i++) {
      for (const [s, server] of running.entries()) {
        const startedAt = performance.now();
        await ask(server, path, params);
        times[s]!.push(performance.now() - startedAt);
      }
    }
    running.forEach((server, s) => {
      const { best, median } = summary(times[s]!);
      print(row([`  ${server.name}`, best, median, ((cpuSeconds(server.pid) - cpuBefore[s]!) * 1000) / runs]));
    });
  }
}
