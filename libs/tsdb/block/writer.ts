/**
 * Writes a block: segments of chunks and index v2, front to back, then meta.json and an empty tombstones file.
 *
 *   <dir>/<ULID>.tmp-for-creation/ ──fsync──▶ rename ──▶ <dir>/<ULID>/
 *
 * Series are streamed; `index/writer.ts` says what memory postings take. A block is complete or not there: what a
 * crash leaves has the temporary name and is removed at the next start.
 */
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "#libs/kit/assert.ts";
import { type Chunk, holdsFloats, sampleCount } from "../chunk/encoding.ts";
import type { Slices } from "#libs/kit/slices.ts";
import { FileWriter, syncFolder, writeFileAtomic } from "../files.ts";
import { PackedSymbols } from "../index/packed-symbols.ts";
import { IndexWriter } from "../index/writer.ts";
import { StoredChunk } from "./chunk-entry.ts";
import { EXTRAS_FILE } from "./extras.ts";
import { type BlockMeta, formatMeta, type ThanosMeta } from "./meta.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { NO_TOMBSTONES, writeTombstones } from "./tombstones.ts";

/** What only the caller knows of a block. */
export interface BlockIdentity {
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
  readonly compaction: BlockMeta["compaction"];
  readonly thanos?: ThanosMeta | undefined;
  /** The file of exemplars and metadata. */
  readonly extras?: Uint8Array | undefined;
}

export interface WrittenBlock {
  readonly meta: BlockMeta;
  readonly path: string;
  /** Largest series entry and largest chunk, for `thanos.index_stats`. */
  readonly seriesBytesMax: number;
  readonly chunkBytesMax: number;
}

/** Sizes that tests make small. */
export interface BlockWriterLimits {
  readonly segmentBytesMax?: number | undefined;
  readonly postingsMax?: number | undefined;
}

export class BlockWriter {
  readonly #path: string;
  readonly #temporary: string;
  readonly #indexFile: FileWriter;
  readonly #index: IndexWriter;
  readonly #segments: SegmentWriter;
  #refs = new Float64Array(64);
  #chunkCount = 0;
  #floatCount = 0;
  #histogramCount = 0;

  private constructor(path: string, symbols: PackedSymbols, limits: BlockWriterLimits) {
    this.#path = path;
    this.#temporary = `${path}.tmp-for-creation`;
    rmSync(this.#temporary, { recursive: true, force: true });
    mkdirSync(join(this.#temporary, "chunks"), { recursive: true });
    this.#indexFile = new FileWriter(join(this.#temporary, "index"));
    this.#index = new IndexWriter(this.#indexFile, symbols, limits.postingsMax);
    this.#segments = new SegmentWriter(join(this.#temporary, "chunks"), limits.segmentBytesMax);
  }

  /** `symbols`: every name and value that will be used, ascending in UTF-8 order, each once. */
  static open(path: string, symbols: readonly string[], limits: BlockWriterLimits = {}): BlockWriter {
    const writer = new BlockWriter(path, PackedSymbols.of(symbols), limits);
    run(writer.#index.symbolSteps());
    return writer;
  }

  /** `open` by slices. */
  static async openSliced(
    path: string,
    symbols: PackedSymbols,
    slices: Slices,
    limits: BlockWriterLimits = {},
  ): Promise<BlockWriter> {
    const writer = new BlockWriter(path, symbols, limits);
    try {
      await slices.run(writer.#index.symbolSteps());
    } catch (error) {
      writer.abandon();
      throw error;
    }
    return writer;
  }

  /** Where the block is until it is published. */
  get temporaryPath(): string {
    return this.#temporary;
  }

  get seriesCount(): number {
    return this.#index.seriesCount;
  }

  /**
   * Adds a series: `labels` are ordinals of symbols, name, value, …, in label order; series come in label order.
   * Chunks ascend and do not overlap. Their data is written as it is.
   */
  addSeries(labels: Uint32Array, chunks: readonly Chunk[]): void {
    if (chunks.length > this.#refs.length) this.#refs = new Float64Array(chunks.length * 2);
    this.#segments.write(chunks, this.#refs);
    this.#index.addSeries(labels, chunks, this.#refs);
    this.#chunkCount += chunks.length;
    for (const chunk of chunks) {
      const samples = chunk instanceof StoredChunk ? chunk.sampleCount : sampleCount(chunk.encoding, chunk.data, 0);
      if (holdsFloats(chunk.encoding)) this.#floatCount += samples;
      else this.#histogramCount += samples;
    }
  }

  /** Completes the block. A block without series is a caller's mistake: there is nothing to keep. */
  finish(identity: BlockIdentity): WrittenBlock {
    assert(this.seriesCount > 0, "a block without series");
    run(this.#index.finishSteps());
    return this.publish(this.#complete(identity));
  }

  /** `finish` by slices: neither the postings nor the disk hold up the event loop. */
  async finishSliced(identity: BlockIdentity, slices: Slices): Promise<WrittenBlock> {
    return this.publish(await this.completeSliced(identity, slices));
  }

  /** The first half of `finishSliced`: all is written, durably, in the temporary folder, where it can be verified. */
  async completeSliced(identity: BlockIdentity, slices: Slices): Promise<BlockMeta> {
    assert(this.seriesCount > 0, "a block without series");
    await slices.run(this.#index.finishSteps());
    await this.#segments.sync();
    await this.#indexFile.sync();
    return this.#complete(identity);
  }

  #complete({ ulid, minTime, maxTime, compaction, thanos, extras }: BlockIdentity): BlockMeta {
    this.#segments.close();
    this.#indexFile.close();
    writeTombstones(join(this.#temporary, "tombstones"), NO_TOMBSTONES);
    if (extras !== undefined) writeFileAtomic(join(this.#temporary, EXTRAS_FILE), extras);
    const meta: BlockMeta = {
      ulid,
      minTime,
      maxTime,
      stats: {
        numSamples: this.#floatCount + this.#histogramCount,
        ...(this.#floatCount > 0 && { numFloatSamples: this.#floatCount }),
        ...(this.#histogramCount > 0 && { numHistogramSamples: this.#histogramCount }),
        numSeries: this.seriesCount,
        numChunks: this.#chunkCount,
      },
      compaction,
      version: 1,
      ...(thanos !== undefined && { thanos }),
    };
    writeFileAtomic(join(this.#temporary, "meta.json"), formatMeta(meta));
    syncFolder(join(this.#temporary, "chunks"));
    syncFolder(this.#temporary);
    return meta;
  }

  /** The second half: gives the block its name. */
  publish(meta: BlockMeta): WrittenBlock {
    renameSync(this.#temporary, this.#path);
    syncFolder(dirname(this.#path));
    const { seriesBytesMax } = this.#index;
    return { meta, path: this.#path, seriesBytesMax, chunkBytesMax: this.#segments.entryBytesMax };
  }

  /** Removes what was written so far. */
  abandon(): void {
    this.#segments.abandon();
    this.#indexFile.abandon();
    rmSync(this.#temporary, { recursive: true, force: true });
  }
}

function run(steps: Generator<void>): void {
  while (steps.next().done !== true) continue;
}
