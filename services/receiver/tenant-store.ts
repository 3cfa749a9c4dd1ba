/**
 * One tenant's data on this receiver: a head, and the blocks cut from it that are still on the disk.
 *
 *   <tsdb.path>/<tenant>/{wal,chunks_head,<ULID>…}     a Prometheus data folder
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Env } from "#libs/kit/env.ts";
import type { Labels } from "#libs/model/labels.ts";
import { asItems, mergeItems } from "#libs/storeapi/frames.ts";
import { type SeriesSource, sourceFrames, sourceLabelNames, sourceLabelValues } from "#libs/storeapi/series-source.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, Store, StoreInfo, StoreItem } from "#libs/storeapi/store.ts";
import { TIME_MAX, TIME_MIN } from "#libs/storeapi/store.ts";
import { joinAnswers } from "#libs/storeapi/proxy.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { type BlockMeta, readMeta } from "#libs/tsdb/block/meta.ts";
import { type BlockReader, openBlock } from "#libs/tsdb/block/reader.ts";
import { createUlid, isUlid } from "#libs/tsdb/block/ulid.ts";
import { removeFolder } from "#libs/tsdb/files.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import type { HeadOptions } from "#libs/tsdb/head/state.ts";
import { blockSource } from "#libs/storeapi/block-source.ts";

export interface LocalBlock {
  readonly path: string;
  readonly meta: BlockMeta;
  readonly reader: BlockReader;
}

export class TenantStore implements Store {
  readonly name: string;
  readonly folder: string;
  readonly external: Labels;
  readonly head: Head;
  readonly #env: Env;
  #blocks: readonly LocalBlock[];
  #cutting = false;

  private constructor(
    name: string,
    folder: string,
    external: Labels,
    head: Head,
    blocks: readonly LocalBlock[],
    env: Env,
  ) {
    this.name = `receiver, tenant ${name}`;
    this.folder = folder;
    this.external = external;
    this.head = head;
    this.#blocks = blocks;
    this.#env = env;
  }

  /** Opens a tenant's folder: removes what a crash left half-made, opens blocks, replays the log. */
  static async open(
    tenant: string,
    folder: string,
    external: Labels,
    options: Omit<HeadOptions, "minValidTime">,
    env: Env,
  ): Promise<TenantStore> {
    mkdirSync(folder, { recursive: true });
    const blocks: LocalBlock[] = [];
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (name.endsWith(".tmp-for-creation") || name.endsWith(".tmp-for-deletion"))
        rmSync(path, { recursive: true, force: true });
      else if (isUlid(name) && existsSync(join(path, "meta.json"))) {
        try {
          blocks.push(await openLocalBlock(path));
        } catch (err) {
          env.log.error({ err, block: name, tenant }, "local block cannot be read and is left aside");
        }
      }
    }
    const minValidTime = blocks.reduce((max, { meta }) => Math.max(max, meta.maxTime), -Infinity);
    const head = Head.open(folder, { ...options, minValidTime, log: env.log.child({ tenant }) });
    return new TenantStore(tenant, folder, external, head, blocks, env);
  }

  get blocks(): readonly LocalBlock[] {
    return this.#blocks;
  }

  /** Cuts what is complete. `onBlock` is told of each block after the head has let go of it. */
  async cut(onBlock: (block: LocalBlock) => Promise<void>): Promise<void> {
    if (this.#cutting) return;
    this.#cutting = true;
    try {
      while (this.head.isCuttable) {
        const startedAt = performance.now();
        const end = this.head.cutEnd;
        const written = await this.head.cutBlock(this.folder, createUlid(this.#env.now()));
        if (written !== undefined) {
          const block = await openLocalBlock(written.path);
          this.#blocks = [...this.#blocks, block];
          await this.head.truncate(end);
          const { ulid, minTime, maxTime, stats } = written.meta;
          this.#env.log.info(
            {
              block: ulid,
              store: this.name,
              minTime,
              maxTime,
              ...stats,
              tookMs: Math.round(performance.now() - startedAt),
            },
            "head cut into a block",
          );
          await onBlock(block);
        } else await this.head.truncate(end);
      }
    } finally {
      this.#cutting = false;
    }
  }

  /** Forgets a block and deletes its folder. */
  drop(block: LocalBlock): void {
    this.#blocks = this.#blocks.filter((other) => other !== block);
    removeFolder(block.path);
    // Readers that have begun keep their descriptors for a while.
    setTimeout(() => block.reader.close(), 10 * 60_000).unref();
  }

  async info(): Promise<StoreInfo> {
    const { mint, maxt } = this.head;
    return {
      componentType: "receive",
      labelSets: [this.external],
      mint: this.#blocks.reduce(
        (min, { meta }) => Math.min(min, meta.minTime),
        Number.isFinite(mint) ? mint : TIME_MAX,
      ),
      maxt: this.#blocks.reduce(
        (max, { meta }) => Math.max(max, meta.maxTime - 1),
        Number.isFinite(maxt) ? maxt : TIME_MIN,
      ),
      supportsWithoutLabels: true,
    };
  }

  #sources(mint: number, maxt: number): SeriesSource[] {
    const sources: SeriesSource[] = this.#blocks
      .filter(({ meta }) => meta.minTime <= maxt && meta.maxTime > mint)
      .map(({ reader }) => blockSource(reader));
    if (this.head.mint <= maxt && this.head.maxt >= mint) sources.push(this.head);
    return sources;
  }

  series(request: SeriesRequest, signal: AbortSignal): AsyncIterable<StoreItem> {
    const streams = this.#sources(request.mint, request.maxt).map((source) =>
      asItems(sourceFrames(source, this.external, request, signal)),
    );
    return streams.length === 0 ? nothing() : mergeItems(streams);
  }

  async labelNames(request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    const sets = await Promise.all(
      this.#sources(request.mint, request.maxt).map((source) =>
        sourceLabelNames(source, this.external, request, signal),
      ),
    );
    return joinAnswers(
      sets.map((set) => ({ values: [...set], warnings: [] })),
      request.limit,
    );
  }

  async labelValues(name: string, request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    const sets = await Promise.all(
      this.#sources(request.mint, request.maxt).map((source) =>
        sourceLabelValues(source, this.external, name, request, signal),
      ),
    );
    return joinAnswers(
      sets.map((set) => ({ values: [...set], warnings: [] })),
      request.limit,
    );
  }

  async close(): Promise<void> {
    for (const { reader } of this.#blocks) reader.close();
    await this.head.close();
  }
}

async function* nothing(): AsyncGenerator<StoreItem> {
  // No data in range.
}

async function openLocalBlock(path: string): Promise<LocalBlock> {
  const file = join(path, "meta.json");
  const meta = readMeta(readFileSync(file, "utf8"), file);
  return { path, meta, reader: await openBlock(meta, openBlockFolder(path)) };
}
