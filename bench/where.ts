/**
 * Where the time of a query goes: the dashboard queries on `cairn all` with a profiler in each of its threads, from the
 * head and from blocks. Percent of what all threads did together while the query was asked, waiting apart.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { row } from "./measure.ts";
import { ask, type Server, startAll, stopAll } from "./peers.ts";
import { cut, dashboards, type Load, longLoad, longRanges, type Query, send } from "./queries.ts";

/** Kind of work → where its code lies; the first that fits counts. */
const KINDS: readonly (readonly [kind: string, code: RegExp])[] = [
  ["collector", /^\(garbage collector\)/],
  ["decode", /wasm|libs\/tsdb\/chunk\/|libs\/storeapi\/dedup|libs\/model\/columns/],
  ["scan", /float-scanner|functions\/|select-instant|scan-pool|range-function|range-series|tile-filler/],
  ["aggregate", /operators\/|libs\/promql\/tile/],
  ["write", /libs\/promapi\/|libs\/model\/float/],
  ["read", /libs\/tsdb\/|libs\/storeapi\/|^read :|^readSync|services\/(?:receiver|store-gateway|querier\/source)/],
  ["messages", /libs\/kit\/|^postMessage|message|services\/querier/i],
];
const REST = "rest";

interface Window {
  readonly name: string;
  /** Microseconds of the monotonic clock. */
  readonly from: number;
  readonly to: number;
  readonly runs: number;
}

interface Profile {
  readonly nodes: readonly { id: number; callFrame: { functionName: string; url: string } }[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** `BENCH_WHERE=head,blocks,days` picks places. */
export async function where(print: (line: string) => void): Promise<void> {
  const hours = 3_600_000;
  const steps = 240;
  const start = Math.floor(Date.now() / hours) * hours - 6 * hours;
  const series = Number(process.env["BENCH_SERIES"] ?? 100_000);
  const load = { series, steps, batch: 10, intervalMs: 15_000, start };
  const hour = { load, asked: dashboards(start + steps * 15_000) };
  const long = longLoad();
  const days = { load: long.load, asked: longRanges(long.endMs, long.days) };
  const picked = (process.env["BENCH_WHERE"] ?? "head,blocks,days").split(",");
  if (picked.includes("head")) await table(print, "from the head", hour.load, hour.asked, false);
  if (picked.includes("blocks")) await table(print, "from blocks", hour.load, hour.asked, true);
  if (picked.includes("days")) await table(print, `from ${long.days} days`, days.load, days.asked, true);
}

async function table(
  print: (line: string) => void,
  title: string,
  load: Load,
  asked: readonly Query[],
  isCut: boolean,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  const profiles = join(folder, "profiles");
  mkdirSync(profiles);
  const flags = ["--cpu-prof", `--cpu-prof-dir=${profiles}`, "--cpu-prof-interval=250"];
  const running = await startAll(print, folder, ["cairn"], flags);
  try {
    await send(() => undefined, running, load);
    if (isCut) await cut(running);
    const windows: Window[] = [];
    for (const query of asked) windows.push(await askOften(running[0]!, query));
    await running[0]!.stop(); // its threads write their profiles
    printTable(print, title, windows, readProfiles(profiles));
  } finally {
    await stopAll(running, folder);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Asks for a second and a half, after a few that do not count. */
async function askOften(server: Server, { name, path, params }: Query): Promise<Window> {
  for (let i = 0; i < 5; i++) await ask(server, path, params);
  const from = now();
  let runs = 0;
  while (now() - from < 1_500_000) {
    await ask(server, path, params);
    runs++;
  }
  return { name, from, to: now(), runs };
}

function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

function readProfiles(folder: string): Profile[] {
  return readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile);
}

function printTable(
  print: (line: string) => void,
  title: string,
  windows: readonly Window[],
  profiles: readonly Profile[],
): void {
  const kinds = [...KINDS.map(([kind]) => kind), REST];
  print(`\n| ${title}: ms of all threads, and percent of | ms | ${kinds.join(" | ")} |`);
  print(`|---|---${"|---".repeat(kinds.length)}|`);
  for (const window of windows) {
    const times = new Map<string, number>();
    for (const profile of profiles) addTimes(profile, window, times);
    const total = [...times.values()].reduce((sum, time) => sum + time, 0);
    const cells = kinds.map((kind) => ((100 * (times.get(kind) ?? 0)) / total).toFixed(0));
    print(row([window.name.replaceAll("|", "\\|"), total / 1000 / window.runs, ...cells]));
  }
}

function addTimes(
  { nodes, startTime, samples, timeDeltas }: Profile,
  { from, to }: Window,
  times: Map<string, number>,
): void {
  const kindOf = new Map(
    nodes.map(({ id, callFrame: { functionName, url } }) => [id, kind(`${functionName} :${url}`)]),
  );
  let at = startTime;
  for (const [i, sample] of samples.entries()) {
    at += timeDeltas[i]!;
    const found = kindOf.get(sample);
    if (at < from || at > to || found === undefined) continue;
    times.set(found, (times.get(found) ?? 0) + timeDeltas[i]!);
  }
}

/** Undefined: the thread waits. */
function kind(code: string): string | undefined {
  if (code.startsWith("(idle)")) return undefined;
  return KINDS.find(([, pattern]) => pattern.test(code))?.[0] ?? REST;
}
