/** `sum by (cluster) (rate(…[5m]))` over two hours of a block on disk: decode, scan, aggregate, in this thread. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { resolveOptions } from "#libs/kit/options.ts";
import { labelsFrom } from "#libs/model/labels.ts";
import { Engine } from "#libs/promql/engine.ts";
import { blockSource } from "#libs/storeapi/block-source.ts";

import { sourceItems } from "#libs/storeapi/series-source.ts";
import type { Store } from "#libs/storeapi/store.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { openBlock } from "#libs/tsdb/block/reader.ts";
import { createUlid } from "#libs/tsdb/block/ulid.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { querierOptions } from "#services/querier/config.ts";
import { NO_METADATA, StoreSource } from "#services/querier/source.ts";
import { loadSeries } from "#tools/load.ts";
import { row, summary } from "./measure.ts";

const SERIES = 5000;
const STEP_MS = 15_000;
const START = 1_699_999_200_000;

export async function rateBlock(print: (line: string) => void): Promise<void> {
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
    const series = Array.from({ length: SERIES }, (_, i) => loadSeries(i * 4, 1));
    head.begin();
    const slots = series.map(({ labels }) =>
      head.getOrCreate(labelsFrom(labels.map(({ name, value }) => [name, value] as const))),
    );
    const value = new Float64Array(1);
    const words = new Int32Array(value.buffer);
    const steps = 480;
    for (let step = 0; step < steps; step++) {
      for (let i = 0; i < SERIES; i++) {
        value[0] = series[i]!.valueAt(step);
        head.append(slots[i]!, START + step * STEP_MS, words[0]!, words[1]!);
      }
      head.commit();
      head.begin();
    }
    const cutAt = performance.now();
    const written = (await head.cutBlock(folder, createUlid(START)))!;
    const cutMs = performance.now() - cutAt;
    const block = await openBlock(written.meta, openBlockFolder(written.path));
    env.defer("block", () => block.close());
    const store: Store = {
      name: "block",
      info: () => Promise.reject(new Error("BUG: not asked")),
      series: (request, signal) => sourceItems(blockSource(block), [], request, signal),
      labelNames: async () => ({ values: [], warnings: [] }),
      labelValues: async () => ({ values: [], warnings: [] }),
    };
    const source = new StoreSource(
      store,
      resolveOptions(querierOptions, { flags: new Map(), environment: {} }),
      NO_METADATA,
    );
    const engine = new Engine({ lookbackMs: 300_000, timeoutMs: 120_000, samplesMax: 5e8, defaultStepMs: 60_000 });
    const range = { startMs: START + 300_000, endMs: START + 7_185_000, stepMs: 60_000 };
    const times: number[] = [];
    let samples = 0;
    for (let i = 0; i < 8; i++) {
      const startedAt = performance.now();
      const storage = source.storage({
        tenant: "t",
        dedup: true,
        partialResponse: undefined,
        replicaLabels: undefined,
      });
      const result = await engine.range(
        "sum by (cluster) (rate(load_requests_total[5m]))",
        range,
        storage,
        {},
        env.stopping,
      );
      if (i > 0) times.push(performance.now() - startedAt);
      samples = result.stats.samplesLoaded;
    }
    const { best, median } = summary(times);
    print(
      row([
        `rate over a block, ns a sample`,
        (best * 1e6) / samples,
        (median * 1e6) / samples,
        `${SERIES} series, ${(samples / 1e6).toFixed(1)} M samples, ${median.toFixed(0)} ms`,
      ]),
    );
    print(
      row([
        "head cut into a block, ns a sample",
        (cutMs * 1e6) / (SERIES * steps),
        (cutMs * 1e6) / (SERIES * steps),
        "one run",
      ]),
    );
  } finally {
    await close();
    rmSync(folder, { recursive: true });
  }
}
