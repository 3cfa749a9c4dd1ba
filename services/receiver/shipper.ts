/**
 * Uploads blocks: chunks, index, exemplars and metadata, then meta.json, whose presence makes a block complete for every reader. What a
 * crash cut short is uploaded again; what is there is known from the bucket, `thanos.shipper.json` only spares the
 * question. Format: thanos/pkg/shipper, and which bucket it is about: of another bucket nothing is known, and blocks are
 * deleted from the disk once they are known to be in the bucket.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "#libs/kit/errors.ts";
import { type Labels, labelsToObject } from "#libs/model/labels.ts";
import type { Bucket } from "#libs/objstore/bucket.ts";
import { EXTRAS_FILE } from "#libs/tsdb/block/extras.ts";
import { type BlockMeta, formatMeta, type ThanosMeta } from "#libs/tsdb/block/meta.ts";
import { originsOf } from "#libs/tsdb/compact/plan.ts";
import { writeFileAtomic } from "#libs/tsdb/files.ts";
import type { LocalBlock } from "./local-blocks.ts";

export type ShippedBlock = Pick<LocalBlock, "path" | "meta">;

/** `origin there`: the bucket has what the block was written from without samples that were deleted. */
export type UploadOutcome = "sent" | "there" | "origin there" | "left out";

const STATE_FILE = "thanos.shipper.json";

export class Shipper {
  readonly #folder: string;
  readonly #bucket: Bucket;
  readonly #external: Labels;
  readonly #uploaded: Set<string>;
  /** Blocks not to be uploaded, of which the bucket was asked in vain. */
  readonly #unwanted = new Set<string>();
  #underWay: string | undefined;

  constructor(folder: string, bucket: Bucket, external: Labels) {
    this.#folder = folder;
    this.#bucket = bucket;
    this.#external = external;
    this.#uploaded = new Set(readState(join(folder, STATE_FILE), bucket.name));
  }

  isUploaded(ulid: string): boolean {
    return this.#uploaded.has(ulid);
  }

  /** Whether the bucket has the block or is about to: changes of it do not get there any more. */
  isSent(ulid: string): boolean {
    return this.#uploaded.has(ulid) || this.#underWay === ulid;
  }

  /** Notes that the bucket has what is in the block, which is not uploaded. */
  note(ulid: string): void {
    this.#uploaded.add(ulid);
    this.#save();
  }

  /**
   * Uploads a block unless the bucket has it, or has what it was made of: that would put its samples there twice.
   * Without `isWanted` the bucket is only asked.
   */
  async upload(block: ShippedBlock, nowMs: number, isWanted = true): Promise<UploadOutcome> {
    const { ulid } = block.meta;
    if (this.#uploaded.has(ulid)) return "there";
    if (!isWanted && this.#unwanted.has(ulid)) return "left out";
    this.#underWay = ulid;
    try {
      const outcome = await this.#outcomeFor(block.meta, isWanted);
      if (outcome === "sent") await this.#send(block, nowMs);
      if (outcome === "left out") this.#unwanted.add(ulid);
      else this.note(ulid);
      return outcome;
    } finally {
      this.#underWay = undefined;
    }
  }

  async #outcomeFor(meta: BlockMeta, isWanted: boolean): Promise<UploadOutcome> {
    if (await this.#isThere(meta.ulid)) return "there";
    const { level, sources, parents = [] } = meta.compaction;
    if (level === 1) {
      for (const ulid of originsOf(meta)) if (await this.#isThere(ulid)) return "origin there";
    } else if ((await this.#areThere(parents.map(({ ulid }) => ulid))) || (await this.#areThere(sources)))
      return "there";
    return isWanted ? "sent" : "left out";
  }

  async #areThere(ulids: readonly string[]): Promise<boolean> {
    for (const ulid of ulids) if (!(await this.#isThere(ulid))) return false;
    return ulids.length > 0;
  }

  #isThere(ulid: string): Promise<boolean> {
    return this.#bucket.exists(`${ulid}/meta.json`);
  }

  async #send(block: ShippedBlock, nowMs: number): Promise<void> {
    const { ulid } = block.meta;
    const segments = readdirSync(join(block.path, "chunks")).sort();
    for (const segment of segments)
      await this.#bucket.put(`${ulid}/chunks/${segment}`, { path: join(block.path, "chunks", segment) });
    await this.#bucket.put(`${ulid}/index`, { path: join(block.path, "index") });
    if (existsSync(join(block.path, EXTRAS_FILE)))
      await this.#bucket.put(`${ulid}/${EXTRAS_FILE}`, { path: join(block.path, EXTRAS_FILE) });
    await this.#bucket.put(`${ulid}/meta.json`, Buffer.from(formatMeta(this.#uploadMeta(block, segments, nowMs))));
  }

  #uploadMeta(block: ShippedBlock, segments: readonly string[], nowMs: number): BlockMeta {
    const sizeOf = (name: string): number => statSync(join(block.path, name)).size;
    const own = existsSync(join(block.path, EXTRAS_FILE)) ? [EXTRAS_FILE] : [];
    const thanos: ThanosMeta = {
      version: 1,
      labels: labelsToObject(this.#external),
      downsample: { resolution: 0 },
      source: "receive",
      segment_files: segments,
      files: [
        ...segments.map((segment) => ({ rel_path: `chunks/${segment}`, size_bytes: sizeOf(`chunks/${segment}`) })),
        ...["index", ...own].map((name) => ({ rel_path: name, size_bytes: sizeOf(name) })),
        { rel_path: "meta.json" },
      ],
      index_stats: {},
      upload_time: new Date(nowMs).toISOString(),
    };
    return { ...block.meta, thanos };
  }

  #save(): void {
    writeFileAtomic(
      join(this.#folder, STATE_FILE),
      `${JSON.stringify({ version: 1, uploaded: [...this.#uploaded], bucket: this.#bucket.name }, undefined, "\t")}\n`,
    );
  }

  /** Forgets blocks that are gone from the disk. */
  forget(present: ReadonlySet<string>): void {
    for (const ulid of this.#uploaded) if (!present.has(ulid)) this.#uploaded.delete(ulid);
  }
}

function readState(path: string, bucketName: string): string[] {
  try {
    const state = JSON.parse(readFileSync(path, "utf8")) as { uploaded?: unknown; bucket?: unknown };
    return Array.isArray(state.uploaded) && state.bucket === bucketName ? state.uploaded.map(String) : [];
  } catch (error) {
    // Missing or half-written: the bucket is asked instead.
    if (error instanceof SyntaxError || codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
