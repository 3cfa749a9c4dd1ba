/**
 * Fills a head from its folder: full chunks, the log for what they lack, then the log of out-of-order samples.
 *
 *   chunks_head/ ──▶ full chunks, by ref, waiting for their series
 *   chunk_snapshot… ─▶ series (take their chunks) and open chunks, if the head was closed
 *   wal/         ──▶ series, samples later than their chunks, deletions; only what is newer than the snapshot
 *   wbl/         ──▶ out-of-order samples; a marker names the chunks that have those before it
 */
import { isUtf8 } from "node:buffer";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Histogram } from "#libs/model/histogram.ts";
import { labelValue, METRIC_NAME } from "#libs/model/labels.ts";
import { STALE_HI, STALE_LO } from "#libs/model/stale.ts";
import { type Chunk, ENCODING } from "../chunk/encoding.ts";
import { BytesCache } from "../encoding/bytes-cache.ts";
import { ByteReader, utf8 } from "../encoding/reader.ts";
import { readHistogramRecord } from "../wal/histogram-records.ts";
import {
  METADATA_TYPES,
  type MmapMarker,
  RECORD,
  RECORD_NAMES,
  readExemplars,
  readMetadata,
  readMmapMarkers,
  readSamples,
  readTombstoneRecord,
  type RefExemplar,
  type RefInterval,
} from "../wal/records.ts";
import { entryOffset } from "./chunk-files.ts";
import { takeImageSteps } from "./image.ts";
import { familyOf } from "./metric-metadata.ts";
import { RefSlots } from "./ref-slots.ts";
import { replayLogSteps } from "./replay.ts";
import { BEFORE_ALL, findSnapshot, type LogPosition, readSnapshotSteps, type SnapshotSink } from "./snapshot.ts";
import type { FullChunk } from "./full-chunks.ts";
import { staleHistogramFor } from "./stale-histogram.ts";
import type { HeadState } from "./state.ts";
import { unpackChunk } from "./stored-samples.ts";

/** By steps. `walSegment` and `wblSegment`: the segments being written, not read. */
export function* recoverSteps(state: HeadState, walSegment: number, wblSegment: number): Generator<void> {
  const { log } = state.options;
  const startedAt = performance.now();
  const recovery = new Recovery(state);
  const onProblem = (snapshot: string, what: string): void =>
    log.warn({ snapshot, what }, "snapshot of the head cannot be used; the whole log is replayed");
  const snapshot = findSnapshot(state.folder, onProblem);
  let from: LogPosition | undefined;
  if (snapshot !== undefined && (yield* recovery.takeImageSteps(join(state.folder, snapshot.name)))) from = snapshot;
  else {
    yield* recovery.loadSteps();
    if (snapshot !== undefined) {
      const { chunksAreWhole } = recovery;
      if (yield* readSnapshotSteps(state.folder, snapshot, recovery, onProblem, chunksAreWhole)) from = snapshot;
    }
  }
  yield* replayLogSteps(join(state.folder, "wal"), walSegment, from, log, (bytes, file) => recovery.apply(bytes, file));
  const wbl = join(state.folder, "wbl");
  const hasWbl = existsSync(wbl);
  const wblDamaged =
    hasWbl &&
    (yield* replayLogSteps(wbl, wblSegment, undefined, log, (bytes, file) => recovery.applyLate(bytes, file)));
  recovery.finish(!hasWbl || wblDamaged);
  if (state.series.count > 0) {
    const tookMs = Math.round(performance.now() - startedAt);
    log.info({ series: state.series.count, samples: recovery.samples, tookMs }, "log replayed");
  }
}

class Recovery implements SnapshotSink {
  readonly #state: HeadState;
  /** Lists of full chunks that wait for their series, by ref. */
  readonly #full = new RefSlots();
  /** Out-of-order chunks that no marker has named yet. */
  readonly #late = new Map<string, FullChunk & { readonly ref: number }>();
  #hasHoles = false;
  /** Or the log must be read for what they lack. */
  chunksAreWhole = true;
  readonly #symbolIds: BytesCache<number>;
  /** By the refs of the log; a series may have had several. */
  readonly #slots = new RefSlots();
  /** Records of types we do not know, by type: how many, and the file of the first. */
  readonly #skipped = new Map<number, { readonly file: string; records: number }>();
  samples = 0;
  #unknown = 0;

  constructor(state: HeadState) {
    this.#state = state;
    this.#symbolIds = new BytesCache((bytes, from, to) =>
      isUtf8(bytes.subarray(from, to)) ? state.series.symbols.id(utf8(bytes, from, to)) : -1,
    );
  }

  /** In place of chunk files and snapshot. @returns false, and nothing has changed, when there is no image that can be used. */
  *takeImageSteps(folder: string): Generator<void, boolean> {
    const state = this.#state;
    const image = yield* takeImageSteps(folder, state);
    if (image === undefined) return false;
    state.takeImage(image);
    const { series } = state;
    for (let slot = 0; slot < series.count; slot++) this.#slots.set(series.refs[slot]!, slot);
    for (const [alias, ref] of state.aliases) this.#slots.set(alias, this.#slots.get(ref));
    for (const [slot, chunk] of image.objects) {
      series.dropObject(slot);
      this.open(series.refs[slot]!, slot, chunk, 0, 0);
    }
    for (const chunk of image.late) this.#addLate(chunk);
    state.tombstones.add(
      [...image.tombstones].flatMap(([ref, intervals]) => intervals.map((interval) => ({ ref, ...interval }))),
    );
    for (const { series: labels, exemplar } of image.exemplars) state.exemplars.add(labels, exemplar);
    return true;
  }

  #addLate(chunk: FullChunk & { readonly ref: number }): void {
    this.#late.set(markerKey({ ref: chunk.ref, file: chunk.file, offset: entryOffset(chunk) }), chunk);
  }

  *loadSteps(): Generator<void> {
    const state = this.#state;
    const { hasHoles } = yield* state.files.loadSteps(
      (ref, outOfOrder, chunk) => {
        if (outOfOrder) this.#addLate({ ref, ...chunk });
        else if (chunk.maxt >= state.minValidTime) {
          state.nextRef = Math.max(state.nextRef, ref + 1);
          const { full } = state.series;
          const list = Math.max(this.#full.get(ref), 0);
          // One that begins before the last ends is left out.
          if (list > 0 && full.maxt(list - 1) >= chunk.mint) return;
          this.#full.set(ref, full.add(list, chunk));
        }
      },
      (what) => {
        this.chunksAreWhole = false;
        state.options.log.warn({ what }, "head chunks: damaged; the log has the samples");
      },
    );
    this.#hasHoles = hasHoles;
  }

  apply(bytes: Uint8Array, file: string): void {
    switch (bytes[0]) {
      case RECORD.SERIES: {
        const reader = new ByteReader(bytes, file, 1);
        while (reader.left > 0) this.series(reader.u64(), reader);
        break;
      }
      case RECORD.SAMPLES:
      case RECORD.SAMPLES_V2:
        readSamples(bytes, file, (ref, time, low, high, start) => this.#sample(ref, time, low, high, undefined, start));
        break;
      case RECORD.HISTOGRAMS:
      case RECORD.FLOAT_HISTOGRAMS:
      case RECORD.CUSTOM_HISTOGRAMS:
      case RECORD.CUSTOM_FLOAT_HISTOGRAMS:
      case RECORD.HISTOGRAMS_V2:
      case RECORD.FLOAT_HISTOGRAMS_V2:
        readHistogramRecord(bytes, file, ({ ref, time, histogram, start }) =>
          this.#sample(ref, time, 0, 0, histogram, start),
        );
        break;
      case RECORD.TOMBSTONES:
        this.deletions(readIntervals(bytes, file));
        break;
      case RECORD.EXEMPLARS:
        readExemplars(bytes, file, (exemplar) => this.exemplar(exemplar));
        break;
      case RECORD.METADATA:
        readMetadata(bytes, file, ({ ref, type, unit, help }) => {
          const slot = this.#slotOf(ref);
          if (slot < 0) return;
          const name = labelValue(this.#state.series.labels(slot), METRIC_NAME);
          const entry = { type: METADATA_TYPES[type] ?? "unknown", unit, help };
          this.#state.metadata.set(familyOf(name, entry.type), entry);
        });
        break;
      default:
        this.#skip(bytes, file);
    }
  }

  #skip(bytes: Uint8Array, file: string): void {
    const type = bytes[0] ?? -1;
    const skipped = this.#skipped.get(type) ?? { file, records: 0 };
    skipped.records++;
    this.#skipped.set(type, skipped);
  }

  series(ref: number, reader: ByteReader): number {
    const state = this.#state;
    const slot = state.takeStoredLabels(ref, reader, this.#symbolIds);
    state.nextRef = Math.max(state.nextRef, ref + 1);
    this.#slots.set(ref, slot);
    if (state.series.refs[slot] !== ref) state.aliases.set(ref, state.series.refs[slot]!);
    const list = this.#full.get(ref);
    if (list > 0) {
      this.#full.delete(ref);
      this.#takeFull(slot, list);
    }
    return slot;
  }

  /** An open chunk that a snapshot has: its samples make the same chunk again. */
  open(ref: number, slot: number, open: Chunk, low: number, high: number): void {
    const state = this.#state;
    if (open.encoding === ENCODING.XOR && state.takeStored(slot, open, low, high)) {
      this.samples += state.series.openCount(slot);
      return;
    }
    const { length, times, words, histograms, starts } = unpackChunk(open, `snapshot, series ${ref}`);
    for (let i = 0; i < length; i++)
      this.#sample(ref, times[i]!, words[2 * i]!, words[2 * i + 1]!, histograms[i], starts[i]!);
  }

  #takeFull(slot: number, list: number): void {
    const state = this.#state;
    const { series } = state;
    if (series.lastTime(slot) === -Infinity) {
      series.takeFull(slot, list);
      state.mint = Math.min(state.mint, series.full.oldestMint(list, -Infinity, Infinity));
      state.maxt = Math.max(state.maxt, series.lastTime(slot));
      return;
    }
    // Of a series that was forgotten and came back.
    for (const chunk of series.full.overlapping(list, series.lastTime(slot) + 1, Infinity)) {
      if (chunk.mint <= series.lastTime(slot)) continue;
      if (series.hasOpenChunk(slot)) state.closeChunk(slot);
      series.addFull(slot, chunk);
      series.setLastTime(slot, chunk.maxt);
      state.mint = Math.min(state.mint, chunk.mint);
      state.maxt = Math.max(state.maxt, chunk.maxt);
    }
  }

  #slotOf(ref: number): number {
    const slot = this.#slots.get(ref);
    if (slot >= 0) return slot;
    // A series that a truncation dropped: its ref must not be given out again.
    this.#state.nextRef = Math.max(this.#state.nextRef, ref + 1);
    this.#unknown++;
    return -1;
  }

  #sample(ref: number, time: number, low: number, high: number, given: Histogram | undefined, start: number): void {
    const state = this.#state;
    this.samples++;
    const slot = this.#slotOf(ref);
    if (slot < 0 || time < state.minValidTime) return;
    const { series } = state;
    const histogram =
      given ?? (low === STALE_LO && high === STALE_HI ? staleHistogramFor(series.newestEncoding(slot)) : undefined);
    if (time <= series.lastTime(slot)) {
      if (this.#hasHoles && !this.#isCovered(slot, time))
        state.late.insert(series.refs[slot]!, time, low, high, histogram, start);
    } else if (histogram === undefined) state.appendFloat(slot, time, low, high, start);
    else state.appendHistogram(slot, time, histogram, start);
  }

  #isCovered(slot: number, time: number): boolean {
    const { series } = this.#state;
    if (series.hasOpenChunk(slot) && series.openMint(slot) <= time) return true;
    return series.fullChunks(slot, time, time).length > 0;
  }

  exemplar({ ref, time, value, labels }: RefExemplar): void {
    const slot = this.#slotOf(ref);
    if (slot >= 0 && time >= this.#state.minValidTime)
      this.#state.exemplars.add(this.#state.series.labels(slot), { time, value, labels });
  }

  deletions(intervals: readonly RefInterval[]): void {
    const state = this.#state;
    const own: RefInterval[] = [];
    for (const { ref, mint, maxt } of intervals) {
      if (maxt <= BEFORE_ALL) {
        state.nextRef = Math.max(state.nextRef, ref + 1);
        continue;
      }
      const slot = this.#slotOf(ref);
      if (slot < 0 || maxt < state.minValidTime) continue;
      // All of time: the series was dropped as it was then. What came later is not meant.
      const isAll = mint < -9e18 && maxt > 9e18;
      own.push({
        ref: state.series.refs[slot]!,
        mint: isAll ? -Infinity : mint,
        maxt: isAll ? state.series.lastTime(slot) : maxt,
      });
    }
    state.tombstones.add(own);
  }

  /** A record of the log of out-of-order samples. */
  applyLate(bytes: Uint8Array, file: string): void {
    if (bytes[0] === RECORD.MMAP_MARKERS) {
      const byRef = new Map<number, MmapMarker[]>();
      for (const marker of readMmapMarkers(bytes, file))
        byRef.set(marker.ref, [...(byRef.get(marker.ref) ?? []), marker]);
      for (const [ref, markers] of byRef) this.#marked(ref, markers);
    } else if (bytes[0] === RECORD.SAMPLES || bytes[0] === RECORD.SAMPLES_V2) {
      readSamples(bytes, file, (ref, time, low, high, start) =>
        this.#lateSample(ref, time, low, high, undefined, start),
      );
    } else if (bytes[0]! >= RECORD.HISTOGRAMS && bytes[0]! <= RECORD.FLOAT_HISTOGRAMS_V2) {
      readHistogramRecord(bytes, file, ({ ref, time, histogram, start }) =>
        this.#lateSample(ref, time, 0, 0, histogram, start),
      );
    } else this.#skip(bytes, file);
  }

  #lateSample(
    ref: number,
    time: number,
    low: number,
    high: number,
    histogram: Histogram | undefined,
    start: number,
  ): void {
    this.samples++;
    const slot = this.#slotOf(ref);
    if (slot < 0) return;
    const own = this.#state.series.refs[slot]!;
    if (this.#state.late.isFull(own)) this.#state.packLate(own);
    this.#state.late.insert(own, time, low, high, histogram, start);
  }

  /** The samples so far are in these chunks, if they are there; else they stay in memory. */
  #marked(ref: number, markers: readonly MmapMarker[]): void {
    const slot = this.#slotOf(ref);
    if (slot < 0) return;
    const own = this.#state.series.refs[slot]!;
    const chunks = markers.map((marker) => this.#late.get(markerKey(marker)));
    if (chunks.some((chunk) => chunk === undefined)) return;
    this.#state.late.clearOpen(own);
    markers.forEach((marker, i) => {
      this.#late.delete(markerKey(marker));
      this.#state.late.addChunk(own, chunks[i]!);
    });
  }

  /**
   * Out-of-order chunks without a marker have their samples in the log, or in a block. `unsure`: the log does not say,
   * so they are kept; what is there twice is read once.
   */
  finish(unsure: boolean): void {
    const { log } = this.#state.options;
    for (const chunk of this.#late.values()) {
      const slot = unsure ? this.#slots.get(chunk.ref) : -1;
      if (slot >= 0) this.#state.late.addChunk(this.#state.series.refs[slot]!, chunk);
      else this.#state.files.dropLate(chunk);
    }
    for (const [type, { file, records }] of this.#skipped)
      log.warn({ type: RECORD_NAMES[type] ?? type, records, file }, "log: records of an unknown type were passed over");
    if (this.#unknown > 0) log.warn({ samples: this.#unknown }, "log: samples of unknown series were passed over");
  }
}

function readIntervals(bytes: Uint8Array, file: string): RefInterval[] {
  const intervals: RefInterval[] = [];
  readTombstoneRecord(bytes, file, (ref, mint, maxt) => intervals.push({ ref, mint, maxt }));
  return intervals;
}

function markerKey({ ref, file, offset }: MmapMarker): string {
  return `${ref} ${file} ${offset}`;
}
