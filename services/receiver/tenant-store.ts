/**
 * One tenant's data on this receiver: a head, and the blocks cut from it that are still on the disk.
 *
 *   <tsdb.path>/<tenant>/{wal,chunks_head,<ULID>…}     a Prometheus data folder
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Env } from "#libs/kit/env.ts";
import { CorruptionError, UnavailableError } from "#libs/kit/errors.ts";
import type { Logger } from "#libs/kit/log.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { Matcher, MatcherSpec } from "#libs/model/matcher.ts";
import { asItems } from "#libs/storeapi/frames.ts";
import {
  type SeriesSource,
  sourceFrames,
  sourceLabelNames,
  sourceLabelValues,
  splitMatchers,
} from "#libs/storeapi/series-source.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, Store, StoreInfo, StoreItem } from "#libs/storeapi/store.ts";
import { TIME_MAX } from "#libs/storeapi/store.ts";
import { joinAnswers } from "#libs/storeapi/proxy.ts";
import { mergeParts } from "#libs/storeapi/without-overlap.ts";
import {
  type ExemplarAnswer,
  type ExemplarRange,
  exemplarsOf,
  type MetadataAnswer,
  metadataOf,
  withExternal,
} from "#libs/storeapi/block-extras.ts";
import { type BlockBytes, openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { mergeExemplars } from "#libs/tsdb/block/merge-extras.ts";
import { type BlockMeta, formatMeta, readMeta } from "#libs/tsdb/block/meta.ts";
import { deleteSeries } from "#libs/tsdb/block/delete-series.ts";
import { type BlockReader, openBlock } from "#libs/tsdb/block/reader.ts";
import { folderBytes, removeLeftovers } from "#libs/tsdb/block/retention.ts";
import { readTombstones } from "#libs/tsdb/block/tombstones.ts";
import { createUlid, isUlid } from "#libs/tsdb/block/ulid.ts";
import type { WrittenBlock } from "#libs/tsdb/block/writer.ts";
import { mergeBlocks } from "#libs/tsdb/compact/merge-blocks.ts";
import { originsOf, rewrittenCompaction } from "#libs/tsdb/compact/plan.ts";
import { ensureFolder, linkFolder, removeFolder, syncFolder, writeFileAtomic } from "#libs/tsdb/files.ts";
import { OUT_OF_ORDER_HINT } from "#libs/tsdb/head/cut.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import type { SeriesFrame } from "#libs/tsdb/series/frame.ts";
import type { HeadOptions } from "#libs/tsdb/head/state.ts";
import { lockFolder } from "#libs/tsdb/lock-folder.ts";
import { blockSource } from "#libs/storeapi/block-source.ts";

export interface LocalBlock {
  readonly path: string;
  readonly meta: BlockMeta;
  readonly reader: BlockReader;
  /** What the reader reads; its to close. */
  readonly bytes: BlockBytes;
  /** By its file: a crash can keep meta.json from saying so. */
  readonly hasTombstones: boolean;
  /** Of all its files. */
  readonly sizeBytes: number;
}

export interface Deletion {
  /** That have samples less; one that several selectors select is counted for each. */
  readonly seriesInHead: number;
  /** Blocks with samples less. */
  readonly blocks: readonly LocalBlock[];
}

export interface TenantStoreOptions extends Omit<HeadOptions, "minValidTime"> {
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
  #blocks: readonly LocalBlock[];
  /** Dropped blocks that requests under way, or about to begin, may still read. */
  readonly #dropped = new Set<LocalBlock>();
  /** ULIDs of those that cannot be read any more. */
  readonly #closed = new Set<string>();
  /** What these blocks say of metrics; they change every two hours. */
  #blockMetadata: { readonly of: readonly LocalBlock[]; readonly answer: Promise<MetadataAnswer> } | undefined;
  /** The end of what changes blocks: one such work at a time. */
  #working: Promise<unknown> = Promise.resolve();

  private constructor(
    tenant: string,
    folder: string,
    external: Labels,
    head: Head,
    blocks: readonly LocalBlock[],
    unlock: () => void,
    env: Env,
  ) {
    this.tenant = tenant;
    this.name = `receiver, tenant ${tenant}`;
    this.folder = folder;
    this.external = external;
    this.head = head;
    this.#blocks = blocks;
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
    { noLockfile = false, ...options }: TenantStoreOptions,
    env: Env,
  ): Promise<TenantStore> {
    ensureFolder(folder);
    const unlock = noLockfile ? () => undefined : lockFolder(folder);
    const blocks: LocalBlock[] = [];
    try {
      const log = env.log.child({ tenant });
      const leftovers = removeLeftovers(folder);
      if (leftovers.length > 0) log.info({ leftovers }, "removed what an earlier end left half-made");
      await openBlocks(folder, blocks, log);
      const minValidTime = blocks.filter(isInOrder).reduce((max, { meta }) => Math.max(max, meta.maxTime), -Infinity);
      const head = Head.open(folder, { ...options, minValidTime, log });
      return new TenantStore(tenant, folder, external, head, blocks, unlock, env);
    } catch (error) {
      for (const { reader } of blocks) reader.close();
      unlock();
      throw error;
    }
  }

  get blocks(): readonly LocalBlock[] {
    return this.#blocks;
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
      await eachOf(this.#blocksIn(mint, maxt), async (block) => {
        let count = 0;
        for (const matchers of own) count += await deleteSeries(block.path, matchers, mint, maxt);
        if (count > 0) changed.push(await this.#reopen(block, block.path));
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
      eachOf(this.#blocks, async (block) => {
        if (!block.hasTombstones || block.meta.compaction.deletable === true || !isChosen(block)) return;
        try {
          await this.#rewrite(block, isInBucket(block), signal);
        } catch (error) {
          if (error instanceof CorruptionError) await this.#mark(block, { failed: true });
          throw error;
        }
      }),
    );
  }

  async #rewrite(block: LocalBlock, isInBucket: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { path, meta } = block;
    const { log } = this.#env;
    const ulid = createUlid(this.#env.now());
    const target = {
      path: join(this.folder, ulid),
      ulid,
      compaction: rewrittenCompaction(meta),
      onDamagedExtras: (err: Error) => log.error({ err, block: meta.ulid }, "exemplars of the block are lost"),
    };
    const bytes = openBlockFolder(path);
    let written: WrittenBlock | undefined;
    try {
      written = await mergeBlocks([{ meta, bytes }], target, signal);
    } finally {
      bytes.close();
    }
    const about = { block: meta.ulid, store: this.name, numTombstones: meta.stats?.numTombstones };
    if (written === undefined) {
      if (!isInBucket) await this.#mark(block, { deletable: true });
      log.info(about, "all of the block is deleted");
    } else {
      await this.#reopen(block, written.path);
      removeFolder(path);
      log.info({ ...about, as: ulid }, "block written anew without what is deleted");
    }
  }

  async #mark(block: LocalBlock, mark: Pick<BlockMeta["compaction"], "deletable" | "failed">): Promise<void> {
    const { path, meta } = block;
    writeFileAtomic(join(path, "meta.json"), formatMeta({ ...meta, compaction: { ...meta.compaction, ...mark } }));
    await this.#reopen(block, path);
  }

  /** Puts what is in the folder now in the block's place. */
  async #reopen(block: LocalBlock, path: string): Promise<LocalBlock> {
    const next = await openLocalBlock(path);
    this.#replace(block, next);
    return next;
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
      for (const { path, meta } of this.#blocks) linkFolder(path, join(folder, meta.ulid));
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
      await this.head.truncate(end);
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
    const blocks = await Promise.all(written.map(({ path }) => openLocalBlock(path)));
    this.#blocks = [...this.#blocks, ...blocks];
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

  /** The block whose end tells a restart where the head begins. */
  get newestInOrder(): LocalBlock | undefined {
    return this.#blocks
      .filter(isInOrder)
      .reduce<LocalBlock | undefined>(
        (newest, block) => (newest === undefined || block.meta.maxTime > newest.meta.maxTime ? block : newest),
        undefined,
      );
  }

  /** On the disk, for the log and the head's chunks. */
  get headBytes(): number {
    return HEAD_FOLDERS.map((name) => join(this.folder, name))
      .filter((path) => existsSync(path))
      .reduce((bytes, path) => bytes + folderBytes(path), 0);
  }

  /** Forgets a block and deletes its folder, unless it was replaced meanwhile. */
  drop(block: LocalBlock): Promise<void> {
    return this.#alone(async () => {
      if (!this.#blocks.includes(block)) return;
      this.#blocks = this.#blocks.filter((other) => other !== block);
      removeFolder(block.path);
      // Its files stay open for a while.
      this.#dropped.add(block);
      const close = (): void => {
        this.#dropped.delete(block);
        this.#closed.add(block.meta.ulid);
        block.reader.close();
      };
      setTimeout(close, READABLE_MS).unref();
    });
  }

  #replace(block: LocalBlock, next: LocalBlock): void {
    this.#blocks = this.#blocks.map((other) => (other === block ? next : other));
    // Readers that have begun keep its files for a while.
    setTimeout(() => block.reader.close(), READABLE_MS).unref();
  }

  async info(): Promise<StoreInfo> {
    const { mint } = this.head;
    return {
      componentType: "receive",
      labelSets: [this.external],
      mint: this.#blocks.reduce(
        (min, { meta }) => Math.min(min, meta.minTime),
        Number.isFinite(mint) ? mint : TIME_MAX,
      ),
      // Newer samples may come while this is remembered.
      maxt: TIME_MAX,
      supportsWithoutLabels: true,
      // Of one that was written anew the bucket may have the origin.
      blocks: this.#blocks.flatMap(({ meta }) => [meta.ulid, ...originsOf(meta)]),
    };
  }

  #sources(mint: number, maxt: number): SeriesSource[] {
    const sources: SeriesSource[] = this.#blocksIn(mint, maxt).map(({ reader }) => blockSource(reader));
    if (this.#isHeadIn(mint, maxt)) sources.push(this.head);
    return sources;
  }

  #isHeadIn(mint: number, maxt: number): boolean {
    return this.head.mint <= maxt && this.head.maxt >= mint;
  }

  /** `held` are blocks that must be among them, if they are this tenant's. @throws UnavailableError when one is gone. */
  #blocksIn(mint: number, maxt: number, held: readonly string[] = []): LocalBlock[] {
    const gone = held.find((ulid) => this.#closed.has(ulid));
    if (gone !== undefined) throw new UnavailableError(`block ${gone} was deleted before it was read; ask again`);
    const dropped = [...this.#dropped].filter(({ meta }) => held.includes(meta.ulid));
    return [...this.#blocks, ...dropped].filter(({ meta }) => meta.minTime <= maxt && meta.maxTime > mint);
  }

  async *series(request: SeriesRequest, signal: AbortSignal): AsyncGenerator<StoreItem> {
    const { mint, maxt } = request;
    // What is cut between the choice of blocks and the first look into the head stays in the head for so long.
    const unpin = this.head.pin();
    try {
      const parts = this.#blocksIn(mint, maxt, request.heldBlocks).map(({ reader, meta }) => ({
        items: asItems(sourceFrames(blockSource(reader), this.external, request, signal)),
        mint: meta.minTime,
        maxt: meta.maxTime - 1,
      }));
      if (this.#isHeadIn(mint, maxt)) {
        const frames = onFirst(sourceFrames(this.head, this.external, request, signal), unpin);
        parts.push({ items: asItems(frames), mint: this.head.mint, maxt: this.head.maxt });
      }
      if (parts.length > 0) yield* mergeParts(parts, request.skipChunks);
    } finally {
      unpin();
    }
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
    const blocks = this.#blocksIn(mint, maxt).map(({ bytes }) => bytes);
    const { values, warnings } = await exemplarsOf(blocks, own, range, signal);
    const joined = [...mergeExemplars([inHead, values])];
    return { values: joined.map((list) => withExternal(list, this.external)), warnings };
  }

  /** What families of metrics are said to be, by head and blocks: the newest. */
  async metadata(): Promise<MetadataAnswer> {
    const blocks = this.#blocks;
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
    for (const { reader } of this.#blocks) reader.close();
    await this.head.close(true);
    this.#unlock();
  }
}

/** How long files of blocks stay open that nobody else begins to read. */
const READABLE_MS = 10 * 60_000;
const HEAD_FOLDERS = ["wal", "wbl", "chunks_head"];

function isInOrder({ meta }: { readonly meta: BlockMeta }): boolean {
  return meta.compaction.hints?.includes(OUT_OF_ORDER_HINT) !== true;
}

/** Runs `work` for each, one after the other, also when one fails. @throws the first failure, in the end. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await work(item).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** Calls `then` once the first frame is there, or there is none. */
async function* onFirst(frames: AsyncIterable<SeriesFrame>, then: () => void): AsyncGenerator<SeriesFrame> {
  for await (const frame of frames) {
    then();
    yield frame;
  }
  then();
}

/**
 * Adds the folder's blocks to `blocks`; one that cannot be read is logged. Of a block that was written from others and
 * not put in their place any more, the others are removed.
 */
async function openBlocks(folder: string, blocks: LocalBlock[], log: Logger): Promise<void> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (!isUlid(name) || !existsSync(join(path, "meta.json"))) continue;
    try {
      blocks.push(await openLocalBlock(path));
    } catch (err) {
      log.error({ err, block: name }, "local block cannot be read and is left aside");
    }
  }
  const parents = new Set(blocks.flatMap(({ meta }) => meta.compaction.parents?.map(({ ulid }) => ulid) ?? []));
  for (const block of blocks.filter(({ meta }) => parents.has(meta.ulid))) {
    blocks.splice(blocks.indexOf(block), 1);
    block.reader.close();
    removeFolder(block.path);
    log.info({ block: block.meta.ulid }, "block removed: another was made of it");
  }
}

async function openLocalBlock(path: string): Promise<LocalBlock> {
  const file = join(path, "meta.json");
  const meta = readMeta(readFileSync(file, "utf8"), file);
  const bytes = openBlockFolder(path);
  return {
    path,
    meta,
    reader: await openBlock(meta, bytes),
    bytes,
    hasTombstones: readTombstones(join(path, "tombstones")).size > 0,
    sizeBytes: folderBytes(path),
  };
}
