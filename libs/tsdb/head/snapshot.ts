/**
 * Snapshot of a head at a clean end, so that the next start replays open chunks instead of every sample:
 * `chunk_snapshot.<segment>.<offset>`, named by the position of the log it stands for; what the log has behind it is
 * replayed on top. Prometheus's format (reference/prometheus.md §1.9), in the framing of the log:
 *
 *   1 series │ ref u64 │ labels │ u64 0 │ uvarint has chunk │ mint │ maxt │ encoding │ data │ last value
 *   2 deletions: length, version u8, (ref, mint, maxt)* │ 3 exemplars, as in the log
 *
 * It is an accelerator: anything wrong with it, and the whole log is replayed.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#libs/kit/errors.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { ENCODING } from "../chunk/encoding.ts";
import { ByteReader } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { syncFolder } from "../files.ts";
import { writeHistogram } from "../wal/histogram-records.ts";
import { type Damage, readWal } from "../wal/reader.ts";
import { readExemplars, type RefExemplar, type RefInterval, writeExemplars, writeLabels } from "../wal/records.ts";
import { segmentName, WalWriter } from "../wal/writer.ts";
import { writeImage } from "./image.ts";
import type { HeadState } from "./state.ts";

const SERIES = 1;
const TOMBSTONES = 2;
const EXEMPLARS = 3;
const TOMBSTONES_VERSION = 1;
const FLUSH_BYTES = 1 << 20;
const EXEMPLARS_PER_RECORD = 10_000;
/** Records, of a series each, that a step of reading takes. */
const STEP_RECORDS = 64;
/** Behind an XOR chunk; once the last four samples, now only the last value counts. */
const LAST_SAMPLES_BYTES = 64;
const lastValue = new Int32Array(2);

/** Before every sample: a deletion there only says that its ref was given out. */
export const BEFORE_ALL = -(2 ** 52);

/** A position in the log. */
export interface LogPosition {
  readonly segment: number;
  readonly offset: number;
}

export interface Snapshot extends LogPosition {
  readonly name: string;
}

type OnProblem = (name: string, what: string) => void;

function snapshots(folder: string): Snapshot[] {
  return readdirSync(folder)
    .map((name) => /^chunk_snapshot\.(\d{6,})\.(\d{10,})$/.exec(name))
    .filter((match) => match !== null)
    .map(([name, segment, offset]) => ({ name, segment: Number(segment), offset: Number(offset) }))
    .sort((a, b) => a.segment - b.segment || a.offset - b.offset);
}

/** Deletes all snapshots: what they stand for is not in the log any more. */
export function removeSnapshots(folder: string): void {
  for (const name of readdirSync(folder))
    if (name.startsWith("chunk_snapshot.")) rmSync(join(folder, name), { recursive: true, force: true });
}

/** Writes a snapshot that stands for everything up to `position`; older ones are deleted. */
export async function writeSnapshot(state: HeadState, position: LogPosition): Promise<void> {
  const { folder } = state;
  const name = `chunk_snapshot.${String(position.segment).padStart(6, "0")}.${String(position.offset).padStart(10, "0")}`;
  const temporary = join(folder, `${name}.tmp`);
  rmSync(temporary, { recursive: true, force: true });
  const out = new WalWriter(temporary);
  const record = new ByteWriter(1 << 12);
  let pending = 0;
  const add = (): void => {
    out.add(record.bytes);
    pending += record.length;
    record.clear();
    if (pending < FLUSH_BYTES) return;
    out.prepare();
    pending = 0;
  };
  for (let slot = 0; slot < state.series.count; slot++) {
    writeSeriesRecord(record, state, slot);
    add();
  }
  writeTombstonesRecord(record, state);
  add();
  for (const exemplars of exemplarBatches(state)) {
    writeExemplars(record, exemplars, EXEMPLARS);
    add();
  }
  await out.close(true);
  await writeImage(temporary, state);
  syncFolder(temporary);
  const older = snapshots(folder);
  renameSync(temporary, join(folder, name));
  syncFolder(folder);
  for (const { name: old } of older) if (old !== name) rmSync(join(folder, old), { recursive: true, force: true });
}

function writeSeriesRecord(out: ByteWriter, state: HeadState, slot: number): void {
  const { series } = state;
  out.u8(SERIES);
  out.u64(series.refs[slot]!);
  writeLabels(out, series.labels(slot));
  out.u64(0);
  const chunk = series.openChunk(slot);
  out.uvarint(chunk === undefined ? 0 : 1);
  if (chunk === undefined) return;
  out.u64(chunk.mint);
  out.u64(chunk.maxt);
  out.u8(chunk.encoding);
  out.uvarint(chunk.data.length);
  out.raw(chunk.data);
  if (chunk.encoding === ENCODING.XOR || chunk.encoding === ENCODING.XOR2) {
    for (let i = 8; i < LAST_SAMPLES_BYTES; i += 8) out.u64(0);
    const [low, high] = series.lastWords(slot);
    out.f64Words(low, high);
  } else writeHistogram(out, series.histogram(slot)!.last!);
}

function writeTombstonesRecord(out: ByteWriter, state: HeadState): void {
  const list = new ByteWriter();
  list.u8(TOMBSTONES_VERSION);
  for (const [ref, intervals] of state.tombstones.byRef) {
    for (const { mint, maxt } of intervals) {
      list.uvarint(ref);
      list.varint(Math.max(mint, -(2 ** 53)));
      list.varint(Math.min(maxt, 2 ** 53));
    }
  }
  out.u8(TOMBSTONES);
  out.uvarint(list.length);
  out.raw(list.bytes);
}

function* exemplarBatches(state: HeadState): Generator<RefExemplar[]> {
  let batch: RefExemplar[] = [];
  for (const { series, exemplar } of state.exemplars.all()) {
    const slot = state.find(series);
    if (slot < 0) continue;
    batch.push({ ref: state.series.refs[slot]!, ...exemplar });
    if (batch.length < EXEMPLARS_PER_RECORD) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

export interface SnapshotSink {
  /** Takes the labels that `reader` has next, as logs have them. @returns the series' slot. */
  series(ref: number, reader: ByteReader): number;
  /** The open chunk of the series that came last; `low` and `high`: the last value of an XOR chunk. */
  open(ref: number, slot: number, chunk: Chunk, low: number, high: number): void;
  deletions(intervals: readonly RefInterval[]): void;
  exemplar(exemplar: RefExemplar): void;
}

/** The newest snapshot, if the log reaches it; else `onProblem` is told. */
export function findSnapshot(folder: string, onProblem: OnProblem): Snapshot | undefined {
  const newest = snapshots(folder).at(-1);
  if (newest === undefined) return undefined;
  const wal = join(folder, "wal", segmentName(newest.segment));
  if (existsSync(wal) && statSync(wal).size >= newest.offset) return newest;
  onProblem(newest.name, "the log does not reach it");
  return undefined;
}

/**
 * A snapshot's content, by steps. The series and deletions that `sink` was given of one that is damaged do no harm: each
 * record had its checksum, and the log says the same. What it stands for is partly in the head's chunk files: unless
 * `chunksAreWhole`, it is not used.
 *
 * @returns whether it can be used; if not, `onProblem` is told why.
 */
export function* readSnapshotSteps(
  folder: string,
  { name }: Snapshot,
  sink: SnapshotSink,
  onProblem: OnProblem,
  chunksAreWhole: boolean,
): Generator<void, boolean> {
  if (!chunksAreWhole) {
    onProblem(name, "head chunks are damaged");
    return false;
  }
  const path = join(folder, name);
  const exemplars: RefExemplar[] = [];
  let problem: string | undefined;
  let isWhole = false;
  let count = 0;
  const onDamage = ({ file, offset: at, what }: Damage): void => void (problem ??= `${file}: byte ${at}: ${what}`);
  try {
    for (const { bytes } of readWal(path, onDamage, { isClosed: true })) {
      // It is behind all series.
      isWhole ||= bytes[0] === TOMBSTONES;
      readRecord(bytes, path, sink, exemplars);
      if (++count % STEP_RECORDS === 0) yield;
    }
  } catch (error) {
    problem ??= messageOf(error);
  }
  if (!isWhole) problem ??= "it has no end";
  if (problem !== undefined) {
    onProblem(name, problem);
    return false;
  }
  for (const exemplar of exemplars) sink.exemplar(exemplar);
  return true;
}

function readRecord(bytes: Uint8Array, file: string, sink: SnapshotSink, exemplars: RefExemplar[]): void {
  const reader = new ByteReader(bytes, file, 1);
  switch (bytes[0]) {
    case SERIES: {
      const ref = reader.u64();
      const slot = sink.series(ref, reader);
      reader.skip(8);
      if (reader.uvarint() === 0) break;
      const mint = reader.i64();
      const maxt = reader.i64();
      const encoding = reader.u8();
      const data = reader.take(reader.uvarint());
      if (encoding === ENCODING.XOR) {
        reader.skip(LAST_SAMPLES_BYTES - 8);
        reader.f64Into(lastValue, 0);
      }
      sink.open(ref, slot, { mint, maxt, encoding, data }, lastValue[0]!, lastValue[1]!);
      break;
    }
    case TOMBSTONES: {
      const end = reader.uvarint() + reader.at;
      if (reader.u8() !== TOMBSTONES_VERSION) reader.fail("tombstones version");
      const intervals: RefInterval[] = [];
      while (reader.at < end) intervals.push({ ref: reader.uvarint(), mint: reader.varint(), maxt: reader.varint() });
      sink.deletions(intervals);
      break;
    }
    case EXEMPLARS:
      readExemplars(bytes, file, (exemplar) => exemplars.push(exemplar));
      break;
    default:
      reader.fail(`a record of type ${bytes[0]}`);
  }
}
