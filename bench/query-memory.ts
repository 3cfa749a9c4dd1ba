/**
 * What a large query costs in memory: the querier with its threads as in `cairn all`, over a synthetic store.
 *
 *   node --max-semi-space-size=2 bench/query-memory.ts [series] [blocks] [thread]      prints one line of JSON
 *
 * `thread` is where the store is: "store", as a receiver, or "query", as the gateway of `cairn all`. Idle is what the process has after its start and a small query; the peak is the kernel's (VmHWM).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createEnv } from "#libs/kit/env.ts";
import { startHost, type ThreadSpec } from "#libs/kit/host.ts";
import { createLog } from "#libs/kit/log.ts";
import { resolveOptions } from "#libs/kit/options.ts";
import type { ApiResponse } from "#libs/promapi/response.ts";
import { querierOptions } from "#services/querier/config.ts";
import { querierComponent } from "#services/querier/main.ts";
import { scanThreads } from "#services/querier/scan-threads.ts";
import { cpuSeconds } from "./measure.ts";
import { END_MS, START_MS, type SyntheticConfig } from "./synthetic-store.ts";

export interface QueryMemory {
  readonly series: number;
  readonly groups: number;
  readonly points: number;
  readonly samples: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly startMb: number;
  readonly idleMb: number;
  readonly peakMb: number;
  readonly afterMb: number;
}

interface Answer {
  readonly error?: string;
  readonly data: {
    readonly result: readonly { readonly values: readonly unknown[] }[];
    readonly stats: { readonly samples: { readonly samplesRead: number } };
  };
}

const statusMb = (field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1024;

async function measure(series: number, blocks: number, thread: string): Promise<QueryMemory> {
  const log = { level: "error", format: "logfmt" } as const;
  const { env, close } = createEnv(createLog(log), () => Date.now(), new AbortController().signal);
  const scanners = scanThreads(0);
  const querier = resolveOptions(querierOptions, { flags: new Map(), environment: {} });
  const evaluate = { querier, localStores: ["synthetic"], flags: {}, startedAtMs: 0, retentionMs: 0 };
  const synthetic = {
    name: "synthetic",
    module: new URL("./synthetic-store.ts", import.meta.url),
    config: { series, blocks } satisfies SyntheticConfig,
  };
  const query = [querierComponent(evaluate, scanners)];
  const threads: ThreadSpec[] =
    thread === "query"
      ? [...scanners, { name: "query", isMain: true, components: [synthetic, ...query] }]
      : [{ name: "store", components: [synthetic] }, ...scanners, { name: "query", isMain: true, components: query }];
  try {
    const host = await startHost(threads, log, env, (thread, error) => {
      throw new Error(`thread ${thread}`, { cause: error });
    });
    const ask = async (selector: string, stats: "" | "true" = ""): Promise<Answer> => {
      const range = { start: String(START_MS / 1000), end: String(END_MS / 1000), step: "60", stats };
      const query = new URLSearchParams({ query: `sum by (pod) (rate(${selector}[5m]))`, ...range }).toString();
      const request = { method: "GET", path: "query_range", query, form: "", tenant: "t" };
      const { status, body } = await host.peer("querier").call<ApiResponse>("http", request);
      const answer = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()) as Answer;
      if (status !== 200) throw new Error(`query answered ${status}: ${answer.error ?? ""}`);
      return answer;
    };
    const startMb = statusMb("VmRSS");
    await ask('m{instance="host-00001:9100"}');
    const idleMb = statusMb("VmRSS");
    writeFileSync("/proc/self/clear_refs", "5"); // the peak starts again from here
    const cpuBefore = cpuSeconds(process.pid);
    const startedAt = performance.now();
    const { data } = await ask("m");
    const seconds = (performance.now() - startedAt) / 1000;
    const figures = {
      series,
      groups: data.result.length,
      points: data.result.reduce((sum, { values }) => sum + values.length, 0),
      seconds,
      cpuSeconds: cpuSeconds(process.pid) - cpuBefore,
      startMb,
      idleMb,
      peakMb: statusMb("VmHWM"),
      afterMb: statusMb("VmRSS"),
    };
    // Counting takes its time: not in the query that is measured.
    const { stats } = (await ask("m", "true")).data;
    return { ...figures, samples: stats.samples.samplesRead };
  } finally {
    await close();
  }
}

const [series = "100000", blocks = "12", thread = "store"] = process.argv.slice(2);
console.log(JSON.stringify(await measure(Number(series), Number(blocks), thread)));
