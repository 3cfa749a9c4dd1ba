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
import type { LocalBlock } from "./tenant-store.ts";

export type ShippedBlock = Pick<LocalBlock, "path" | "meta">;

const STATE_FILE = "thanos.shipper.json";

export class Shipper {
  readonly #folder: string;
  readonly #bucket: Bucket;
  readonly #external: Labels;
  readonly #uploaded: Set<string>;
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

  /**
   * Uploads a block unless it is in the bucket, or the one is that it was rewritten from: that would put its samples
   * there twice.
   */
  async upload(block: ShippedBlock, nowMs: number): Promise<"sent" | "there" | "origin there"> {
    const { ulid } = block.meta;
    if (this.#uploaded.has(ulid)) return "there";
    this.#underWay = ulid;
    try {
      const isThere = await this.#hasAny([ulid]);
      const isOriginThere = !isThere && (await this.#hasAny(originsOf(block.meta)));
      if (!isThere && !isOriginThere) await this.#send(block, nowMs);
      this.#uploaded.add(ulid);
      this.#save();
      return isThere ? "there" : isOriginThere ? "origin there" : "sent";
    } finally {
      this.#underWay = undefined;
    }
  }

  async #hasAny(ulids: readonly string[]): Promise<boolean> {
    for (const ulid of ulids) if (await this.#bucket.exists(`${ulid}/meta.json`)) return true;
    return false;
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
