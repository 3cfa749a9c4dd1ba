/**
 * Whole servers beside each other: `cairn all`, Debian's Prometheus and VictoriaMetrics, the same bodies over loopback,
 * interleaved, CPU from /proc. Ours writes and syncs a log before it acknowledges, Prometheus writes one without sync,
 * VictoriaMetrics has none: say so beside any ratio.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadBody, loadSeries } from "#tools/load.ts";
import { cpuSeconds, row, rssMegabytes, summary } from "./measure.ts";

interface Server {
  readonly name: string;
  readonly process: ChildProcess;
  readonly write: string;
  readonly query: string;
}

const ROOT = resolve(import.meta.dirname, "..");
const STEP_MS = 15_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", () => done()));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function start(name: string, folder: string): Promise<Server | undefined> {
  const port = await freePort();
  const quiet = { stdio: "ignore" } as const;
  if (name === "cairn") {
    const writePort = await freePort();
    const flags = [
      "all",
      "--data-dir",
      join(folder, name),
      "--http-address",
      `127.0.0.1:${port}`,
      "--grpc-address",
      "127.0.0.1:0",
      "--remote-write.address",
      `127.0.0.1:${writePort}`,
      "--no-self-monitor",
      "--tsdb.too-far-in-future.time-window",
      "0s",
    ];
    const child = spawn(join(ROOT, "cairn"), flags, quiet);
    await ready(`http://127.0.0.1:${port}/-/ready`);
    return {
      name,
      process: child,
      write: `http://127.0.0.1:${writePort}/api/v1/receive`,
      query: `http://127.0.0.1:${port}/api/v1`,
    };
  }
  if (spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0) return undefined;
  if (name === "prometheus") {
    writeFileSync(join(folder, "prometheus.yml"), "global: {scrape_interval: 60s}\n");
    const flags = [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, name)}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--web.enable-remote-write-receiver",
      "--storage.tsdb.retention.time=10y",
      "--query.max-samples=500000000",
    ];
    const child = spawn(name, flags, quiet);
    await ready(`http://127.0.0.1:${port}/-/ready`);
    return {
      name,
      process: child,
      write: `http://127.0.0.1:${port}/api/v1/write`,
      query: `http://127.0.0.1:${port}/api/v1`,
    };
  }
  const flags = [
    `-storageDataPath=${join(folder, name)}`,
    `-httpListenAddr=127.0.0.1:${port}`,
    "-retentionPeriod=10y",
    "-search.disableCache=true",
    "-search.latencyOffset=0s",
    "-search.maxUniqueTimeseries=10000000",
  ];
  const child = spawn(name, flags, quiet);
  await ready(`http://127.0.0.1:${port}/health`);
  return {
    name,
    process: child,
    write: `http://127.0.0.1:${port}/api/v1/write`,
    query: `http://127.0.0.1:${port}/api/v1`,
  };
}

async function ready(url: string): Promise<void> {
  for (let i = 0; i < 300; i++) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok === true) return;
    await sleep(100);
  }
  throw new Error(`${url} is not ready after 30 s`);
}

function post(agent: Agent, url: string, body: Uint8Array): Promise<number> {
  const headers = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "content-length": body.length,
  };
  return new Promise((done, fail) => {
    const call = request(url, { method: "POST", agent, headers }, (answer) => {
      answer.resume().on("end", () => done(answer.statusCode ?? 0));
    });
    call.on("error", fail);
    call.end(body);
  });
}

/** The process with the sockets: `cairn` is a shell script that became Node by exec. */
function pidOf(server: Server): number {
  return server.process.pid!;
}

export async function servers(print: (line: string) => void, seriesCount: number, steps: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  const running: Server[] = [];
  try {
    for (const name of ["cairn", "victoria-metrics", "prometheus"]) {
      const server = await start(name, folder);
      if (server === undefined) print(row([`${name} is not installed`, "", "", "apt-get install it to compare"]));
      else running.push(server);
    }
    // BENCH_COUNTERS: counters only, so that a rate goes over all series.
    const stride = process.env["BENCH_COUNTERS"] === undefined ? 1 : 4;
    const series = Array.from({ length: seriesCount }, (_, i) => loadSeries(i * stride, 42));
    const start0 = Date.now() - steps * STEP_MS;
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const cpuBefore = running.map((server) => cpuSeconds(pidOf(server)));
    const wall = running.map(() => 0);
    let samples = 0;
    let cpuAfterFirst: number[] = [];
    for (let step = 0; step < steps; step++) {
      const bodies: Uint8Array[] = [];
      for (let i = 0; i < series.length; i += 2000)
        bodies.push(loadBody(series.slice(i, i + 2000), step, start0 + step * STEP_MS));
      for (const [s, server] of running.entries()) {
        const startedAt = performance.now();
        const statuses = await Promise.all(bodies.map((body) => post(agent, server.write, body)));
        wall[s]! += performance.now() - startedAt;
        const bad = statuses.find((status) => status >= 300);
        if (bad !== undefined) throw new Error(`${server.name} answered ${bad}`);
      }
      samples += series.length;
      if (step === 0) cpuAfterFirst = running.map((server) => cpuSeconds(pidOf(server)));
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
      const cpu = ((cpuSeconds(pidOf(server)) - cpuAfterFirst[s]!) * 1e6) / steady;
      const creating = ((cpuAfterFirst[s]! - cpuBefore[s]!) * 1e6) / series.length;
      print(
        row([
          `  ${server.name}`,
          cpu,
          (wall[s]! * 1000) / samples,
          `${rssMegabytes(pidOf(server)).toFixed(0)} MB; ${creating.toFixed(1)}`,
        ]),
      );
    });
    await queries(print, running, start0, steps);
  } finally {
    for (const server of running) server.process.kill("SIGKILL");
    await sleep(300);
    rmSync(folder, { recursive: true, force: true });
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
    const cpuBefore = running.map((server) => cpuSeconds(pidOf(server)));
    const runs = 7;
    for (let i = 0; i < runs; i++) {
      for (const [s, server] of running.entries()) {
        const startedAt = performance.now();
        const answer = await fetch(
          `${server.query}/${path}?${new URLSearchParams({ ...params, nocache: "1" }).toString()}`,
        );
        const text = await answer.text();
        times[s]!.push(performance.now() - startedAt);
        if (!answer.ok) throw new Error(`${server.name}: ${text.slice(0, 300)}`);
      }
    }
    running.forEach((server, s) => {
      const { best, median } = summary(times[s]!);
      print(row([`  ${server.name}`, best, median, ((cpuSeconds(pidOf(server)) - cpuBefore[s]!) * 1000) / runs]));
    });
  }
}

export function loadAverage(): string {
  return readFileSync("/proc/loadavg", "utf8").split(" ").slice(0, 3).join(" ");
}
