/**
 * store-gateway: serves the blocks of one bucket as a Store.
 *
 *   bucket ── meta.json ──▶ BlockSet ──▶ Store ◀── Series, LabelNames ── querier
 *                             └ index headers in dataDir
 *
 * Holds no state worth saving: on a new disk it rebuilds dataDir from the bucket.
 */
import { Gauge } from "#libs/kit/prometheus.ts";
import { UnavailableError } from "#libs/kit/errors.ts";
import { every } from "#libs/kit/every.ts";
import type { StartComponent } from "#libs/kit/host.ts";
import type { Handlers } from "#libs/kit/rpc.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import { type Bucket, type BucketConfig, openBucket } from "#libs/objstore/bucket.ts";
import { type ExemplarAnswer, exemplarsOf, withExternal } from "#libs/storeapi/block-extras.ts";
import { blockSource } from "#libs/storeapi/block-source.ts";

import { mergeItems } from "#libs/storeapi/merge-items.ts";
import { storeBytesHandlers } from "#libs/storeapi/grpc-server.ts";
import { storeHandlers } from "#libs/storeapi/port.ts";
import { canHave, joinAnswers, sortedUnion } from "#libs/storeapi/proxy.ts";
import { sourceItems, sourceLabelNames, sourceLabelValues, splitMatchers } from "#libs/storeapi/series-source.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, Store, StoreInfo, StoreItem } from "#libs/storeapi/store.ts";
import { TIME_MAX, TIME_MIN } from "#libs/storeapi/store.ts";
import { mergeParts } from "#libs/storeapi/without-overlap.ts";
import type { SeriesExemplars } from "#libs/tsdb/head/exemplars.ts";
import { BlockSet, type ServedBlock } from "./block-set.ts";
import { join } from "node:path";

export interface GatewayConfig {
  readonly bucket: BucketConfig;
  readonly dataDir: string;
  readonly syncIntervalMs: number;
  readonly ignoreDeletionMarksDelayMs: number;
  readonly exemplarsPerRequest: number;
}

/** Exemplars of a tenant's series that one of the selectors selects. */
export interface ExemplarsCall {
  readonly tenant: string;
  /** Label of blocks that names it. */
  readonly tenantLabel: string;
  readonly selectors: readonly (readonly MatcherSpec[])[];
  /** Milliseconds, both inclusive. */
  readonly mint: number;
  readonly maxt: number;
}

export class GatewayStore implements Store {
  readonly name = "store gateway";
  readonly #blocks: BlockSet;

  constructor(blocks: BlockSet) {
    this.#blocks = blocks;
  }

  async info(): Promise<StoreInfo> {
    const blocks = [...this.#blocks.blocks];
    const sets = new Map(blocks.map(({ labels }) => [labels.join("\u{ff}"), labels]));
    const broken = [...this.#blocks.broken];
    return {
      componentType: "store",
      // A broken block must still be asked for, so that its absence is told.
      labelSets: broken.length > 0 ? [] : [...sets.values()],
      mint: [...blocks, ...broken].reduce((min, { meta }) => Math.min(min, meta?.minTime ?? TIME_MIN), TIME_MAX),
      maxt: [...blocks, ...broken].reduce(
        (max, { meta }) => Math.max(max, meta === undefined ? TIME_MAX : meta.maxTime - 1),
        TIME_MIN,
      ),
      supportsWithoutLabels: true,
    };
  }

  #candidates(mint: number, maxt: number, matchers: SeriesRequest["matchers"]): ServedBlock[] {
    return [...this.#blocks.blocks].filter(({ meta, labels }) =>
      canHave(
        {
          componentType: "store",
          labelSets: [labels],
          mint: meta.minTime,
          maxt: meta.maxTime - 1,
          supportsWithoutLabels: true,
        },
        mint,
        maxt,
        matchers,
      ),
    );
  }

  /** What cannot be served in a range. @throws UnavailableError unless partial response is on. */
  #missing(mint: number, maxt: number, partialResponse: boolean): string[] {
    const missing = [...this.#blocks.broken]
      .filter(({ meta }) => meta === undefined || (meta.minTime <= maxt && meta.maxTime > mint))
      .map(({ ulid, reason }) => `block ${ulid} cannot be read: ${reason}`);
    if (missing.length > 0 && !partialResponse) throw new UnavailableError(missing.join("; "));
    return missing;
  }

  async *series(request: SeriesRequest, signal: AbortSignal): AsyncGenerator<StoreItem> {
    for (const text of this.#missing(request.mint, request.maxt, request.partialResponse))
      yield { kind: "warning", text };
    const blocks = this.#candidates(request.mint, request.maxt, request.matchers);
    const without = new Set(request.withoutBlocks);
    const sources = [...Map.groupBy(blocks, sourceOf).values()]
      .map((source) => (without.size === 0 ? source : unanswered(source, without)))
      .filter((source) => source.length > 0);
    if (sources.length === 0) return;
    yield* mergeItems(
      sources.map((source) => {
        const parts = source.map(({ reader, labels, meta }) => ({
          items: sourceItems(blockSource(reader), labels, request, signal),
          mint: meta.minTime,
          maxt: meta.maxTime - 1,
        }));
        return mergeParts(parts, request.skipChunks);
      }),
    );
  }

  #unheld({ mint, maxt, matchers, withoutBlocks }: LabelRequest): ServedBlock[] {
    const without = new Set(withoutBlocks);
    return this.#candidates(mint, maxt, matchers).filter(({ meta }) => !without.has(meta.ulid));
  }

  async labelNames(request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    const warnings = this.#missing(request.mint, request.maxt, request.partialResponse);
    const sets = await Promise.all(
      this.#unheld(request).map(({ reader, labels }) => sourceLabelNames(blockSource(reader), labels, request, signal)),
    );
    return joinAnswers([{ values: sortedUnion(sets), warnings }], request.limit);
  }

  async labelValues(name: string, request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    const warnings = this.#missing(request.mint, request.maxt, request.partialResponse);
    const sets = await Promise.all(
      this.#unheld(request).map(({ reader, labels }) =>
        sourceLabelValues(blockSource(reader), labels, name, request, signal),
      ),
    );
    return joinAnswers([{ values: sortedUnion(sets), warnings }], request.limit);
  }

  /** With external labels, in any order; a series may be there for several blocks. @throws LimitError */
  async exemplars(
    { tenant, tenantLabel, selectors, mint, maxt }: ExemplarsCall,
    countMax: number,
    signal: AbortSignal,
  ): Promise<ExemplarAnswer> {
    const values: SeriesExemplars[] = [];
    const warnings = this.#missing(mint, maxt, true);
    const ofTenant: MatcherSpec = { type: "=", name: tenantLabel, value: tenant };
    const sources = Map.groupBy(this.#candidates(mint, maxt, [ofTenant]), sourceOf);
    let left = countMax;
    for (const blocks of sources.values()) {
      const { labels } = blocks[0]!;
      const matchers = selectors.map((specs) => splitMatchers(specs, labels)).filter((set) => set !== undefined);
      const range = { mint, maxt, countMax: left };
      const answer = await exemplarsOf(
        blocks.map(({ bytes }) => bytes),
        matchers,
        range,
        signal,
      );
      for (const list of answer.values) {
        values.push(withExternal(list, labels));
        left -= list.exemplars.length;
      }
      warnings.push(...answer.warnings);
    }
    return { values, warnings };
  }
}

/**
 * The blocks of one source that are still to be read. Those that overlap are merged here (decisions/0006), so that one
 * of them is left out only with all of them.
 */
function unanswered(source: readonly ServedBlock[], without: ReadonlySet<string>): ServedBlock[] {
  const left: ServedBlock[] = [];
  let overlapping: ServedBlock[] = [];
  let end = -Infinity;
  const close = (): void => {
    if (overlapping.some(({ meta }) => !without.has(meta.ulid))) left.push(...overlapping);
    overlapping = [];
  };
  for (const block of source.toSorted((a, b) => a.meta.minTime - b.meta.minTime)) {
    if (block.meta.minTime >= end) close();
    overlapping.push(block);
    end = Math.max(end, block.meta.maxTime);
  }
  close();
  return left;
}

/** Blocks with the same external labels were written by one source; with others, by its replicas or by strangers. */
function sourceOf({ labels, meta }: ServedBlock): string {
  return [...labels, meta.thanos?.downsample.resolution ?? 0].join("\u{ff}");
}

/** Resolves once every block in the bucket can be queried or is known to be broken. */
export const start: StartComponent<GatewayConfig> = async (config, { env }) => {
  const bucket: Bucket = openBucket(config.bucket, env);
  const blocks = new BlockSet(bucket, join(config.dataDir, "index-headers"), config.ignoreDeletionMarksDelayMs, env);
  // Serving starts after the first sync: a gateway that answers with half its blocks would make the querier return
  // a silently incomplete result.
  await every(config.syncIntervalMs, "block sync", () => blocks.sync(env.now()), env);
  env.defer("blocks", () => blocks.close());
  new Gauge({
    name: "thanos_bucket_store_blocks_loaded",
    help: "Blocks that are served.",
    registers: [env.metrics],
    collect() {
      this.set([...blocks.blocks].length);
    },
  });
  new Gauge({
    name: "cairn_store_broken_blocks",
    help: "Blocks that cannot be read. Worry about any: queries over their time fail or carry a warning.",
    registers: [env.metrics],
    collect() {
      this.set([...blocks.broken].length);
    },
  });
  const store = new GatewayStore(blocks);
  return {
    ...storeHandlers(store),
    ...storeBytesHandlers(store),
    exemplars: (call: ExemplarsCall, signal) => store.exemplars(call, config.exemplarsPerRequest, signal),
    sync: () => blocks.sync(env.now()),
  } satisfies Handlers;
};
