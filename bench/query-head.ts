/** Queries over a head in this process: what decode, scan, aggregation and writing cost without sockets and threads. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { Slices } from "#libs/kit/slices.ts";
import { resolveOptions } from "#libs/kit/options.ts";
import { labelsFrom } from "#libs/model/labels.ts";
import { writeResult } from "#libs/promapi/results.ts";
import { Engine } from "#libs/promql/engine.ts";

import { sourceItems } from "#libs/storeapi/series-source.ts";
import type { Store } from "#libs/storeapi/store.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { querierOptions } from "#services/querier/config.ts";
import { NO_METADATA, StoreSource } from "#services/querier/source.ts";
import { loadSeries } from "#tools/load.ts";
import { row, summary } from "./measure.ts";

const STEP_MS = 15_000;
const START = 1_699_999_200_000;

const REPEATS = 12;

/** `only`: part of the name of the one to run. */
export async function queryHead(
  print: (line: string) => void,
  count = 20_000,
  samples = 280,
  only = "",
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  const { env, close } = createEnv(silentLog(), () => Date.now(), new AbortController().signal);
  try {
    const head = Head.open(folder, {
      rangeMs: 7_200_000,
      seriesMax: 1e6,
      seed: 1,
      minValidTime: -Infinity,
      log: env.log,
    });
    env.defer("head", () => head.close());
    const series = Array.from({ length: count }, (_, i) => loadSeries(i * 4, 1));
    const slots = series.map(({ labels }) =>
      head.getOrCreate(labelsFrom(labels.map(({ name, value }) => [name, value] as const))),
    );
    const value = new Float64Array(1);
    const words = new Int32Array(value.buffer);
    for (let step = 0; step < samples; step++) {
      head.begin();
      for (let i = 0; i < count; i++) {
        value[0] = series[i]!.valueAt(step);
        head.append(slots[i]!, START + step * STEP_MS, words[0]!, words[1]!);
      }
      head.commit();
    }
    const store: Store = {
      name: "head",
      info: () => Promise.reject(new Error("BUG: not asked")),
      series: (request, signal) => sourceItems(head, [], request, signal),
      labelNames: async () => ({ values: [], warnings: [] }),
      labelValues: async () => ({ values: [], warnings: [] }),
    };
    const source = new StoreSource(
      store,
      resolveOptions(querierOptions, { flags: new Map(), environment: {} }),
      NO_METADATA,
    );
    const engine = new Engine({ lookbackMs: 300_000, timeoutMs: 120_000, samplesMax: 5e8, defaultStepMs: 60_000 });
    const endMs = START + (samples - 1) * STEP_MS;
    const range = { startMs: endMs - 3_600_000, endMs, stepMs: 60_000 };
    const run = async (name: string, query: string, instant: boolean): Promise<void> => {
      if (only !== "" && !name.includes(only)) return;
      const times: number[] = [];
      const cpus: number[] = [];
      for (let i = 0; i < REPEATS; i++) {
        const cpu = process.cpuUsage();
        const startedAt = performance.now();
        const storage = source.storage({
          tenant: "t",
          dedup: true,
          partialResponse: undefined,
          replicaLabels: undefined,
        });
        const result = instant
          ? await engine.instant(query, endMs, storage, {}, env.stopping)
          : await engine.range(query, range, storage, {}, env.stopping);
        await writeResult(result, { limit: 0, stats: "", analysis: false }, new Slices(10));
        if (i === 0) continue;
        times.push(performance.now() - startedAt);
        const { user, system } = process.cpuUsage(cpu);
        cpus.push((user + system) / 1000);
      }
      const { best, median } = summary(times);
      const cpu = summary(cpus);
      const note = `${count} series, ms CPU best ${cpu.best.toFixed(0)}, median ${cpu.median.toFixed(0)}`;
      print(row([`head: ${name}, ms`, best, median, note]));
    };
    await run("sum by(rate[5m]) over 1 h", "sum by (cluster) (rate(load_requests_total[5m]))", false);
    await run("count, instant", 'count({__name__=~".+"})', true);
    await run("topk(10, rate), instant", "topk(10, rate(load_requests_total[5m]))", true);
    await run("max_over_time by, 1 h", "max by (cluster) (max_over_time(load_requests_total[5m]))", false);
    await run("sum by, 1 h", "sum by (cluster) (load_requests_total)", false);
  } finally {
    await close();
    rmSync(folder, { recursive: true });
  }
}
