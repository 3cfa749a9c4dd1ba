/**
 * The head: the newest samples of one tenant, in memory and in its log, until they are cut into a block.
 *
 *   append ─▶ open chunks (arena) ── full ─▶ chunks_head/ ── 2 h ─▶ block
 *      └────▶ log (wal/) ── truncated once the block is on disk
 *
 * One thread owns a head; its methods do not interleave within a request, so a reader never sees half of one.
 * Everything visible is in the log, or in the one commit that the disk refused and that blocks all others.
 * When to cut chunks and blocks follows prometheus/tsdb/head.go, so that equal samples give equal chunks.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { LimitError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { ENCODING } from "../chunk/encoding.ts";
import { BlockWriter, type WrittenBlock } from "../block/writer.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { NO_POSTINGS, type Postings } from "../index/postings.ts";
import { type PostingsSource, selectPostings } from "../index/select.ts";
import type { SeriesQuery } from "../select.ts";
import { FrameBuilder, type SeriesFrame } from "../series/frame.ts";
import { RECORD, writeSamples, writeSeries } from "../wal/records.ts";
import { WalWriter } from "../wal/writer.ts";
import { HeadChunkFiles, type HeadChunkRead, OUT_OF_ORDER_BIT } from "./chunk-files.ts";
import { KeyTable, writeKey } from "./key-table.ts";
import { replay } from "./replay.ts";
import { HeadSeries } from "./series.ts";
import { truncateWal } from "./truncate-wal.ts";

const SAMPLES_PER_CHUNK = 120;
const CHUNK_BYTES_CUT = 1005;
/** Frames of a head are large: the more series are read at once, the fewer reads (see HeadChunkFiles.readMany). */
const HEAD_FRAME_BYTES = 4 << 20;
const HEAD_FRAME_SERIES = 8192;

export interface HeadOptions {
  /** Width of a block, 2 h: chunks never cross its multiples. */
  readonly rangeMs: number;
  readonly seriesMax: number;
  /** Seeds the key hash. */
  readonly seed: number;
  /** Samples below it are in blocks already. */
  readonly minValidTime: number;
  readonly log: Logger;
}

export const OUTCOME = {
  STORED: 0,
  /** The same value again: accepted, nothing to store. */
  SAME: 1,
  /** Another value at the same time. */
  DUPLICATE: 2,
  OUT_OF_ORDER: 3,
  /** Older than what the head takes. */
  OUT_OF_BOUNDS: 4,
} as const;

export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

export interface HeadStats {
  readonly seriesCount: number;
  readonly labelPairCount: number;
  readonly chunkCount: number;
  readonly mint: number;
  readonly maxt: number;
}

export class Head implements PostingsSource {
  readonly #folder: string;
  readonly #options: HeadOptions;
  readonly #wal: WalWriter;
  readonly #chunkFiles: HeadChunkFiles;
  #series = new HeadSeries();
  #keys: KeyTable;
  #nextRef = 1;
  #mint = Infinity;
  #maxt = -Infinity;
  #minValidTime: number;
  #predicted: Uint32Array = new Uint32Array(1024);
  readonly #key = new ByteWriter(512);
  // The commit being made.
  readonly #seriesRecord = new ByteWriter(1 << 12);
  #batchRefs = new Float64Array(4096);
  #batchTimes = new Float64Array(4096);
  #batchWords = new Int32Array(8192);
  #batchCount = 0;
  readonly #record = new ByteWriter(1 << 14);
  readonly #chunkScratch = new Uint8Array(2048);

  private constructor(folder: string, options: HeadOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#minValidTime = options.minValidTime;
    this.#keys = new KeyTable(options.seed);
    this.#chunkFiles = new HeadChunkFiles(join(folder, "chunks_head"));
    this.#wal = new WalWriter(join(folder, "wal"));
  }

  /** Opens `folder` and replays what is there. Damage is logged by file and offset; the rest is kept. */
  static open(folder: string, options: HeadOptions): Head {
    const head = new Head(folder, options);
    head.#replay();
    return head;
  }

  #replay(): void {
    const { log } = this.#options;
    const startedAt = performance.now();
    const full = new Map<number, { mint: number; maxt: number; file: number; offset: number; length: number }[]>();
    const damaged = (what: string): void =>
      log.warn({ what }, "head chunks: damaged tail dropped; the log has its samples");
    for (const chunk of this.#chunkFiles.load(damaged)) {
      if (
        (chunk.encoding & OUT_OF_ORDER_BIT) !== 0 ||
        chunk.encoding !== ENCODING.XOR ||
        chunk.maxt < this.#minValidTime
      )
        continue;
      this.#nextRef = Math.max(this.#nextRef, chunk.ref + 1);
      const chunks = full.get(chunk.ref);
      if (chunks === undefined) full.set(chunk.ref, [chunk]);
      else if (chunks.at(-1)!.maxt < chunk.mint) chunks.push(chunk);
    }
    const slots = new Map<number, number>();
    const result = replay(join(this.#folder, "wal"), this.#wal.segment, log, {
      series: (ref, labels) => {
        const known = this.#find(labels);
        if (known >= 0) {
          slots.set(ref, known);
          return;
        }
        const slot = this.#add(ref, labels);
        slots.set(ref, slot);
        this.#nextRef = Math.max(this.#nextRef, ref + 1);
        for (const chunk of full.get(ref) ?? []) {
          this.#series.addFull(slot, chunk);
          this.#series.setLastTime(slot, chunk.maxt);
          this.#mint = Math.min(this.#mint, chunk.mint);
          this.#maxt = Math.max(this.#maxt, chunk.maxt);
        }
      },
      sample: (ref, time, low, high) => {
        const slot = slots.get(ref);
        if (slot === undefined) {
          // A series that a truncation dropped: its ref must not be given out again.
          this.#nextRef = Math.max(this.#nextRef, ref + 1);
          return false;
        }
        if (time < this.#minValidTime || time <= this.#series.lastTime(slot)) return true;
        this.#appendInOrder(slot, time, low, high);
        return true;
      },
    });
    if (this.#series.count > 0) {
      log.info(
        { series: this.#series.count, samples: result.samples, tookMs: Math.round(performance.now() - startedAt) },
        "log replayed",
      );
    }
  }

  // ---- writing

  /** To be called before a request is applied. @throws UnavailableError while the disk refuses an earlier commit. */
  begin(): void {
    this.#wal.prepare();
  }

  /**
   * The slot of the series whose key is `bytes[from, to)`, or -1. `predicted` is the slot looked up before it: senders
   * repeat their order, so the series that followed it last time is tried first, 50 ns instead of 180.
   */
  lookup(bytes: Buffer, view: DataView, from: number, to: number, predicted: number): number {
    const guess = predicted >= 0 ? this.#predicted[predicted]! - 1 : -1;
    if (guess >= 0 && this.#keys.is(guess, bytes, from, to)) return guess;
    const slot = this.#keys.find(bytes, from, to, this.#keys.hashOf(view, from, to));
    if (slot >= 0 && predicted >= 0) this.#predicted[predicted] = slot + 1;
    return slot;
  }

  /**
   * The slot of a label set, made when it is new. `labels` are sorted, valid and without empty values: the caller
   * has checked.
   *
   * @throws LimitError when the head holds as many series as it may.
   */
  getOrCreate(labels: Labels): number {
    const known = this.#find(labels);
    if (known >= 0) return known;
    if (this.#series.count >= this.#options.seriesMax) {
      throw new LimitError(
        `the tenant has ${this.#options.seriesMax} series in memory, the most that --receive.series-limit allows; drop labels at the sender or raise the limit`,
      );
    }
    const ref = this.#nextRef++;
    const slot = this.#add(ref, labels);
    if (this.#seriesRecord.length === 0) this.#seriesRecord.u8(RECORD.SERIES);
    writeSeries(this.#seriesRecord, ref, labels);
    return slot;
  }

  #find(labels: Labels): number {
    this.#key.clear();
    writeKey(this.#key, labels);
    const key = Buffer.from(this.#key.bytes.buffer, 0, this.#key.length);
    return this.#keys.find(key, 0, key.length, this.#keys.hashOf(new DataView(this.#key.bytes.buffer), 0, key.length));
  }

  /** Leaves the key of `labels` as `#find` made it. */
  #add(ref: number, labels: Labels): number {
    const slot = this.#series.add(ref, labels);
    this.#keys.add(
      this.#key.bytes,
      0,
      this.#key.length,
      this.#keys.hashOf(new DataView(this.#key.bytes.buffer), 0, this.#key.length),
    );
    if (slot >= this.#predicted.length) {
      const larger = new Uint32Array(this.#predicted.length * 2);
      larger.set(this.#predicted);
      this.#predicted = larger;
    }
    return slot;
  }

  /** Appends a sample; it is in the log after `commit`. */
  append(slot: number, time: number, low: number, high: number): Outcome {
    const last = this.#series.lastTime(slot);
    if (time <= last) {
      if (time < last) return time < this.lowestTime ? OUTCOME.OUT_OF_BOUNDS : OUTCOME.OUT_OF_ORDER;
      if (time < this.lowestTime) return OUTCOME.OUT_OF_BOUNDS;
      return this.#series.lastValueIs(slot, low, high) ? OUTCOME.SAME : OUTCOME.DUPLICATE;
    }
    if (time < this.lowestTime) return OUTCOME.OUT_OF_BOUNDS;
    this.#appendInOrder(slot, time, low, high);
    if (this.#batchCount === this.#batchRefs.length) this.#growBatch();
    const i = this.#batchCount++;
    this.#batchRefs[i] = this.#series.refs[slot]!;
    this.#batchTimes[i] = time;
    this.#batchWords[2 * i] = low;
    this.#batchWords[2 * i + 1] = high;
    return OUTCOME.STORED;
  }

  /** Oldest time that is taken: half a block behind the newest sample, and nothing that a block holds already. */
  get lowestTime(): number {
    return Math.max(this.#minValidTime, this.#maxt - this.#options.rangeMs / 2);
  }

  #appendInOrder(slot: number, time: number, low: number, high: number): void {
    const series = this.#series;
    const range = this.#options.rangeMs;
    if (!series.hasOpenChunk(slot)) series.open(slot, time, rangeEnd(time, range));
    else {
      const count = series.openCount(slot);
      let cut = series.openBytes(slot) > CHUNK_BYTES_CUT;
      if (!cut) {
        if (count === SAMPLES_PER_CHUNK / 4) {
          series.setNextAt(slot, chunkEndTime(series.openMint(slot), series.lastTime(slot), series.nextAt(slot)));
        }
        cut = time >= series.nextAt(slot) || count >= 2 * SAMPLES_PER_CHUNK;
      }
      if (cut) {
        this.#closeChunk(slot);
        series.open(slot, time, rangeEnd(time, range));
      }
    }
    series.append(slot, time, low, high);
    if (time < this.#mint) this.#mint = time;
    if (time > this.#maxt) this.#maxt = time;
  }

  #closeChunk(slot: number): void {
    const series = this.#series;
    const length = series.copyOpen(slot, this.#chunkScratch, 0);
    const mint = series.openMint(slot);
    const maxt = series.lastTime(slot);
    const at = this.#chunkFiles.add(
      series.refs[slot]!,
      mint,
      maxt,
      ENCODING.XOR,
      this.#chunkScratch.subarray(0, length),
    );
    series.addFull(slot, { mint, maxt, file: at.file, offset: at.offset, length });
    series.close(slot);
  }

  /** Whether a sample of this series is in the commit being made; for rare paths, it looks through the commit. */
  isInCommit(slot: number): boolean {
    const ref = this.#series.refs[slot]!;
    return this.#batchRefs.subarray(0, this.#batchCount).lastIndexOf(ref) >= 0;
  }

  labels(slot: number): Labels {
    return this.#series.labels(slot);
  }

  lastValue(slot: number): number {
    return this.#series.lastValue(slot);
  }

  #growBatch(): void {
    const capacity = this.#batchRefs.length * 2;
    const refs = new Float64Array(capacity);
    const times = new Float64Array(capacity);
    const words = new Int32Array(2 * capacity);
    refs.set(this.#batchRefs);
    times.set(this.#batchTimes);
    words.set(this.#batchWords);
    this.#batchRefs = refs;
    this.#batchTimes = times;
    this.#batchWords = words;
  }

  /**
   * Hands what was appended since `begin` to the kernel. Await `durable` before acknowledging.
   *
   * @throws UnavailableError when the disk refuses; the samples are kept and logged before anything else is taken.
   */
  commit(): void {
    if (this.#seriesRecord.length > 0) {
      this.#wal.add(this.#seriesRecord.bytes);
      this.#seriesRecord.clear();
    }
    if (this.#batchCount > 0) {
      this.#record.clear();
      const batch = {
        refs: this.#batchRefs,
        times: this.#batchTimes,
        words: this.#batchWords,
        count: this.#batchCount,
      };
      writeSamples(this.#record, batch, 0, this.#batchCount);
      this.#wal.add(this.#record.bytes);
      this.#batchCount = 0;
    }
    this.#wal.flush();
    this.#chunkFiles.flushIfLarge();
  }

  /** Resolves when all commits so far are on the disk. */
  durable(): Promise<void> {
    return this.#wal.sync();
  }

  /** Why nothing can be written now, or undefined. Tries again what the disk refused. */
  trouble(): string | undefined {
    if (this.#wal.trouble === undefined) return undefined;
    try {
      this.#wal.flush();
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  }

  get wal(): WalWriter {
    return this.#wal;
  }

  // ---- reading

  get stats(): HeadStats {
    let open = 0;
    for (let slot = 0; slot < this.#series.count; slot++) if (this.#series.hasOpenChunk(slot)) open++;
    return {
      seriesCount: this.#series.count,
      labelPairCount: this.#series.postings.pairCount,
      chunkCount: open + this.#series.fullCount,
      mint: this.#mint,
      maxt: this.#maxt,
    };
  }

  get seriesCount(): number {
    return this.#series.count;
  }

  get mint(): number {
    return this.#mint;
  }

  get maxt(): number {
    return this.#maxt;
  }

  get bytes(): number {
    return this.#series.bytes + this.#keys.bytes;
  }

  all(): Postings {
    return Uint32Array.from({ length: this.#series.count }, (_, i) => i);
  }

  of(name: string, value: string): Postings {
    const nameId = this.#series.symbols.find(name);
    const valueId = this.#series.symbols.find(value);
    return nameId === undefined || valueId === undefined ? NO_POSTINGS : this.#series.postings.of(nameId, valueId);
  }

  ofValues(name: string, values: readonly string[]): Postings[] {
    return values.map((value) => this.of(name, value));
  }

  values(name: string): string[] {
    const nameId = this.#series.symbols.find(name);
    if (nameId === undefined) return [];
    return this.#series.postings.valueIds(nameId).map((id) => this.#series.symbols.text(id));
  }

  /** In any order. */
  labelNames(): string[] {
    return Array.from(this.#series.postings.nameIds(), (id) => this.#series.symbols.text(id));
  }

  /** The matching series as frames, ascending by labels. */
  async *frames(query: SeriesQuery, signal: AbortSignal): AsyncGenerator<SeriesFrame> {
    // Readers stay on the state they began with, so that a truncation does not move slots under them.
    const series = this.#series;
    const slots = sortByLabels(series, await selectPostings(this, query.matchers));
    if (series !== this.#series) {
      yield* this.frames(query, signal);
      return;
    }
    const slices = new Slices(10, signal);
    const builder = new FrameBuilder();
    const streamIds = new Int32Array(series.symbols.count).fill(-1);
    const idOf = (symbol: number): number => {
      let id = symbol < streamIds.length ? streamIds[symbol]! : -1;
      if (id < 0) {
        id = builder.symbolId(series.symbols.text(symbol));
        if (symbol < streamIds.length) streamIds[symbol] = id;
      }
      return id;
    };
    let sent = 0;
    const reads: HeadChunkRead[] = [];
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (!this.#addChunks(series, slot, query, builder, reads)) continue;
      const ids = series.labelIds(slot);
      for (let k = 0; k < ids.length; k += 2) builder.label(idOf(ids[k]!), idOf(ids[k + 1]!));
      builder.endSeries();
      if (++sent === query.limit) break;
      // The first frame is small, so that the other side has work while the next is read.
      const most = sent < HEAD_FRAME_SERIES ? HEAD_FRAME_SERIES / 8 : HEAD_FRAME_SERIES / 2;
      if (builder.dataBytes >= HEAD_FRAME_BYTES || builder.seriesCount >= most) {
        this.#chunkFiles.readMany(reads.splice(0), builder.bytes);
        yield builder.take();
        if (slices.due) await slices.breathe();
      }
    }
    this.#chunkFiles.readMany(reads, builder.bytes);
    if (builder.seriesCount > 0) yield builder.take();
  }

  /** Adds the chunks of a series in range; false when there are none, and nothing was added. */
  #addChunks(
    series: HeadSeries,
    slot: number,
    query: SeriesQuery,
    builder: FrameBuilder,
    reads: HeadChunkRead[],
  ): boolean {
    const { mint, maxt } = query;
    const full = series.fullChunks(slot, mint, maxt);
    const open = series.hasOpenChunk(slot) && series.lastTime(slot) >= mint && series.openMint(slot) <= maxt;
    if (full.length === 0 && !open) return false;
    if (query.skipChunks) return true;
    for (const chunk of full) {
      const at = builder.reserveChunk(chunk.mint, chunk.maxt, ENCODING.XOR, chunk.length);
      reads.push({ file: chunk.file, offset: chunk.offset, length: chunk.length, at });
    }
    if (open) {
      const length = series.openBytes(slot);
      const at = builder.reserveChunk(series.openMint(slot), series.lastTime(slot), ENCODING.XOR, length);
      series.copyOpen(slot, builder.bytes, at);
    }
    return true;
  }

  // ---- cutting

  /**
   * Whether the oldest block's worth is complete: nothing older than its end is taken any more. For a head that begins
   * at a block's border that is Prometheus's rule, one and a half times the width; one that begins inside is cut sooner.
   */
  get isCuttable(): boolean {
    return this.#mint <= this.#maxt && this.#maxt - this.#options.rangeMs / 2 >= this.cutEnd;
  }

  /** The end of the block that `cutBlock` writes. */
  get cutEnd(): number {
    return rangeEnd(this.#mint, this.#options.rangeMs);
  }

  /**
   * Writes the oldest range into a block below `blocksFolder`, by slices, while appends go on: nothing that old is
   * taken any more. Call `truncate` with the block's maxTime once it is kept. Undefined when the range is empty.
   */
  async cutBlock(blocksFolder: string, ulid: string): Promise<WrittenBlock | undefined> {
    return this.#writeBlock(blocksFolder, ulid, this.#mint, this.cutEnd);
  }

  async #writeBlock(blocksFolder: string, ulid: string, mint: number, end: number): Promise<WrittenBlock | undefined> {
    const series = this.#series;
    const slices = new Slices(10);
    const slots = sortByLabels(series, this.all()).filter((slot) => hasChunksBefore(series, slot, end));
    if (slots.length === 0) return undefined;
    const used = new Uint8Array(series.symbols.count);
    for (const slot of slots) for (const id of series.labelIds(slot)) used[id] = 1;
    const ordinals = new Uint32Array(used.length);
    // Prometheus's heads always have "", the name of the list of all series.
    const symbols: string[] = [""];
    for (const id of series.symbols.sorted()) {
      if (used[id] !== 1) continue;
      ordinals[id] = symbols.length;
      symbols.push(series.symbols.text(id));
    }
    const writer = new BlockWriter(join(blocksFolder, ulid), symbols);
    try {
      for (const slot of slots) {
        writer.addSeries(
          series.labelIds(slot).map((id) => ordinals[id]!),
          this.#chunksBefore(series, slot, end),
        );
        if (slices.due) await slices.breathe();
      }
      return writer.finish({ ulid, minTime: mint, maxTime: end, compaction: { level: 1, sources: [ulid] } });
    } catch (error) {
      writer.abandon();
      throw error;
    }
  }

  #chunksBefore(series: HeadSeries, slot: number, end: number): Chunk[] {
    const chunks: Chunk[] = series.fullChunks(slot, -Infinity, end - 1).map((chunk) => {
      const data = new Uint8Array(chunk.length);
      this.#chunkFiles.read(chunk.file, chunk.offset, chunk.length, data, 0);
      return { mint: chunk.mint, maxt: chunk.maxt, encoding: ENCODING.XOR, data };
    });
    if (series.hasOpenChunk(slot) && series.openMint(slot) < end) {
      const data = new Uint8Array(series.openBytes(slot));
      series.copyOpen(slot, data, 0);
      chunks.push({ mint: series.openMint(slot), maxt: series.lastTime(slot), encoding: ENCODING.XOR, data });
    }
    return chunks;
  }

  /** Writes everything left into blocks of aligned ranges, oldest first, for a shutdown that keeps nothing here. */
  async cutAll(
    blocksFolder: string,
    nextUlid: () => string,
    onBlock: (block: WrittenBlock) => Promise<void>,
  ): Promise<void> {
    while (this.#mint <= this.#maxt) {
      const end = rangeEnd(this.#mint, this.#options.rangeMs);
      const block = await this.#writeBlock(blocksFolder, nextUlid(), this.#mint, end);
      if (block !== undefined) await onBlock(block);
      await this.truncate(end);
    }
  }

  /**
   * Forgets samples before `time`, series that then have none, head chunk files and log segments no longer needed.
   * Synchronous in memory; the log is rewritten by slices.
   */
  async truncate(time: number): Promise<void> {
    this.#minValidTime = Math.max(this.#minValidTime, time);
    const old = this.#series;
    const kept = new HeadSeries();
    const keys = new KeyTable(this.#options.seed);
    let mint = Infinity;
    for (let slot = 0; slot < old.count; slot++) {
      if (old.lastTime(slot) < time) continue;
      const next = kept.adopt(old, slot, time);
      this.#key.clear();
      writeKey(this.#key, kept.labels(next));
      keys.add(
        this.#key.bytes,
        0,
        this.#key.length,
        keys.hashOf(new DataView(this.#key.bytes.buffer), 0, this.#key.length),
      );
      const first = kept.fullChunks(next, -Infinity, Infinity)[0]?.mint ?? kept.openMint(next);
      mint = Math.min(mint, Math.max(first, time));
    }
    this.#series = kept;
    this.#keys = keys;
    this.#predicted = new Uint32Array(Math.max(1024, kept.refs.length));
    this.#mint = mint;
    if (kept.count === 0) this.#maxt = -Infinity;
    this.#chunkFiles.truncate(time);
    const keptRefs = new Set<number>();
    for (let slot = 0; slot < kept.count; slot++) keptRefs.add(kept.refs[slot]!);
    await truncateWal(join(this.#folder, "wal"), this.#wal, time, (ref) => keptRefs.has(ref), this.#options.log);
  }

  async close(): Promise<void> {
    this.#chunkFiles.close();
    await this.#wal.close();
  }
}

function hasChunksBefore(series: HeadSeries, slot: number, end: number): boolean {
  if (series.hasOpenChunk(slot) && series.openMint(slot) < end) return true;
  return series.fullChunks(slot, -Infinity, end - 1).length > 0;
}

/** The end of the aligned range that holds `time`; Go's truncating division, for times before 1970. */
export function rangeEnd(time: number, width: number): number {
  return Math.trunc(time / width) * width + width;
}

/** Where to end a chunk so that the range is filled by chunks of equal length (prometheus/tsdb/head_append.go). */
function chunkEndTime(start: number, current: number, max: number): number {
  const n = (max - start) / ((current - start + 1) * 4);
  return n <= 1 ? max : Math.trunc(start + (max - start) / Math.floor(n));
}

function sortByLabels(series: HeadSeries, slots: Postings): Uint32Array {
  const ranks = series.symbols.ranks();
  return slots.slice().sort((a, b) => series.compare(a, b, ranks));
}
