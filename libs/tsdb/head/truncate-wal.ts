/**
 * Checkpoints: after a head cut, the first two thirds of the log's segments are rewritten into `checkpoint.%08d`
 * with only what the head still needs, and deleted. Format: prometheus/tsdb/wlog/checkpoint.go.
 */
import { existsSync, readdirSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "#libs/kit/errors.ts";
import type { Logger } from "#libs/kit/log.ts";
import { Slices } from "#libs/kit/slices.ts";
import { setAside, syncFolder } from "../files.ts";
import { readHistogramRecord } from "../wal/histogram-records.ts";
import { type Damage, readWal, type WalRange } from "../wal/reader.ts";
import {
  RECORD,
  readExemplars,
  readSamples,
  readSeries,
  readTombstoneRecord,
  type RefInterval,
  type RefMetadata,
} from "../wal/records.ts";
import { listSegments, segmentName, WalWriter } from "../wal/writer.ts";
import { LogBatch } from "./log-batch.ts";

export interface Checkpoint {
  readonly name: string;
  /** The last segment it covers. */
  readonly segment: number;
}

/** The newest complete checkpoint. */
export function lastCheckpoint(folder: string): Checkpoint | undefined {
  if (!existsSync(folder)) return undefined;
  const names = readdirSync(folder)
    .filter((name) => /^checkpoint\.\d{8,}$/.test(name))
    .sort();
  const name = names.at(-1);
  return name === undefined ? undefined : { name, segment: Number(name.slice("checkpoint.".length)) };
}

const SYNC_BYTES = 4 << 20;

/** What a log must still say. */
export interface StillNeeded {
  /** Samples and exemplars before it are not needed. */
  readonly mint: number;
  /** Nor deletions that end before this. */
  readonly deletedFrom: number;
  readonly isLive: (ref: number) => boolean;
  /** What metrics are said to be, by a series of each. */
  readonly metadata: readonly RefMetadata[];
}

/** Rewrites and deletes old segments of `folder`, by slices. What is damaged is left out, its segment kept aside. */
export async function truncateWal(folder: string, wal: WalWriter, needed: StillNeeded, log: Logger): Promise<void> {
  // So that the cut, which waits for the disk, has little to wait for.
  await wal.sync();
  wal.cut();
  const previous = lastCheckpoint(folder);
  // Left behind by a process that ended here.
  if (previous !== undefined) await wal.removeBefore(previous.segment + 1);
  const segments = listSegments(folder).filter((segment) => segment < wal.segment);
  // As Prometheus: the newest third stays, it is likely to hold samples that are still needed.
  const first = segments[0];
  if (first === undefined) return;
  const last = first + Math.floor(((wal.segment - 1 - first) * 2) / 3);
  if (last <= first && segments.length > 1) return;
  const name = `checkpoint.${segmentName(last)}`;
  const temporary = join(folder, `${name}.tmp`);
  await removeCheckpoints(folder, (other) => other.endsWith(".tmp"));
  const out = new WalWriter(temporary);
  const damages: Damage[] = [];
  const copy = new Copy(out, needed, (damage) => {
    damages.push(damage);
    log.error(
      { file: damage.file, offset: damage.offset, what: damage.what },
      "checkpoint: damaged part of the log left out",
    );
  });
  if (previous !== undefined) await copy.records(join(folder, previous.name), { isClosed: true });
  await copy.records(folder, { first: previous === undefined ? 0 : previous.segment + 1, last });
  copy.metadata();
  await out.close(true);
  syncFolder(temporary);
  renameSync(temporary, join(folder, name));
  syncFolder(folder);
  for (const { file, segment } of damages) {
    if (segment <= last && existsSync(file)) setAside(file);
  }
  await wal.removeBefore(last + 1);
  // Not only the previous one: processes that ended here have left others.
  await removeCheckpoints(folder, (other) => other !== name);
}

/** Off the event loop's thread: a large file takes a while. */
async function removeCheckpoints(folder: string, isGone: (name: string) => boolean): Promise<void> {
  for (const name of readdirSync(folder))
    if (name.startsWith("checkpoint.") && isGone(name)) await rm(join(folder, name), { recursive: true, force: true });
}

/** Copies what is needed of logs into a new one. */
class Copy {
  readonly #out: WalWriter;
  readonly #needed: StillNeeded;
  readonly #onDamage: (damage: Damage) => void;
  readonly #batch: LogBatch;
  readonly #slices = new Slices(10);
  #synced = 0;

  constructor(out: WalWriter, needed: StillNeeded, onDamage: (damage: Damage) => void) {
    this.#out = out;
    this.#needed = needed;
    this.#onDamage = onDamage;
    this.#batch = new LogBatch((record) => out.add(record));
  }

  async records(source: string, range: WalRange): Promise<void> {
    for (const { bytes, segment, end } of readWal(source, this.#onDamage, range)) {
      this.#out.prepare();
      try {
        this.#record(bytes, source);
      } catch (error) {
        const file = join(source, segmentName(segment));
        this.#onDamage({ segment, file, offset: end, what: messageOf(error), torn: false });
      }
      this.#batch.end();
      this.#out.flush();
      // By and by: a sync of all of it at the end would hold up the event loop.
      if (this.#out.bytesTotal - this.#synced > SYNC_BYTES) {
        this.#synced = this.#out.bytesTotal;
        await this.#out.sync();
      }
      if (this.#slices.due) await this.#slices.breathe();
    }
  }

  metadata(): void {
    for (const entry of this.#needed.metadata) this.#batch.metadata(entry);
    this.#batch.end();
    this.#out.flush();
  }

  #record(bytes: Uint8Array, file: string): void {
    const { mint, deletedFrom, isLive } = this.#needed;
    const batch = this.#batch;
    switch (bytes[0]) {
      case RECORD.SERIES:
        readSeries(bytes, file, (ref, labels) => {
          if (isLive(ref)) batch.series(ref, labels);
        });
        break;
      case RECORD.SAMPLES:
      case RECORD.SAMPLES_V2:
        readSamples(bytes, file, (ref, time, low, high, start) => {
          if (time >= mint && isLive(ref)) batch.float(ref, time, low, high, start);
        });
        break;
      case RECORD.HISTOGRAMS:
      case RECORD.FLOAT_HISTOGRAMS:
      case RECORD.CUSTOM_HISTOGRAMS:
      case RECORD.CUSTOM_FLOAT_HISTOGRAMS:
      case RECORD.HISTOGRAMS_V2:
      case RECORD.FLOAT_HISTOGRAMS_V2:
        readHistogramRecord(bytes, file, ({ ref, time, histogram, start }) => {
          if (time >= mint && isLive(ref)) batch.histogram(ref, time, histogram, start);
        });
        break;
      case RECORD.TOMBSTONES: {
        const kept: RefInterval[] = [];
        readTombstoneRecord(bytes, file, (ref, from, to) => {
          if (to >= deletedFrom && isLive(ref)) kept.push({ ref, mint: from, maxt: to });
        });
        if (kept.length > 0) batch.tombstones(kept);
        break;
      }
      case RECORD.EXEMPLARS:
        readExemplars(bytes, file, (exemplar) => {
          if (exemplar.time >= mint && isLive(exemplar.ref)) batch.exemplar(exemplar);
        });
        break;
      case RECORD.METADATA: // written from what the head knows
        break;
      default:
        this.#out.add(bytes); // a type we do not know is not ours to drop
    }
  }
}
