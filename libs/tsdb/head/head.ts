/**
 * The head: the newest samples of one tenant, in memory and in its logs, until they are cut into a block.
 *
 *   append ─┬▶ open chunks ── full ─▶ chunks_head/ ── 2 h ─▶ block
 *           ├▶ log (wal/) ── truncated once the block is on disk
 *           └▶ out of order: 32 samples a series ─▶ chunks_head/ ─▶ blocks of their own; log wbl/
 *
 * One thread owns a head; its methods do not interleave within a request, and a reader sees the head as it was when
 * it began: never half a request. Everything visible is in a log, or in the one commit that the disk refused and that
 * blocks all others.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { LimitError } from "#libs/kit/errors.ts";
import { mapped } from "#libs/kit/mapped.ts";
import { atOnce, Slices } from "#libs/kit/slices.ts";
import type { Histogram } from "#libs/model/histogram.ts";
import { type Labels, METRIC_NAME } from "#libs/model/labels.ts";
import type { Matcher } from "#libs/model/matcher.ts";
import { STALE_HI, STALE_LO } from "#libs/model/stale.ts";
import type { WrittenBlock } from "../block/writer.ts";
import { NO_POSTINGS, type Postings } from "../index/postings.ts";
import { type PostingsSource, selectPostings } from "../index/select.ts";
import type { SeriesQuery } from "../select.ts";
import type { SeriesFrame } from "../series/frame.ts";
import type { SeriesView } from "../series/view.ts";
import { METADATA_TYPES, type RefInterval, type RefMetadata } from "../wal/records.ts";
import { WalWriter } from "../wal/writer.ts";
import { rangeEnd } from "./chunk-end.ts";
import { entryOffset } from "./chunk-files.ts";
import { copyHead, cutLateChunks, cutRange, type LateChunks } from "./cut.ts";
import { countingFrom } from "./sort-sliced.ts";
import { type Exemplar, EXEMPLAR_OUTCOME, type ExemplarOutcome, type SeriesExemplars } from "./exemplars.ts";
import { headViews } from "./views.ts";
import { LogBatch } from "./log-batch.ts";
import { type MetadataEntry, type MetadataType, seriesNames } from "./metric-metadata.ts";
import { equalHistograms } from "./open-histogram.ts";
import { recoverSteps } from "./recover.ts";
import { RefSet } from "./ref-set.ts";
import { BEFORE_ALL, removeSnapshots, writeSnapshot } from "./snapshot.ts";
import { staleHistogramFor } from "./stale-histogram.ts";
import { type HeadOptions, HeadState } from "./state.ts";
import { truncateState } from "./truncate.ts";
import { touches } from "./tombstones.ts";
import { truncateWal } from "./truncate-wal.ts";

export const OUTCOME = {
  STORED: 0,
  /** The same value again: accepted, nothing to store. */
  SAME: 1,
  /** Another value at the same time. */
  DUPLICATE: 2,
  OUT_OF_ORDER: 3,
  /** Older than what the head takes. */
  OUT_OF_BOUNDS: 4,
  /** Older than the window for out-of-order samples. */
  TOO_OLD: 5,
  /** Late, and of a time that was deleted of its series: it could not be told from what was deleted. */
  DELETED: 6,
} as const;

export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** Out-of-order samples that are in blocks now. */
export interface LateCut {
  readonly chunks: LateChunks;
  /** Segments of their log below it are not needed any more. */
  readonly segment: number;
  readonly blocks: readonly WrittenBlock[];
}

export interface HeadStats {
  readonly seriesCount: number;
  readonly labelPairCount: number;
  readonly chunkCount: number;
  readonly mint: number;
  readonly maxt: number;
}

export class Head implements PostingsSource {
  readonly #state: HeadState;
  readonly #wal: WalWriter;
  /** The log of out-of-order samples, from the first one on. */
  #wbl: WalWriter | undefined;
  readonly #log: LogBatch;
  readonly #lateLog: LogBatch;
  readonly #pendingExemplars: [Labels, Exemplar][] = [];
  readonly #pins = new Set<Promise<void>>();
  #lateDirty = false;
  #markersDirty = false;
  #predicted: Uint32Array = new Uint32Array(1024);
  /** What the commit being made takes; see `begin`. */
  #lowest = -Infinity;
  #lowestLate = Infinity;

  private constructor(folder: string, options: HeadOptions) {
    this.#state = new HeadState(folder, options);
    this.#wal = new WalWriter(join(folder, "wal"), options.segmentBytes);
    if (existsSync(join(folder, "wbl"))) this.#lateWal();
    this.#log = new LogBatch((record) => this.#wal.add(record));
    this.#lateLog = new LogBatch((record) => this.#lateWal().add(record));
  }

  /** Opens `folder` and replays what is there. Damage is logged by file and offset; the rest is kept. */
  static open(folder: string, options: HeadOptions): Head {
    const head = new Head(folder, options);
    atOnce(head.#recoverSteps());
    return head;
  }

  /** The same by slices: that of a large head takes seconds. */
  static async openSliced(folder: string, options: HeadOptions): Promise<Head> {
    const head = new Head(folder, options);
    await new Slices(10).run(head.#recoverSteps());
    return head;
  }

  *#recoverSteps(): Generator<void> {
    yield* recoverSteps(this.#state, this.#wal.segment, this.#wbl?.segment ?? 0);
    this.#fitPredictions();
    this.#setBounds();
  }

  #lateWal(): WalWriter {
    this.#wbl ??= new WalWriter(join(this.#state.folder, "wbl"), this.#state.options.segmentBytes);
    return this.#wbl;
  }

  // ---- writing

  /** To be called before a request is applied. @throws UnavailableError while the disk refuses an earlier commit. */
  begin(): void {
    this.#wal.prepare();
    this.#wbl?.prepare();
    this.#setBounds();
  }

  /** One request is judged by what was there before it: its samples may come in any order. */
  #setBounds(): void {
    const { maxt, minValidTime, options } = this.#state;
    this.#lowest = Math.max(minValidTime, maxt - options.rangeMs / 2);
    const window = options.outOfOrderMs ?? 0;
    this.#lowestLate = window > 0 ? maxt - window : Infinity;
  }

  /**
   * The slot of the series whose key is `view[from, to)`, or -1. `predicted` is the slot looked up before it: senders
   * repeat their order, so the series that followed it last time is tried first, 50 ns instead of 180.
   */
  lookup(view: DataView, from: number, to: number, predicted: number): number {
    const { keys } = this.#state;
    const guess = predicted >= 0 ? this.#predicted[predicted]! - 1 : -1;
    if (guess >= 0 && keys.is(guess, view, from, to)) return guess;
    const slot = keys.find(view, from, to, keys.hashOf(view, from, to));
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
    const state = this.#state;
    const known = state.find(labels);
    if (known >= 0) return known;
    if (state.series.count >= state.options.seriesMax) {
      throw new LimitError(
        `the tenant has ${state.options.seriesMax} series in memory, the most that --receive.series-limit allows; drop labels at the sender or raise the limit`,
      );
    }
    const ref = state.nextRef;
    const slot = state.add(ref, labels);
    this.#fitPredictions();
    this.#log.series(ref, labels);
    return slot;
  }

  #fitPredictions(): void {
    if (this.#state.series.count <= this.#predicted.length) return;
    const larger = new Uint32Array(Math.max(this.#predicted.length * 2, this.#state.series.count));
    larger.set(this.#predicted);
    this.#predicted = larger;
  }

  /** Oldest time that the request being applied may have for a series that has no samples yet. */
  get lowestTime(): number {
    return Math.min(this.#lowest, this.#lowestLate);
  }

  /** Whether out-of-order samples are taken. */
  get takesLate(): boolean {
    return (this.#state.options.outOfOrderMs ?? 0) > 0;
  }

  /** Appends a float; it is in the log after `commit`. `start`: its start timestamp, 0 unknown. */
  append(slot: number, time: number, low: number, high: number, start = 0): Outcome {
    const { series } = this.#state;
    if (low === STALE_LO && high === STALE_HI) {
      const stale = staleHistogramFor(series.newestEncoding(slot));
      if (stale !== undefined) return this.appendHistogram(slot, time, stale, start);
    }
    const last = series.lastTime(slot);
    if (time >= this.#lowest) {
      if (time > last) {
        this.#state.appendFloat(slot, time, low, high, start);
        this.#log.float(series.refs[slot]!, time, low, high, start);
        return OUTCOME.STORED;
      }
      if (time === last) {
        const same = series.histogram(slot) === undefined && series.lastValueIs(slot, low, high);
        return same ? OUTCOME.SAME : OUTCOME.DUPLICATE;
      }
    }
    const outcome = this.#insertLate(slot, time, low, high, undefined, start);
    if (outcome === OUTCOME.STORED) this.#lateLog.float(series.refs[slot]!, time, low, high, start);
    return outcome;
  }

  /** Appends a histogram that was validated and is not changed any more; it is in the log after `commit`. */
  appendHistogram(slot: number, time: number, histogram: Histogram, start = 0): Outcome {
    const { series } = this.#state;
    const last = series.lastTime(slot);
    if (time >= this.#lowest) {
      if (time > last) {
        this.#state.appendHistogram(slot, time, histogram, start);
        this.#log.histogram(series.refs[slot]!, time, histogram, start);
        return OUTCOME.STORED;
      }
      if (time === last) {
        const stored = series.histogram(slot)?.last;
        return stored !== undefined && equalHistograms(stored, histogram) ? OUTCOME.SAME : OUTCOME.DUPLICATE;
      }
    }
    const outcome = this.#insertLate(slot, time, 0, 0, histogram, start);
    if (outcome === OUTCOME.STORED) this.#lateLog.histogram(series.refs[slot]!, time, histogram, start);
    return outcome;
  }

  #insertLate(
    slot: number,
    time: number,
    low: number,
    high: number,
    histogram: Histogram | undefined,
    start: number,
  ): Outcome {
    if (!(time >= this.#lowestLate)) {
      if (this.#lowestLate !== Infinity) return OUTCOME.TOO_OLD;
      return time < this.#lowest ? OUTCOME.OUT_OF_BOUNDS : OUTCOME.OUT_OF_ORDER;
    }
    const { late, series, tombstones } = this.#state;
    const ref = series.refs[slot]!;
    if (touches(tombstones.byRef.get(ref) ?? [], time, time)) return OUTCOME.DELETED;
    if (late.isFull(ref)) this.#packLate(ref);
    this.#lateDirty = true;
    return late.insert(ref, time, low, high, histogram, start) ? OUTCOME.STORED : OUTCOME.SAME;
  }

  /** Moves a series' out-of-order samples to the chunk files; a marker in their log says so. */
  #packLate(ref: number): void {
    const packed = this.#state.packLate(ref);
    if (packed.length === 0) return;
    this.#lateLog.markers(packed.map((chunk) => ({ ref, file: chunk.file, offset: entryOffset(chunk) })));
    this.#markersDirty = true;
  }

  /** Takes an exemplar as it is judged before the commit; it can be seen and is in the log after it. */
  appendExemplar(slot: number, exemplar: Exemplar): ExemplarOutcome {
    const { exemplars, series } = this.#state;
    if (!exemplars.enabled) return EXEMPLAR_OUTCOME.DISABLED;
    const labels = series.labels(slot);
    const outcome = exemplars.check(labels, exemplar);
    if (outcome === EXEMPLAR_OUTCOME.STORED) {
      this.#pendingExemplars.push([labels, exemplar]);
      this.#log.exemplar({ ref: series.refs[slot]!, ...exemplar });
    }
    return outcome;
  }

  /** Exemplars of series that one of the lists of matchers selects, in [mint, maxt], by labels. */
  exemplars(matchers: readonly (readonly Matcher[])[], mint: number, maxt: number): SeriesExemplars[] {
    return this.#state.exemplars.select(matchers, mint, maxt);
  }

  /** Keeps what a family of metrics is said to be; logged when there is a series of it. */
  setMetadata(family: string, entry: MetadataEntry): void {
    if (!this.#state.metadata.set(family, entry)) return;
    const ref = this.#refOfFamily(family, entry.type);
    if (ref !== undefined) this.#log.metadata({ ref, ...entry, type: METADATA_TYPES.indexOf(entry.type) });
  }

  #refOfFamily(family: string, type: MetadataType): number | undefined {
    for (const name of seriesNames(family, type)) {
      const slot = this.of(METRIC_NAME, name)[0];
      if (slot !== undefined) return this.#state.series.refs[slot]!;
    }
    return undefined;
  }

  /** What families of metrics are said to be. */
  metadata(): Iterable<readonly [family: string, MetadataEntry]> {
    return this.#state.metadata.entries();
  }

  /** Whether a sample of this series is in the commit being made; for rare paths, it looks through the commit. */
  isInCommit(slot: number): boolean {
    return this.#log.has(this.#state.series.refs[slot]!);
  }

  labels(slot: number): Labels {
    return this.#state.series.labels(slot);
  }

  /** The last float; undefined when the last sample is a histogram. */
  lastValue(slot: number): number | undefined {
    const { series } = this.#state;
    return series.histogram(slot) === undefined ? series.lastValue(slot) : undefined;
  }

  /**
   * Hands what was appended since `begin` to the kernel. Await `durable` before acknowledging.
   *
   * @throws UnavailableError when the disk refuses; the samples are kept and logged before anything else is taken.
   */
  commit(): void {
    this.#log.end();
    this.#lateLog.end();
    for (const [labels, exemplar] of this.#pendingExemplars.splice(0)) this.#state.exemplars.add(labels, exemplar);
    // Series first: the other log refers to them.
    this.#wal.flush();
    if (this.#markersDirty) {
      // A marker must not name a chunk that a kill can take back.
      this.#state.files.flush();
      this.#markersDirty = false;
    }
    this.#wbl?.flush();
    this.#state.files.flushIfLarge();
  }

  /** Resolves when all commits so far are on the disk. */
  async durable(): Promise<void> {
    const syncs = [this.#wal.sync()];
    if (this.#lateDirty && this.#wbl !== undefined) {
      this.#lateDirty = false;
      syncs.push(this.#wbl.sync());
    }
    await Promise.all(syncs);
  }

  /** Why nothing can be written now, or undefined. Tries again what the disk refused. */
  trouble(): string | undefined {
    try {
      for (const log of [this.#wal, this.#wbl]) if (log?.trouble !== undefined) log.flush();
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
    const { series, mint, maxt } = this.#state;
    let open = 0;
    for (let slot = 0; slot < series.count; slot++) if (series.hasOpenChunk(slot)) open++;
    return {
      seriesCount: series.count,
      labelPairCount: series.postings.pairCount,
      chunkCount: open + series.full.count,
      mint,
      maxt,
    };
  }

  get seriesCount(): number {
    return this.#state.series.count;
  }

  get mint(): number {
    return Math.min(this.#state.mint, this.#state.late.mint);
  }

  get maxt(): number {
    return Math.max(this.#state.maxt, this.#state.late.maxt);
  }

  get bytes(): number {
    return this.#state.series.bytes + this.#state.keys.bytes;
  }

  all(): Postings {
    return countingFrom(0, this.#state.series.count);
  }

  of(name: string, value: string): Postings {
    const { symbols, postings } = this.#state.series;
    const nameId = symbols.find(name);
    const valueId = symbols.find(value);
    return nameId === undefined || valueId === undefined ? NO_POSTINGS : postings.of(nameId, valueId);
  }

  ofValues(name: string, values: readonly string[]): Postings[] {
    return values.map((value) => this.of(name, value));
  }

  values(name: string): string[] {
    const { symbols, postings } = this.#state.series;
    const nameId = symbols.find(name);
    return nameId === undefined ? [] : postings.valueIds(nameId).map((id) => symbols.text(id));
  }

  /** Values of a label that series have which the matchers select, whenever their samples are, as Prometheus has it. */
  async valuesOf(name: string, matchers: readonly Matcher[]): Promise<string[]> {
    const slots = await selectPostings(this, matchers);
    const { series } = this.#state;
    const nameId = series.symbols.find(name);
    return nameId === undefined ? [] : series.valueIds(nameId, slots).map((id) => series.symbols.text(id));
  }

  /** In any order. */
  labelNames(): string[] {
    const { symbols, postings } = this.#state.series;
    return Array.from(postings.nameIds(), (id) => symbols.text(id));
  }

  hasLabel(name: string): boolean {
    const { symbols, postings } = this.#state.series;
    const nameId = symbols.find(name);
    return nameId !== undefined && postings.hasName(nameId);
  }

  /** The matching series, ascending by labels; chunks of a series do not overlap. */
  views(query: SeriesQuery, signal: AbortSignal): AsyncIterableIterator<SeriesView> {
    return headViews(this.#state, this, query, signal);
  }

  /** The same as frames. */
  frames(query: SeriesQuery, signal: AbortSignal): AsyncIterableIterator<SeriesFrame> {
    return mapped(this.views(query, signal), (view) => view.toFrame());
  }

  // ---- cutting

  /**
   * Whether the oldest block's worth is complete: nothing older than its end is taken any more. For a head that begins
   * at a block's border that is Prometheus's rule, one and a half times the width; one that begins inside is cut sooner.
   */
  get isCuttable(): boolean {
    const { mint, maxt, options } = this.#state;
    return mint <= maxt && maxt - options.rangeMs / 2 >= this.cutEnd;
  }

  /** The end of the block that `cutBlock` writes. */
  get cutEnd(): number {
    return rangeEnd(this.#state.mint, this.#state.options.rangeMs);
  }

  /**
   * Writes the oldest range into a block below `blocksFolder`, by slices, while appends go on: nothing that old is
   * taken any more. Call `truncate` with the block's maxTime once it is kept. Undefined when the range is empty.
   */
  async cutBlock(blocksFolder: string, ulid: string): Promise<WrittenBlock | undefined> {
    return cutRange(this.#state, blocksFolder, ulid, this.#state.mint, this.cutEnd);
  }

  /** Writes all samples into a block below `blocksFolder` and keeps them. Not while it is truncated. */
  async copyTo(blocksFolder: string, ulid: string): Promise<WrittenBlock | undefined> {
    return copyHead(this.#state, blocksFolder, ulid);
  }

  /** Whether there are out-of-order samples to cut. */
  get hasLate(): boolean {
    return this.#state.late.count > 0;
  }

  /** Whether some of them are in [mint, maxt] and older than what else the head takes. */
  hasLateOfBlocks(mint: number, maxt: number): boolean {
    const { late, minValidTime } = this.#state;
    return this.hasLate && late.maxt >= mint && late.mint <= maxt && late.mint < minValidTime;
  }

  /**
   * Writes the out-of-order samples into blocks of aligned ranges, which may overlap others, by slices. Call `dropLate`
   * once they are kept.
   */
  async cutLate(blocksFolder: string, nextUlid: () => string): Promise<LateCut> {
    const { late } = this.#state;
    const slices = new Slices(10);
    for (const ref of late.refs()) {
      this.#packLate(ref);
      if (!slices.due) continue;
      this.commit();
      await slices.breathe();
    }
    // What came meanwhile goes along, so that everything before the new segment is in chunks.
    for (const ref of late.refs()) this.#packLate(ref);
    this.commit();
    this.#wbl?.cut();
    const chunks = new Map(late.refs().map((ref) => [ref, late.of(ref)!.chunks]));
    const segment = this.#wbl?.segment ?? 0;
    return { chunks, segment, blocks: await cutLateChunks(this.#state, chunks, blocksFolder, nextUlid) };
  }

  /** Forgets what `cutLate` has written. */
  async dropLate({ chunks, segment }: LateCut): Promise<void> {
    await this.#unpinned();
    // The log first: a marker must not outlive its chunk.
    await this.#wbl?.removeBefore(segment);
    for (const [ref, cut] of chunks) {
      this.#state.late.drop(ref, new Set(cut));
      for (const chunk of cut) this.#state.files.dropLate(chunk);
    }
  }

  /**
   * Until the returned function is called, nothing is forgotten: for who has looked which blocks there are and is about
   * to read. A reader that has its first frame needs it no more.
   */
  pin(): () => void {
    let unpin = (): void => undefined;
    const pin = new Promise<void>((resolve) => (unpin = resolve));
    this.#pins.add(pin);
    return () => {
      this.#pins.delete(pin);
      unpin();
    };
  }

  /** Resolves when the pins of now are gone; who pins later knows of the new blocks. */
  async #unpinned(): Promise<void> {
    await Promise.all(this.#pins);
  }

  /**
   * Forgets samples before `time`, series that then have none, head chunk files and log segments no longer needed,
   * by slices. The next start may find samples from `openedAt` on again, its `minValidTime`: what was deleted of them
   * stays so. It is earlier than `time` where all was deleted and there is no block up to there.
   */
  async truncate(time: number, openedAt = time): Promise<void> {
    const state = this.#state;
    await this.#unpinned();
    const deletedFrom = Math.min(time, openedAt);
    await truncateState(state, time, deletedFrom);
    this.#predicted = new Uint32Array(Math.max(1024, state.series.refs.length));
    const live = new RefSet(state.nextRef);
    for (let slot = 0; slot < state.series.count; slot++) live.add(state.series.refs[slot]!);
    // A series that came back has other refs in the log than its own.
    for (const [alias, ref] of state.aliases) {
      if (live.has(ref)) live.add(alias);
      else state.aliases.delete(alias);
    }
    const isLive = (ref: number): boolean => live.has(ref);
    const needed = { mint: time, deletedFrom, isLive, metadata: this.#liveMetadata() };
    removeSnapshots(state.folder);
    await truncateWal(join(state.folder, "wal"), this.#wal, needed, state.options.log);
  }

  /** Deletes samples in [mint, maxt] of the matching series. @returns how many series have any. Await `durable` then. */
  async deleteSeries(matchers: readonly Matcher[], mint: number, maxt: number): Promise<number> {
    const slots = await selectPostings(this, matchers);
    const { series, late, tombstones } = this.#state;
    const deleted: RefInterval[] = [];
    for (const slot of slots) {
      const ref = series.refs[slot]!;
      const [lateMint, lateMaxt] = late.boundsOf(ref);
      const from = Math.max(mint, Math.min(series.firstTime(slot, -Infinity), lateMint));
      const to = Math.min(maxt, Math.max(series.lastTime(slot), lateMaxt));
      if (from <= to) deleted.push({ ref, mint: from, maxt: to });
    }
    if (deleted.length === 0) return 0;
    this.begin();
    tombstones.add(deleted);
    this.#log.tombstones(deleted);
    this.commit();
    return deleted.length;
  }

  /** `snapshot`: the next start is to be quick. Without, or when it cannot be written, the log is replayed. */
  async close(snapshot = false): Promise<void> {
    if (snapshot) await this.#snapshot();
    this.#state.files.close();
    await this.#wal.close();
    await this.#wbl?.close();
  }

  async #snapshot(): Promise<void> {
    const state = this.#state;
    try {
      // Everything before this position is in chunk files, the snapshot or the other log.
      this.commit();
      state.files.sync();
      const position = { segment: this.#wal.segment, offset: this.#wal.position };
      // What only the part of the log that is skipped would say: it is there before the snapshot is.
      for (const entry of this.#liveMetadata()) this.#log.metadata(entry);
      const last = state.nextRef - 1;
      if (last > 0) this.#log.tombstones([{ ref: last, mint: BEFORE_ALL, maxt: BEFORE_ALL }]);
      this.commit();
      await this.#wal.sync();
      await writeSnapshot(state, position);
    } catch (err) {
      state.options.log.warn({ err }, "snapshot of the head not written; the next start replays the log");
    }
  }

  #liveMetadata(): RefMetadata[] {
    return Array.from(this.#state.metadata.entries()).flatMap(([family, entry]) => {
      const ref = this.#refOfFamily(family, entry.type);
      return ref === undefined ? [] : [{ ref, ...entry, type: METADATA_TYPES.indexOf(entry.type) }];
    });
  }
}
