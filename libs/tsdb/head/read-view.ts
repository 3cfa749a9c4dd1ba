/**
 * What one reader sees of a head: its series as they were when the view was taken, whatever is appended, cut or
 * truncated while it reads. Records are copied (64 bytes a series); open XOR chunks are append-only, so the copy of
 * the record finds its prefix in the arena, which gives no block out again while it is held.
 */
import type { Interval } from "../block/cut-chunks.ts";
import { type Chunk, ENCODING } from "../chunk/encoding.ts";
import type { SeriesQuery } from "../select.ts";
import type { FrameBuilder } from "../series/frame.ts";
import { ChainReads } from "./arena.ts";
import { ChunkReads, type HeadChunkFiles } from "./chunk-files.ts";
import type { LateSeries, OutOfOrder } from "./out-of-order.ts";
import { mergeChunks } from "./merge-chunks.ts";
import type { FullChunk } from "./full-chunks.ts";
import type { HeadSeries } from "./series.ts";
import { SnapshotRecord } from "./series-record.ts";
import type { Tombstones } from "./tombstones.ts";

/** Takes the chunks of a view. */
export type ChunkSink = Pick<FrameBuilder, "reserveChunk" | "chunk" | "bytes">;

/** Takes the newest sample of a series in place of its chunks. */
export type OnNewest = (time: number, low: number, high: number, start: number) => void;

type ChunkQuery = Pick<SeriesQuery, "mint" | "maxt" | "skipChunks">;

const NONE: ReadonlyMap<number, never> = new Map<number, never>();
/** For as many chunks a view has room at first. */
const READS = 4096;

export class ReadView {
  readonly series: HeadSeries;
  readonly slots: Uint32Array;
  readonly #files: HeadChunkFiles;
  readonly #records: SnapshotRecord;
  /** By index into `slots`. */
  readonly #objects: ReadonlyMap<number, Chunk>;
  readonly #late: ReadonlyMap<number, LateSeries>;
  /** Of the full chunks of the series being added, newest first. */
  readonly #places: number[] = [];
  /** Of the chunks that were added, those not read yet. */
  readonly #fileReads: ChunkReads;
  readonly #openReads: ChainReads;
  readonly #tombstones: ReadonlyMap<number, readonly Interval[]>;

  /**
   * Takes the view, without late samples where `late` is undefined; `release` must follow. `newestTo`: `addChunks` is
   * called with it as `maxt` and with `onNewest`.
   */
  constructor(
    series: HeadSeries,
    slots: Uint32Array,
    files: HeadChunkFiles,
    late: OutOfOrder | undefined,
    tombstones: Tombstones,
    newestTo = -Infinity,
  ) {
    this.series = series;
    this.slots = slots;
    this.#files = files;
    const capacity = Math.min(READS, Math.max(1, slots.length));
    this.#fileReads = new ChunkReads(capacity);
    this.#openReads = new ChainReads(capacity);
    series.arena.hold();
    files.hold();
    this.#records = new SnapshotRecord(series.snapshot(slots));
    this.#tombstones = tombstones.byRef;
    this.#objects = NONE;
    this.#late = NONE;
    if (!series.hasObjects && (late?.count ?? 0) === 0) return;
    const objects = new Map<number, Chunk>();
    const lateOf = new Map<number, LateSeries>();
    this.#objects = objects;
    this.#late = lateOf;
    for (let i = 0; i < slots.length; i++) {
      const lateSeries = late?.of(series.refs[slots[i]!]!);
      if (lateSeries !== undefined) lateOf.set(i, lateSeries.clone());
      if (this.#records.hasObject(i) && !this.#isNewestKnown(i, newestTo)) objects.set(i, series.openChunk(slots[i]!)!);
    }
  }

  release(): void {
    this.series.arena.letGo();
    this.#files.letGo();
    this.#records.release();
  }

  /**
   * Adds the chunks of series `i` in range to `builder`, without overlap; their bytes may be left to `readSteps`. Where
   * the query wants the newest sample only and it is at hand, `onNewest` gets it.
   * @returns false when there are none, and nothing was added.
   */
  addChunks(i: number, query: ChunkQuery, builder: ChunkSink, onNewest?: OnNewest): boolean {
    const { mint, maxt, skipChunks } = query;
    // As Prometheus: a series is named as long as its open chunk is in range, even if all of it is deleted.
    if (skipChunks && this.#isOpenIn(i, mint, maxt)) return true;
    if (!this.#isPlain(i)) {
      const chunks = this.chunks(i, mint, maxt);
      if (chunks.length === 0) return false;
      if (!skipChunks)
        for (const { mint: from, maxt: to, encoding, data } of chunks)
          builder.chunk(from, to, encoding, data, 0, data.length);
      return true;
    }
    if (onNewest !== undefined && this.#isNewestKnown(i, maxt)) {
      const records = this.#records;
      if (records.lastTime(i) < mint) return false;
      onNewest(records.lastTime(i), records.lastLow(i), records.lastHigh(i), records.lastStart(i));
      return true;
    }
    const { full } = this.series;
    const places = this.#places;
    const fullCount = full.places(this.#records.fullList(i), mint, maxt, places);
    const open = this.#isOpenIn(i, mint, maxt);
    if (fullCount === 0 && !open) return false;
    if (skipChunks) return true;
    for (let n = fullCount - 1; n >= 0; n--) {
      const k = places[n]!;
      const length = full.length(k);
      const at = builder.reserveChunk(full.mint(k), full.maxt(k), full.encoding(k), length);
      this.#fileReads.add(full.file(k), full.offset(k), length, at);
    }
    if (!open) return true;
    const object = this.#objects.get(i);
    if (object !== undefined)
      builder.chunk(object.mint, object.maxt, object.encoding, object.data, 0, object.data.length);
    else {
      const at = builder.reserveChunk(
        this.#records.openMint(i),
        this.#records.lastTime(i),
        ENCODING.XOR,
        this.#records.openBytes(i),
      );
      this.#records.readXor(i, this.#openReads, at);
    }
    return true;
  }

  /** Whether series `i` has neither late nor deleted samples. */
  #isPlain(i: number): boolean {
    return !this.#late.has(i) && (this.#tombstones.size === 0 || !this.#tombstones.has(this.#refOf(i)));
  }

  /** Whether the newest sample of series `i` up to `maxt` is at hand without its chunks. */
  #isNewestKnown(i: number, maxt: number): boolean {
    return this.#records.hasFloats(i) && this.#records.lastTime(i) <= maxt && this.#isPlain(i);
  }

  /** Where the labels of series `i` are in the head's `ids`. */
  labelsAt(i: number): number {
    return this.#records.labels(i);
  }

  /** Whether bytes of chunks were left to `readSteps`. */
  get hasReads(): boolean {
    return this.#openReads.count > 0 || this.#fileReads.count > 0;
  }

  /** Reads the bytes of chunks that were added, into `target`, the builder's; by steps. */
  *readSteps(target: Uint8Array): Generator<void> {
    yield* this.series.arena.readSteps(this.#openReads, target);
    yield* this.#files.readSteps(this.#fileReads, target);
  }

  /** Chunks of series `i` that reach into [mint, maxt], ascending and without overlap, deletions applied. */
  chunks(i: number, mint: number, maxt: number): Chunk[] {
    const chunks = this.#full(i, mint, maxt).map((chunk) => this.#read(chunk));
    if (this.#isOpenIn(i, mint, maxt)) chunks.push(this.#objects.get(i) ?? this.#openXor(i));
    const late = this.#late.get(i);
    if (late !== undefined) {
      for (const chunk of late.chunks) if (chunk.maxt >= mint && chunk.mint <= maxt) chunks.push(this.#read(chunk));
      if (late.open !== undefined)
        for (const chunk of late.open.toChunks(Infinity))
          if (chunk.maxt >= mint && chunk.mint <= maxt) chunks.push(chunk);
    }
    const deleted = this.#tombstones.get(this.#refOf(i));
    if (late === undefined && deleted === undefined) return chunks;
    return mergeChunks(chunks, deleted ?? [], `head, series ${this.#refOf(i)}`);
  }

  #refOf(i: number): number {
    return this.series.refs[this.slots[i]!]!;
  }

  #full(i: number, mint: number, maxt: number): FullChunk[] {
    return this.series.full.overlapping(this.#records.fullList(i), mint, maxt);
  }

  #isOpenIn(i: number, mint: number, maxt: number): boolean {
    if (!this.#records.hasXor(i) && !this.#records.hasObject(i)) return false;
    return this.#records.lastTime(i) >= mint && this.#records.openMint(i) <= maxt;
  }

  #openXor(i: number): Chunk {
    const data = new Uint8Array(this.#records.openBytes(i));
    this.#records.copyXor(i, this.series.arena, data);
    return { mint: this.#records.openMint(i), maxt: this.#records.lastTime(i), encoding: ENCODING.XOR, data };
  }

  #read(chunk: FullChunk): Chunk {
    return readFullChunk(this.#files, chunk);
  }
}

export function readFullChunk(files: HeadChunkFiles, { mint, maxt, encoding, file, offset, length }: FullChunk): Chunk {
  const data = new Uint8Array(length);
  files.read(file, offset, length, data, 0);
  return { mint, maxt, encoding, data };
}
