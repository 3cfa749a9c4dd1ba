/**
 * Queries of dashboards and of long ranges to whole servers beside each other: `cairn all`, VictoriaMetrics and
 * Prometheus with the same data, from the head and from blocks. Answers of ours and Prometheus's are compared, and all
 * are asked some times, before anything is timed; VictoriaMetrics has a rate of its own and is no oracle.
 *
 *   BENCH_SERIES=100000 BENCH_STEPS=240   one hour of scrapes every 15 s
 *   BENCH_LONG_SERIES=500 BENCH_DAYS=10   days of scrapes every minute
 *   BENCH_SYNC=5s                         1h: blocks are read from the local disk only, not also from the bucket
 */
import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import { dataBody, type DataSeries, target } from "./dataset.ts";
import { cpuSeconds, row, rssMegabytes, summary } from "./measure.ts";
import { ask, post, type Server, startAll, stopAll } from "./peers.ts";
import { difference } from "./same-answer.ts";

const SEED = 42;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SERIES_PER_REQUEST = 2000;

type Print = (line: string) => void;

export interface Query {
  readonly name: string;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
}

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback);

export async function queries(print: Print): Promise<void> {
  await withServers(print, async (running) => {
    const steps = number("BENCH_STEPS", 240);
    // Long enough ago that a sample of now lets the heads be cut.
    const start = Math.floor(Date.now() / HOUR) * HOUR - 6 * HOUR;
    const load = { series: number("BENCH_SERIES", 100_000), steps, batch: 10, intervalMs: 15_000, start };
    await send(print, running, load);
    const asked = dashboards(start + steps * 15_000);
    await compare(print, running, "from the head", asked);
    await cut(running);
    await compare(print, running, "from blocks", asked);
  });
  await withServers(print, async (running) => {
    const { days, load, endMs } = longLoad();
    await send(print, running, load);
    await cut(running);
    await compare(print, running, `${days} days`, longRanges(endMs, days));
  });
}

/** Days of scrapes every minute, of few series. */
export function longLoad(): { readonly days: number; readonly load: Load; readonly endMs: number } {
  const days = number("BENCH_DAYS", 10);
  const start = Math.floor(Date.now() / HOUR) * HOUR - days * DAY - 6 * HOUR;
  const load = {
    series: number("BENCH_LONG_SERIES", 500),
    steps: days * 1440,
    batch: 30,
    intervalMs: MINUTE,
    start,
  };
  return { days, load, endMs: start + days * DAY };
}

/** What a dashboard asks of the hour before `endMs`. */
export function dashboards(endMs: number): Query[] {
  const bucket = "http_request_duration_seconds_bucket";
  const instant = (name: string, query: string): Query => ({
    name: `${name} ${query}`,
    path: "query",
    params: { query, time: String(endMs / 1000) },
  });
  const hour = (name: string, query: string, stepS = 60): Query => range(`${name} ${query}`, query, endMs, HOUR, stepS);
  const time = { start: String((endMs - HOUR) / 1000), end: String(endMs / 1000) };
  return [
    instant("i1", 'node_load1{pod="web-00000"}'),
    instant("i2", "sum by (job) (rate(http_requests_total[5m]))"),
    instant("i3", 'count({__name__=~".+"})'),
    instant("i4", 'topk(10, sum by (pod) (rate(node_cpu_seconds_total{mode!="idle"}[5m])))'),
    hour("r1", 'http_requests_total{pod="web-00000"}', 15),
    hour("r2", "sum by (cluster) (node_load1)"),
    hour("r3", "sum by (namespace) (rate(http_requests_total[5m]))"),
    hour("r4", `histogram_quantile(0.99, sum by (le, job) (rate(${bucket}[5m])))`),
    hour(
      "r5",
      'sum by (job) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (job) (rate(http_requests_total[5m]))',
    ),
    hour("r6", 'node_load1{pod=~"web-000[0-4].*"}'),
    hour("r7", "max by (job) (max_over_time(node_load1[10m]))"),
    hour("r8", "node_load1", 15),
    hour("r9", "topk(5, sum by (pod) (rate(http_requests_total[5m])))"),
    hour("r10", "quantile by (job) (0.9, node_load1)"),
    { name: "l1 values of pod", path: "label/pod/values", params: time },
    { name: "l3 series of node_load1", path: "series", params: { "match[]": "node_load1", ...time } },
  ];
}

/** What is asked of days. */
export function longRanges(endMs: number, days: number): Query[] {
  const week = Math.min(days, 7) * DAY;
  const rate = "sum by (job) (rate(http_requests_total[5m]))";
  const quantile = "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[30m])))";
  return [
    range(`b1 ${rate}, 24 h, 60 s`, rate, endMs, DAY, 60),
    range(`b2 ${rate}, 24 h, 300 s`, rate, endMs, DAY, 300),
    range("b5 sum(rate(http_requests_total[1h])), week, 1 h", "sum(rate(http_requests_total[1h]))", endMs, week, 3600),
    range("b6 the same, all days", "sum(rate(http_requests_total[1h]))", endMs, days * DAY, 3600),
    range("b8 one node_load1, all days, 1 h", 'node_load1{pod="web-00000"}', endMs, days * DAY, 3600),
    range(`b9 ${quantile}, week, 30 m`, quantile, endMs, week, 1800),
    range('b11 count({__name__=~".+"}), 24 h, 300 s', 'count({__name__=~".+"})', endMs, DAY, 300),
  ];
}

function range(name: string, query: string, endMs: number, rangeMs: number, stepS: number): Query {
  const params = { query, start: String((endMs - rangeMs) / 1000), end: String(endMs / 1000), step: String(stepS) };
  return { name, path: "query_range", params };
}

async function withServers(print: Print, use: (running: readonly Server[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  const running = await startAll(print, folder);
  try {
    await use(running);
  } finally {
    await stopAll(running, folder);
  }
}

export interface Load {
  readonly series: number;
  readonly steps: number;
  /** Samples of a series in a request. */
  readonly batch: number;
  readonly intervalMs: number;
  readonly start: number;
}

/** Writes a data set to all servers, and tells what that cost. */
export async function send(print: Print, running: readonly Server[], load: Load): Promise<void> {
  const { steps, batch, intervalMs, start } = load;
  const targets = Array.from({ length: Math.ceil(load.series / 100) }, (_, id) => target(id, intervalMs, SEED));
  const series = targets.flat();
  const groups: DataSeries[][] = [];
  for (let i = 0; i < series.length; i += SERIES_PER_REQUEST) groups.push(series.slice(i, i + SERIES_PER_REQUEST));
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const wall = running.map(() => 0);
  const cpuBefore = running.map(({ pid }) => cpuSeconds(pid));
  for (let step = 0; step < steps; step += batch) {
    const count = Math.min(batch, steps - step);
    const bodies = groups.map((group) => dataBody(group, count, start + step * intervalMs, intervalMs));
    for (const [s, server] of running.entries()) {
      const startedAt = performance.now();
      await Promise.all(bodies.map((body) => post(agent, server, body)));
      wall[s]! += performance.now() - startedAt;
    }
  }
  agent.destroy();
  await untilQuiet(running);
  const samples = series.length * steps;
  print(
    `\n| ${series.length} series × ${steps}, ${batch} at once | µs CPU a sample | µs wall | RSS MB |\n|---|---|---|---|`,
  );
  running.forEach(({ name, pid }, s) => {
    const cpu = ((cpuSeconds(pid) - cpuBefore[s]!) * 1e6) / samples;
    print(row([name, cpu, (wall[s]! * 1000) / samples, rssMegabytes(pid)]));
  });
}

/** Waits while flushing and compaction go on, a minute at most. */
async function untilQuiet(running: readonly Server[]): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const before = running.map(({ pid }) => cpuSeconds(pid));
    await sleep(1000);
    if (i > 2 && running.every(({ pid }, s) => cpuSeconds(pid) - before[s]! < 0.05)) return;
  }
}

/** Writes one sample of now: what was written before it is cut into blocks, ours and Prometheus's. */
export async function cut(running: readonly Server[]): Promise<void> {
  const agent = new Agent();
  const [series] = target(0, MINUTE, SEED + 1);
  const body = dataBody([series!], 1, Date.now(), MINUTE);
  for (const server of running) await post(agent, server, body);
  agent.destroy();
  const hasBlock = (folder: string): boolean => existsSync(folder) && readdirSync(folder).some(isUlid);
  for (const { name, folder } of running) {
    if (name === "victoria-metrics") continue;
    // Ours is waited for until the bucket has it.
    for (let i = 0; !hasBlock(name === "cairn" ? join(folder, "bucket") : folder); i++) {
      if (i === 150) throw new Error(`${name} has cut no block after 150 s`);
      await sleep(1000);
    }
  }
  await sleep(6000); // a sync of the gateway
  await untilQuiet(running);
}

/** Compares, then times: every query on every server in turn, until enough CPU was seen for ticks of 10 ms to tell. */
async function compare(
  print: Print,
  running: readonly Server[],
  title: string,
  asked: readonly Query[],
): Promise<void> {
  const names = running.map(({ name }) => `${name}: best, median, CPU ms`);
  const ratios = running.slice(1).map(({ name }) => `${name} / cairn: median, CPU`);
  print(`\n| ${title} | ${names.join(" | ")} | ${ratios.join(" | ")} |`);
  print(`|---${"|---".repeat(names.length + ratios.length)}|`);
  const sums = running.map(() => ({ wall: 0, cpu: 0 }));
  const differences: string[] = [];
  for (const { name, path, params } of asked) {
    const answers: string[] = [];
    const startedAt = performance.now();
    for (const server of running) answers.push(await ask(server, path, params));
    const onceMs = performance.now() - startedAt;
    const oracle = running.findIndex((server) => server.name === "prometheus");
    const found = oracle < 0 ? undefined : difference(answers[0]!, answers[oracle]!);
    if (found !== undefined) differences.push(`${name}: ${found}`);
    const times = running.map((): number[] => []);
    const runs = Math.max(5, Math.min(500, Math.round(2000 / onceMs)));
    // A server runs for weeks: what is timed is code that has been compiled, which of ours takes some thousand calls.
    for (let i = 0; i < 5 * runs; i++) for (const server of running) await ask(server, path, params);
    const cpuBefore = running.map(({ pid }) => cpuSeconds(pid));
    for (let i = 0; i < runs; i++) {
      for (const [s, server] of running.entries()) {
        const runAt = performance.now();
        await ask(server, path, params);
        times[s]!.push(performance.now() - runAt);
      }
    }
    const figures = running.map(({ pid }, s) => {
      const { best, median } = summary(times[s]!);
      return { best, median, cpu: Math.max(0.1, ((cpuSeconds(pid) - cpuBefore[s]!) * 1000) / runs) };
    });
    const [ours] = figures;
    figures.forEach(({ median, cpu }, s) => {
      sums[s]!.wall += Math.log(median / ours!.median) / asked.length;
      sums[s]!.cpu += Math.log(cpu / ours!.cpu) / asked.length;
    });
    const short = (value: number): string => value.toPrecision(3);
    print(
      row([
        `${found === undefined ? "" : "DIFFERS "}${name.replaceAll("|", "\\|")}`,
        ...figures.map(({ best, median, cpu }) => `${short(best)}, ${short(median)}, ${short(cpu)}`),
        ...figures.slice(1).map(({ median, cpu }) => `${short(median / ours!.median)}, ${short(cpu / ours!.cpu)}`),
      ]),
    );
  }
  const means = sums
    .slice(1)
    .map(({ wall, cpu }) => `${Math.exp(wall).toPrecision(3)}, ${Math.exp(cpu).toPrecision(3)}`);
  print(row(["geometric mean", ...running.map(() => ""), ...means]));
  if (differences.length === 0) return;
  print(`\nAnswers of ours that are not Prometheus's:\n${differences.join("\n")}`);
  process.exitCode = 1;
}
