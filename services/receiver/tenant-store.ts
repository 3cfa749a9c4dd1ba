/**
 * One tenant's data on this receiver: a head, and the blocks cut from it that are still on the disk.
 *
 *   <tsdb.path>/<tenant>/{wal,chunks_head,<ULID>…}     a Prometheus data folder
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Env } from "#libs/kit/env.ts";
import { opening } from "#libs/kit/mapped.ts";
import { CorruptionError } from "#libs/kit/errors.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { Matcher, MatcherSpec } from "#libs/model/matcher.ts";
import {
  type SeriesSource,
  sourceItems,
  sourceLabelNames,
  sourceLabelValues,
  splitMatchers,
} from "#libs/storeapi/series-source.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, Store, StoreInfo, StoreItem } from "#libs/storeapi/store.ts";
import { TIME_MAX } from "#libs/storeapi/store.ts";
import { joinAnswers, sortedUnion } from "#libs/storeapi/proxy.ts";
import { mergeParts } from "#libs/storeapi/without-overlap.ts";
import {
  type ExemplarAnswer,
  type ExemplarRange,
  exemplarsOf,
  type MetadataAnswer,
  metadataOf,
  withExternal,
} from "#libs/storeapi/block-extras.ts";
import { mergeExemplars } from "#libs/tsdb/block/merge-extras.ts";
import type { BlockMeta } from "#libs/tsdb/block/meta.ts";
import { deleteSeries } from "#libs/tsdb/block/delete-series.ts";
import { folderBytes, removeLeftovers } from "#libs/tsdb/block/retention.ts";
import { createUlid } from "#libs/tsdb/block/ulid.ts";
import type { WrittenBlock } from "#libs/tsdb/block/writer.ts";
import { planCompaction, rewrittenCompaction } from "#libs/tsdb/compact/plan.ts";
import { ensureFolder, linkFolder, syncFolder } from "#libs/tsdb/files.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import type { HeadOptions } from "#libs/tsdb/head/state.ts";
import { lockFolder } from "#libs/tsdb/lock-folder.ts";
import { blockSource } from "#libs/storeapi/block-source.ts";
import { type LocalBlock, LocalBlocks } from "./local-blocks.ts";
import { type MergeFolders, mergeHere } from "./merge-folders.ts";

export interface Deletion {
  /** That have samples less; one that several selectors select is counted for each. */
  readonly seriesInHead: number;
  /** Blocks with samples less. */
  readonly blocks: readonly LocalBlock[];
}

export interface TenantStoreOptions extends Omit<HeadOptions, "minValidTime"> {
  /** Who merges blocks; on this thread by default. */
  readonly merge?: MergeFolders;
  /** Does without the folder's lock; the caller sees to it that no other process uses the folder. */
  readonly noLockfile?: boolean | undefined;
}

export class TenantStore implements Store {
  readonly tenant: string;
  readonly name: string;
  readonly folder: string;
  readonly external: Labels;
  readonly head: Head;
  readonly #env: Env;
  readonly #unlock: () => void;
  readonly #blocks: LocalBlocks;
  readonly #mergeFolders: MergeFolders;
  /** What these blocks say of metrics; they change every two hours. */
  #blockMetadata: { readonly of: readonly LocalBlock[]; readonly answer: Promise<MetadataAnswer> } | undefined;
  /** The end of what changes blocks: one such work at a time. */
  #working: Promise<unknown> = Promise.resolve();

  private constructor(
    tenant: string,
    folder: string,
    external: Labels,
    head: Head,
    blocks: LocalBlocks,
    merge: MergeFolders,
    unlock: () => void,
    env: Env,
  ) {
    this.tenant = tenant;
    this.name = `receiver, tenant ${tenant}`;
    this.folder = folder;
    this.external = external;
    this.head = head;
    this.#blocks = blocks;
    this.#mergeFolders = merge;
    this.#unlock = unlock;
    this.#env = env;
  }

  /**
   * Opens a tenant's folder: locks it, removes what a crash left half-made, opens blocks, replays the log.
   *
   * @throws UnavailableError when another process uses the folder.
   */
  static async open(
    tenant: string,
    folder: string,
    external: Labels,
    { noLockfile = false, merge = mergeHere, ...options }: TenantStoreOptions,
    env: Env,
  ): Promise<TenantStore> {
    ensureFolder(folder);
    const unlock = noLockfile ? () => undefined : lockFolder(folder);
    let blocks: LocalBlocks | undefined;
    try {
      const log = env.log.child({ tenant });
      const leftovers = removeLeftovers(folder);
      if (leftovers.length > 0) log.info({ leftovers }, "removed what an earlier end left half-made");
      blocks = await LocalBlocks.open(folder, log);
      const head = await Head.openSliced(folder, { ...options, minValidTime: blocks.end, log });
      return new TenantStore(tenant, folder, external, head, blocks, merge, unlock, env);
    } catch (error) {
      blocks?.close();
      unlock();
      throw error;
    }
  }

  get blocks(): readonly LocalBlock[] {
    return this.#blocks.list;
  }

  get newestInOrder(): LocalBlock | undefined {
    return this.#blocks.newestInOrder;
  }

  /** Runs `work` when all before it has ended, well or not: who started that is told. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#working.then(work);
    this.#working = result.catch(() => undefined);
    return result;
  }

  /** Cuts what is complete. `onBlock` is told of each block after the head has let go of it. */
  cut(onBlock: (block: LocalBlock) => Promise<void>): Promise<void> {
    return this.#alone(() => this.#cutAll(onBlock));
  }

  /**
   * Deletes samples in [mint, maxt] of the series that one of the selectors selects, in the head and in local blocks:
   * readers that begin after it do not see them, also after a restart. Not while blocks are cut: they would come
   * without the deletion.
   */
  deleteSeries(selectors: readonly (readonly MatcherSpec[])[], mint: number, maxt: number): Promise<Deletion> {
    const own = this.#ownMatchers(selectors);
    return this.#alone(async () => {
      // Replay passes over deletions of times that blocks have: for what is late to them, a block must say it.
      if (this.head.hasLateOfBlocks(mint, maxt)) await this.#cutLate();
      let seriesInHead = 0;
      for (const matchers of own) seriesInHead += await this.head.deleteSeries(matchers, mint, maxt);
      await this.head.durable();
      const changed: LocalBlock[] = [];
      await eachOf(this.#blocks.inRange(mint, maxt), async (block) => {
        let count = 0;
        for (const matchers of own) count += await deleteSeries(block.path, matchers, mint, maxt);
        if (count > 0) changed.push(await this.#blocks.replace([block], block.path));
      });
      return { seriesInHead, blocks: changed };
    });
  }

  /**
   * Writes the chosen blocks that have tombstones anew, without what is deleted. One of which nothing is left is marked
   * as deletable, for the newest tells a restart where the head begins; or stays as it is, where `isInBucket` and the
   * deleted samples would be read from there without it. One that is corrupt is marked as failed.
   *
   * @throws CorruptionError, after the other blocks.
   */
  cleanTombstones(
    isChosen: (block: LocalBlock) => boolean,
    isInBucket: (block: LocalBlock) => boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.#alone(() =>
      eachOf(this.blocks, async (block) => {
        if (!block.hasTombstones || block.meta.compaction.deletable === true || !isChosen(block)) return;
        try {
          await this.#rewrite(block, isInBucket(block), signal);
        } catch (error) {
          if (error instanceof CorruptionError) await this.#blocks.mark(block, { failed: true });
          throw error;
        }
      }),
    );
  }

  async #rewrite(block: LocalBlock, isInBucket: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { meta } = block;
    const next = await this.#merge([block], rewrittenCompaction(meta), signal);
    const about = { block: meta.ulid, store: this.name, numTombstones: meta.stats?.numTombstones };
    if (next === undefined) {
      if (!isInBucket) await this.#blocks.mark(block, { deletable: true });
      this.#env.log.info(about, "all of the block is deleted");
    } else this.#env.log.info({ ...about, as: next.meta.ulid }, "block written anew without what is deleted");
  }

  /**
   * Merges local blocks once, as Prometheus plans it: those that overlap, those that fill one of `ranges` (ms,
   * ascending), one with many tombstones. With a bucket, `isSent` says of which blocks it has the samples, and only those are
   * merged: what was merged is not uploaded.
   *
   * @returns whether there was something to merge. @throws CorruptionError; the blocks are marked as failed, and left alone.
   */
  compact(
    ranges: readonly number[],
    isSent: ((block: LocalBlock) => boolean) | undefined,
    onMerged: (block: LocalBlock) => void,
    signal?: AbortSignal,
  ): Promise<boolean> {
    return this.#alone(async () => {
      const sources = this.#plan(ranges, isSent);
      if (sources.length === 0) return false;
      const startedAt = performance.now();
      const marked = async (mark: "failed" | "deletable"): Promise<void> => {
        for (const block of sources) await this.#blocks.mark(block, { [mark]: true });
      };
      try {
        const next = await this.#merge(sources, undefined, signal);
        if (next === undefined) {
          // What the bucket shows again is better left here, deleted.
          await marked(isSent === undefined ? "deletable" : "failed");
          return true;
        }
        onMerged(next);
        const { ulid, minTime, maxTime, stats, compaction } = next.meta;
        const tookMs = Math.round(performance.now() - startedAt);
        const from = sources.map(({ meta }) => meta.ulid);
        this.#env.log.info(
          {
            block: ulid,
            store: this.name,
            minTime,
            maxTime,
            ...stats,
            compactionLevel: compaction.level,
            from,
            tookMs,
          },
          "blocks merged",
        );
        return true;
      } catch (error) {
        if (error instanceof CorruptionError) await marked("failed");
        throw error;
      }
    });
  }

  #plan(ranges: readonly number[], isSent: ((block: LocalBlock) => boolean) | undefined): LocalBlock[] {
    const blocks = this.blocks.filter(({ meta }) => meta.compaction.deletable !== true);
    // A merge around one that is not there yet would overlap with it.
    const waiting = isSent === undefined ? -1 : blocks.findIndex((block) => !isSent(block));
    const metas = blocks
      .slice(0, waiting < 0 ? blocks.length : waiting)
      .map(({ meta }) => meta)
      // Merged, late samples from ahead of the cut would tell a restart that all samples up to there are in blocks.
      .filter(({ maxTime }) => maxTime <= this.#blocks.end);
    let plan = planCompaction(metas, ranges);
    const hasFailed = ({ compaction }: BlockMeta): boolean => compaction.failed === true;
    if (plan.some(hasFailed))
      plan = planCompaction(
        metas.filter((meta) => !hasFailed(meta)),
        ranges,
      );
    return blocks.filter(({ meta }) => plan.includes(meta));
  }

  /** Puts one block in the place of these, undefined when nothing is left of them, which then stay. */
  async #merge(
    blocks: readonly LocalBlock[],
    compaction: BlockMeta["compaction"] | undefined,
    signal: AbortSignal | undefined,
  ): Promise<LocalBlock | undefined> {
    const ulid = createUlid(this.#env.now());
    const sources = blocks.map(({ path, meta }) => ({ path, meta }));
    const { path, damagedExtras } = await this.#mergeFolders(
      { sources, path: join(this.folder, ulid), ulid, compaction },
      signal ?? this.#env.stopping,
    );
    for (const damage of damagedExtras)
      this.#env.log.error({ damage, as: ulid, store: this.name }, "exemplars of a block are lost");
    return path === undefined ? undefined : this.#blocks.replace(blocks, path);
  }

  /**
   * Puts all data into a new folder below `snapshots`, which is a Prometheus data folder: blocks as hard links, and the
   * head's samples as a block of their own. @returns the folder's name.
   */
  snapshot(withHead: boolean): Promise<string> {
    return this.#alone(async () => {
      const now = this.#env.now();
      const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, "");
      const name = `${stamp}-${Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex")}`;
      const folder = join(this.folder, "snapshots", name);
      ensureFolder(folder);
      for (const { path, meta } of this.blocks) linkFolder(path, join(folder, meta.ulid));
      if (withHead) await this.head.copyTo(folder, createUlid(now));
      syncFolder(join(this.folder, "snapshots"));
      this.#env.log.info({ store: this.name, folder }, "snapshot made");
      return name;
    });
  }

  async #cutAll(onBlock: (block: LocalBlock) => Promise<void>): Promise<void> {
    while (this.head.isCuttable) {
      const end = this.head.cutEnd;
      // First: truncation forgets the log that late samples may have been recovered from.
      const blocks = await this.#cutLate();
      const startedAt = performance.now();
      const written = await this.head.cutBlock(this.folder, createUlid(this.#env.now()));
      blocks.push(...(await this.#adopt(written === undefined ? [] : [written], startedAt)));
      await this.head.truncate(end, this.#blocks.end);
      for (const block of blocks) await onBlock(block);
    }
  }

  /** Cuts all late samples. */
  async #cutLate(): Promise<LocalBlock[]> {
    if (!this.head.hasLate) return [];
    const startedAt = performance.now();
    const late = await this.head.cutLate(this.folder, () => createUlid(this.#env.now()));
    const blocks = await this.#adopt(late.blocks, startedAt);
    await this.head.dropLate(late);
    return blocks;
  }

  /** Serves blocks cut from the head. */
  async #adopt(written: readonly WrittenBlock[], startedAt: number): Promise<LocalBlock[]> {
    const blocks = await this.#blocks.add(written.map(({ path }) => path));
    const tookMs = Math.round(performance.now() - startedAt);
    for (const { meta } of blocks) {
      const { ulid, minTime, maxTime, stats, compaction } = meta;
      const { hints } = compaction;
      this.#env.log.info(
        { block: ulid, store: this.name, minTime, maxTime, ...stats, ...(hints && { hints }), tookMs },
        "head cut into a block",
      );
    }
    return blocks;
  }

  /** On the disk, for the log and the head's chunks. */
  get headBytes(): number {
    return HEAD_FOLDERS.map((name) => join(this.folder, name))
      .filter((path) => existsSync(path))
      .reduce((bytes, path) => bytes + folderBytes(path), 0);
  }

  /** Forgets a block and deletes its folder, unless it was replaced meanwhile. */
  drop(block: LocalBlock): Promise<void> {
    return this.#alone(async () => this.#blocks.drop(block));
  }

  /** Of now. */
  get about(): StoreInfo {
    const { mint } = this.head;
    return {
      componentType: "receive",
      labelSets: [this.external],
      mint: this.blocks.reduce((min, { meta }) => Math.min(min, meta.minTime), Number.isFinite(mint) ? mint : TIME_MAX),
      // Newer samples may come while this is remembered.
      maxt: TIME_MAX,
      supportsWithoutLabels: true,
      blocks: this.#blocks.held,
    };
  }

  async info(): Promise<StoreInfo> {
    return this.about;
  }

  #sources({ mint, maxt, heldBlocks }: LabelRequest): SeriesSource[] {
    const sources: SeriesSource[] = this.#blocks
      .inRange(mint, maxt, heldBlocks)
      .map(({ reader }) => blockSource(reader));
    if (this.#isHeadIn(mint, maxt)) sources.push(this.head);
    return sources;
  }

  #isHeadIn(mint: number, maxt: number): boolean {
    return this.head.mint <= maxt && this.head.maxt >= mint;
  }

  series(request: SeriesRequest, signal: AbortSignal): AsyncIterableIterator<StoreItem> {
    let unpin = (): void => undefined;
    return opening(
      () => {
        // What is cut between the choice of blocks and the first look into the head stays in the head for so long.
        unpin = this.head.pin();
        return this.#items(request, signal);
      },
      () => unpin(),
      () => unpin(),
    );
  }

  #items(request: SeriesRequest, signal: AbortSignal): AsyncIterable<StoreItem> {
    const { mint, maxt } = request;
    const parts = this.#blocks.inRange(mint, maxt, request.heldBlocks).map(({ reader, meta }) => ({
      items: sourceItems(blockSource(reader), this.external, request, signal),
      mint: meta.minTime,
      maxt: meta.maxTime - 1,
    }));
    if (this.#isHeadIn(mint, maxt)) {
      const items = sourceItems(this.head, this.external, request, signal);
      parts.push({ items, mint: this.head.mint, maxt: this.head.maxt });
    }
    return mergeParts(parts, request.skipChunks);
  }

  async labelNames(request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    const sets = await Promise.all(
      this.#sources(request).map((source) => sourceLabelNames(source, this.external, request, signal)),
    );
    return joinAnswers([{ values: sortedUnion(sets), warnings: [] }], request.limit);
  }

  async labelValues(name: string, request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    const sets = await Promise.all(
      this.#sources(request).map((source) => sourceLabelValues(source, this.external, name, request, signal)),
    );
    return joinAnswers([{ values: sortedUnion(sets), warnings: [] }], request.limit);
  }

  /**
   * Exemplars of series that one of the selectors selects, with external labels: those of the head, and those that
   * blocks kept. What a block cannot give is named by a warning. @throws LimitError
   */
  async exemplars(
    selectors: readonly (readonly MatcherSpec[])[],
    range: ExemplarRange,
    signal: AbortSignal,
  ): Promise<ExemplarAnswer> {
    const own = this.#ownMatchers(selectors);
    const { mint, maxt } = range;
    const inHead = this.head.exemplars(own, mint, maxt);
    const blocks = this.#blocks.inRange(mint, maxt).map(({ bytes }) => bytes);
    const { values, warnings } = await exemplarsOf(blocks, own, range, signal);
    const joined = [...mergeExemplars([inHead, values])];
    return { values: joined.map((list) => withExternal(list, this.external)), warnings };
  }

  /** What families of metrics are said to be, by head and blocks: the newest. */
  async metadata(): Promise<MetadataAnswer> {
    const { blocks } = this;
    if (this.#blockMetadata?.of !== blocks) {
      const newestFirst = blocks.toSorted((a, b) => b.meta.maxTime - a.meta.maxTime);
      const answer = metadataOf(newestFirst.map(({ bytes }) => bytes));
      answer.catch(() => (this.#blockMetadata = undefined)); // who asked is told, the next request tries again
      this.#blockMetadata = { of: blocks, answer };
    }
    const { values, warnings } = await this.#blockMetadata.answer;
    return { values: new Map([...values, ...this.head.metadata()]), warnings };
  }

  /** What is left of the selectors for the series' own labels, without those that the external labels contradict. */
  #ownMatchers(selectors: readonly (readonly MatcherSpec[])[]): Matcher[][] {
    return selectors.map((specs) => splitMatchers(specs, this.external)).filter((set) => set !== undefined);
  }

  async close(): Promise<void> {
    await this.#working;
    this.#blocks.close();
    await this.head.close(true);
    this.#unlock();
  }
}

const HEAD_FOLDERS = ["wal", "wbl", "chunks_head"];

/** Runs `work` for each, one after the other, also when one fails. @throws the first failure, in the end. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await work(item).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
