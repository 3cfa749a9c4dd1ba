/**
 * The blocks of a tenant on the local disk: the set of them, and what becomes of readers when one goes or is replaced.
 * Who changes blocks does so alone (see `TenantStore`).
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "#libs/kit/log.ts";
import { UnavailableError } from "#libs/kit/errors.ts";
import { type BlockBytes, openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { type BlockMeta, formatMeta, readMeta } from "#libs/tsdb/block/meta.ts";
import { type BlockReader, openBlock } from "#libs/tsdb/block/reader.ts";
import { folderBytes } from "#libs/tsdb/block/retention.ts";
import { readTombstones } from "#libs/tsdb/block/tombstones.ts";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import { heldBy } from "#libs/tsdb/compact/plan.ts";
import { removeFolder, writeFileAtomic } from "#libs/tsdb/files.ts";
import { OUT_OF_ORDER_HINT } from "#libs/tsdb/head/cut.ts";

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

/** How long files of blocks stay open that nobody else begins to read. */
const READABLE_MS = 10 * 60_000;

export class LocalBlocks {
  #list: readonly LocalBlock[];
  /** Dropped blocks that requests under way, or about to begin, may still read. */
  readonly #dropped = new Set<LocalBlock>();
  /** ULIDs of what cannot be read any more. */
  readonly #closed = new Set<string>();

  private constructor(list: readonly LocalBlock[]) {
    this.#list = byTime(list);
  }

  /**
   * Opens the folder's blocks; one that cannot be read is logged. Of a block that was written from others and not put
   * in their place any more, the others are removed.
   */
  static async open(folder: string, log: Logger): Promise<LocalBlocks> {
    const blocks: LocalBlock[] = [];
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
    return new LocalBlocks(blocks);
  }

  /** Ascending by their begin. */
  get list(): readonly LocalBlock[] {
    return this.#list;
  }

  /** The blocks whose samples are here: of one that was made of others, the bucket may have those. */
  get held(): string[] {
    return this.#list.flatMap(({ meta }) => heldBy(meta));
  }

  /** Where blocks that continue each other end; -Infinity without any. */
  get end(): number {
    return this.newestInOrder?.meta.maxTime ?? -Infinity;
  }

  /** The block whose end tells a restart where the head begins. */
  get newestInOrder(): LocalBlock | undefined {
    const inOrder = this.#list.filter(({ meta }) => meta.compaction.hints?.includes(OUT_OF_ORDER_HINT) !== true);
    return inOrder.reduce<LocalBlock | undefined>(
      (newest, block) => (newest === undefined || block.meta.maxTime > newest.meta.maxTime ? block : newest),
      undefined,
    );
  }

  /** `held` are blocks that must be among them, if they are this tenant's. @throws UnavailableError when one is gone. */
  inRange(mint: number, maxt: number, held: readonly string[] = []): LocalBlock[] {
    const gone = held.find((ulid) => this.#closed.has(ulid));
    if (gone !== undefined) throw new UnavailableError(`block ${gone} was deleted before it was read; ask again`);
    const isIn = ({ meta }: LocalBlock): boolean => meta.minTime <= maxt && meta.maxTime > mint;
    const found = this.#list.filter(isIn);
    for (const block of this.#dropped)
      if (isIn(block) && heldBy(block.meta).some((ulid) => held.includes(ulid))) found.push(block);
    return found;
  }

  /** Serves blocks that are on the disk. */
  async add(paths: readonly string[]): Promise<LocalBlock[]> {
    const blocks = await Promise.all(paths.map(openLocalBlock));
    this.#list = byTime([...this.#list, ...blocks]);
    return blocks;
  }

  /** Puts what is in the folder `path` now in the blocks' place, and removes theirs if they are others. */
  async replace(blocks: readonly LocalBlock[], path: string): Promise<LocalBlock> {
    const next = await openLocalBlock(path);
    this.#list = byTime([...this.#list.filter((other) => !blocks.includes(other)), next]);
    for (const block of blocks) {
      // Readers that have begun keep its files for a while.
      setTimeout(() => block.reader.close(), READABLE_MS).unref();
      if (block.path !== path) removeFolder(block.path);
    }
    return next;
  }

  async mark(block: LocalBlock, mark: Pick<BlockMeta["compaction"], "deletable" | "failed">): Promise<void> {
    const { path, meta } = block;
    writeFileAtomic(join(path, "meta.json"), formatMeta({ ...meta, compaction: { ...meta.compaction, ...mark } }));
    await this.replace([block], path);
  }

  /** Forgets a block and deletes its folder, unless it was replaced meanwhile. */
  drop(block: LocalBlock): void {
    if (!this.#list.includes(block)) return;
    this.#list = this.#list.filter((other) => other !== block);
    removeFolder(block.path);
    // Its files stay open for a while.
    this.#dropped.add(block);
    const close = (): void => {
      this.#dropped.delete(block);
      for (const ulid of heldBy(block.meta)) this.#closed.add(ulid);
      block.reader.close();
    };
    setTimeout(close, READABLE_MS).unref();
  }

  close(): void {
    for (const { reader } of this.#list) reader.close();
  }
}

function byTime(blocks: readonly LocalBlock[]): LocalBlock[] {
  return blocks.toSorted((a, b) => a.meta.minTime - b.meta.minTime);
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
