/** The store of a receiver behind scripts, read as the querier reads it: head, frames, columns. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "#libs/kit/assert.ts";
import { createEnv } from "#libs/kit/env.ts";
import { BadRequestError } from "#libs/kit/errors.ts";
import { silentLog } from "#libs/kit/log.ts";
import { resolveOptions } from "#libs/kit/options.ts";
import { wordsOf } from "#libs/model/histogram.ts";
import { formatLabels, NO_LABELS } from "#libs/model/labels.ts";
import { storedHistogram } from "#libs/model/native-histogram.ts";
import { STALE_HI, STALE_LO } from "#libs/model/stale.ts";
import type { ScriptStorage } from "#libs/promql/promqltest/run.ts";
import type { LoadedSample, LoadedSeries } from "#libs/promql/promqltest/script.ts";
import type { QueryStorage } from "#libs/promql/storage.ts";
import { type Head, OUTCOME, type Outcome } from "#libs/tsdb/head/head.ts";
import { querierOptions } from "#services/querier/config.ts";
import { NO_METADATA, StoreSource } from "#services/querier/source.ts";
import { TenantStore } from "#services/receiver/tenant-store.ts";

/** Scripts are a day long at most: no chunk ends at a block's border. */
const RANGE_MS = 86_400_000;

const REFUSED: Readonly<Record<Outcome, string | undefined>> = {
  [OUTCOME.STORED]: undefined,
  [OUTCOME.SAME]: undefined,
  [OUTCOME.DUPLICATE]: "another sample is at its time",
  [OUTCOME.OUT_OF_ORDER]: "it is out of order",
  [OUTCOME.OUT_OF_BOUNDS]: "it is too old",
  [OUTCOME.TOO_OLD]: "it is too old",
  [OUTCOME.DELETED]: "its time was deleted",
};

export class HeadStorage implements ScriptStorage {
  #store: TenantStore | undefined;
  #isBegun = false;

  async clear(): Promise<void> {
    await this.close();
    const { env } = createEnv(silentLog(), () => Date.now(), new AbortController().signal);
    const folder = mkdtempSync(join(tmpdir(), "cairn-promqltest-"));
    const options = { rangeMs: RANGE_MS, seriesMax: 1_000_000, seed: 1, log: env.log };
    this.#store = await TenantStore.open("promqltest", folder, NO_LABELS, options, env);
  }

  async close(): Promise<void> {
    await this.#store?.close();
    if (this.#store !== undefined) rmSync(this.#store.folder, { recursive: true });
    this.#store = undefined;
    this.#isBegun = false;
  }

  append({ labels, samples }: LoadedSeries): void {
    const { head } = this.#opened;
    if (!this.#isBegun) head.begin();
    this.#isBegun = true;
    const slot = head.getOrCreate(labels);
    for (const sample of samples) {
      const refused = REFUSED[appendSample(head, slot, sample)];
      if (refused === undefined) continue;
      throw new BadRequestError(`${formatLabels(labels)}: the sample at ${sample.timeMs} ms: ${refused}`);
    }
  }

  commit(): Promise<void> {
    this.#opened.head.commit();
    this.#isBegun = false;
    return Promise.resolve();
  }

  queryable(): QueryStorage {
    const config = resolveOptions(querierOptions, { flags: new Map(), environment: {} });
    const source = new StoreSource(this.#opened, config, NO_METADATA);
    return source.storage({ tenant: "", dedup: false, partialResponse: false, replicaLabels: undefined });
  }

  get #opened(): TenantStore {
    assert(this.#store !== undefined, "a storage is used before it is cleared");
    return this.#store;
  }
}

function appendSample(head: Head, slot: number, { timeMs, startMs, value }: LoadedSample): Outcome {
  switch (value.kind) {
    case "float": {
      const [low, high] = wordsOf(Float64Array.of(value.value));
      return head.append(slot, timeMs, low!, high!, startMs);
    }
    case "stale":
      return head.append(slot, timeMs, STALE_LO, STALE_HI, startMs);
    case "histogram":
      return head.appendHistogram(slot, timeMs, storedHistogram(value.histogram), startMs);
  }
}
