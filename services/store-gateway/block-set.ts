/**
 * The blocks of a bucket that are served: found by their meta.json, opened through an index header on the disk.
 *
 * A block that cannot be read is kept by name: whoever asks for its time is told, and it is tried again at the next
 * sync. The others are not touched by it.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Env } from "#libs/kit/env.ts";
import { codeOf, CorruptionError, messageOf, NotFoundError } from "#libs/kit/errors.ts";
import { type Labels, labelsFrom } from "#libs/model/labels.ts";
import type { Bucket } from "#libs/objstore/bucket.ts";
import type { BlockBytes } from "#libs/tsdb/block/bytes.ts";
import { EXTRAS_FILE } from "#libs/tsdb/block/extras.ts";
import { type BlockMeta, readMeta } from "#libs/tsdb/block/meta.ts";
import { BlockReader } from "#libs/tsdb/block/reader.ts";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import { writeFileAtomic } from "#libs/tsdb/files.ts";
import { buildIndexHeaderFile, type IndexHeader, readIndexHeaderFile } from "#libs/tsdb/index/header.ts";

export interface ServedBlock {
  readonly meta: BlockMeta;
  readonly labels: Labels;
  readonly reader: BlockReader;
  readonly bytes: BlockBytes;
}

export interface BrokenBlock {
  readonly ulid: string;
  readonly reason: string;
  /** Undefined when not even meta.json can be read: it may hold anything. */
  readonly meta: BlockMeta | undefined;
}

export class BlockSet {
  readonly #bucket: Bucket;
  readonly #folder: string;
  readonly #env: Env;
  readonly #ignoreMarksDelayMs: number;
  #blocks = new Map<string, ServedBlock>();
  #broken = new Map<string, BrokenBlock>();

  constructor(bucket: Bucket, folder: string, ignoreMarksDelayMs: number, env: Env) {
    this.#bucket = bucket;
    this.#folder = folder;
    this.#ignoreMarksDelayMs = ignoreMarksDelayMs;
    this.#env = env;
    mkdirSync(folder, { recursive: true });
  }

  get blocks(): Iterable<ServedBlock> {
    return this.#blocks.values();
  }

  get broken(): Iterable<BrokenBlock> {
    return this.#broken.values();
  }

  /** Brings the set up to the bucket's state. @throws UnavailableError when the bucket does not answer. */
  async sync(nowMs: number): Promise<void> {
    const present = new Set<string>();
    for await (const name of this.#bucket.iterate("")) {
      const ulid = name.replace(/\/$/, "");
      if (name.endsWith("/") && isUlid(ulid)) present.add(ulid);
    }
    const blocks = new Map<string, ServedBlock>();
    const broken = new Map<string, BrokenBlock>();
    for (const ulid of present) {
      if (await this.#isDeleted(ulid, nowMs)) continue;
      const known = this.#blocks.get(ulid);
      if (known !== undefined) {
        blocks.set(ulid, known);
        continue;
      }
      let meta: BlockMeta | undefined;
      try {
        meta = readMeta(Buffer.from(await this.#bucket.get(`${ulid}/meta.json`)).toString("utf8"), `${ulid}/meta.json`);
        blocks.set(ulid, await this.#open(meta));
        this.#env.log.info(
          { block: ulid, minTime: meta.minTime, maxTime: meta.maxTime, series: meta.stats?.numSeries },
          "block loaded",
        );
      } catch (error) {
        // Without meta.json an upload is under way, or was given up: no block yet.
        if (meta === undefined && error instanceof NotFoundError) continue;
        const reason = messageOf(error);
        if (this.#broken.get(ulid)?.reason !== reason)
          this.#env.log.error({ err: error, block: ulid }, "block cannot be served");
        broken.set(ulid, { ulid, reason, meta });
      }
    }
    for (const [ulid, block] of this.#blocks) {
      if (blocks.has(ulid)) continue;
      block.reader.close();
      rmSync(join(this.#folder, ulid), { recursive: true, force: true });
      this.#env.log.info({ block: ulid }, "block is gone from the bucket");
    }
    this.#blocks = blocks;
    this.#broken = broken;
  }

  async #isDeleted(ulid: string, nowMs: number): Promise<boolean> {
    const name = `${ulid}/deletion-mark.json`;
    if (!(await this.#bucket.exists(name))) return false;
    const mark = JSON.parse(Buffer.from(await this.#bucket.get(name)).toString("utf8")) as { deletion_time?: number };
    return nowMs - (mark.deletion_time ?? 0) * 1000 > this.#ignoreMarksDelayMs;
  }

  async #open(meta: BlockMeta): Promise<ServedBlock> {
    const bytes = bucketBytes(this.#bucket, meta);
    const header = await this.#header(meta.ulid, bytes);
    return {
      meta,
      labels: labelsFrom(Object.entries(meta.thanos?.labels ?? {})),
      reader: new BlockReader(meta, header, bytes),
      bytes,
    };
  }

  async #header(ulid: string, bytes: BlockBytes): Promise<IndexHeader> {
    const file = join(this.#folder, ulid, "index-header");
    try {
      return readIndexHeaderFile(readFileSync(file), file);
    } catch (error) {
      if (!(error instanceof CorruptionError) && codeOf(error) !== "ENOENT") throw error;
    }
    const built = await buildIndexHeaderFile(bytes.index, await bytes.indexSize(), `${ulid}/index`);
    mkdirSync(join(this.#folder, ulid), { recursive: true });
    writeFileAtomic(file, built);
    return readIndexHeaderFile(built, file);
  }

  close(): void {
    for (const { reader } of this.#blocks.values()) reader.close();
  }
}

/** A block's objects as bytes. */
function bucketBytes(bucket: Bucket, { ulid, thanos }: BlockMeta): BlockBytes {
  const hasExtras = thanos?.files?.some(({ rel_path }) => rel_path === EXTRAS_FILE) === true;
  const segmentName = (segment: number): string => `${ulid}/chunks/${String(segment + 1).padStart(6, "0")}`;
  return {
    name: ulid,
    indexSize: async () => (await bucket.attributes(`${ulid}/index`)).sizeBytes,
    index: (offset, length) => bucket.getRange(`${ulid}/index`, offset, length),
    chunks: (segment, offset, length) => bucket.getRange(segmentName(segment), offset, length),
    ...(hasExtras && { extras: (offset, length) => bucket.getRange(`${ulid}/${EXTRAS_FILE}`, offset, length) }),
    close: () => undefined,
  };
}
