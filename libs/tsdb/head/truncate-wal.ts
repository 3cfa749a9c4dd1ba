/**
 * Checkpoints: after a head cut, the first two thirds of the log's segments are rewritten into `checkpoint.%08d`
 * with only what the head still needs, and deleted. Format: prometheus/tsdb/wlog/checkpoint.go.
 */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { Slices } from "#libs/kit/slices.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { syncFolder } from "../files.ts";
import { readWal } from "../wal/reader.ts";
import { RECORD, readSamples, readSeries, writeSamples, writeSeries } from "../wal/records.ts";
import { listSegments, segmentName, WalWriter } from "../wal/writer.ts";

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

/** Rewrites and deletes old segments of `folder`; `isLive` tells which series must stay known. */
export async function truncateWal(
  folder: string,
  wal: WalWriter,
  mint: number,
  isLive: (ref: number) => boolean,
  log: Logger,
): Promise<void> {
  wal.cut();
  const segments = listSegments(folder).filter((segment) => segment < wal.segment);
  // As Prometheus: the newest third stays, it is likely to hold samples that are still needed.
  const first = segments[0];
  if (first === undefined) return;
  const last = first + Math.floor(((wal.segment - 1 - first) * 2) / 3);
  if (last <= first && segments.length > 1) return;
  const previous = lastCheckpoint(folder);
  const name = `checkpoint.${segmentName(last)}`;
  const temporary = join(folder, `${name}.tmp`);
  rmSync(temporary, { recursive: true, force: true });
  const out = new WalWriter(temporary);
  const slices = new Slices(10);
  const record = new ByteWriter(1 << 14);
  const refs: number[] = [];
  const times: number[] = [];
  let words = new Int32Array(1024);
  const damaged = (damage: { file: string; offset: number; what: string }): void =>
    log.error(
      { file: damage.file, offset: damage.offset, what: damage.what },
      "checkpoint: damaged part of the log left out",
    );
  const copy = async (source: string, from: number, to: number): Promise<void> => {
    for (const { bytes, segment } of readWal(source, damaged, from)) {
      if (segment > to) break;
      record.clear();
      if (bytes[0] === RECORD.SERIES) {
        readSeries(bytes, source, (ref, labels) => {
          if (!isLive(ref)) return;
          if (record.length === 0) record.u8(RECORD.SERIES);
          writeSeries(record, ref, labels);
        });
      } else if (bytes[0] === RECORD.SAMPLES || bytes[0] === RECORD.SAMPLES_V2) {
        refs.length = 0;
        times.length = 0;
        readSamples(bytes, source, (ref, time, low, high) => {
          if (time < mint || !isLive(ref)) return;
          const i = refs.length;
          if (2 * i + 2 > words.length) {
            const larger = new Int32Array(words.length * 2);
            larger.set(words);
            words = larger;
          }
          words[2 * i] = low;
          words[2 * i + 1] = high;
          refs.push(ref);
          times.push(time);
        });
        const batch = { refs: Float64Array.from(refs), times: Float64Array.from(times), words, count: refs.length };
        if (refs.length > 0) writeSamples(record, batch, 0, refs.length);
      } else {
        record.raw(bytes); // a type we do not read yet is not ours to drop
      }
      if (record.length > 0) {
        out.prepare();
        out.add(record.bytes);
        out.flush();
      }
      if (slices.due) await slices.breathe();
    }
  };
  if (previous !== undefined) await copy(join(folder, previous.name), 0, Infinity);
  await copy(folder, previous === undefined ? 0 : previous.segment + 1, last);
  await out.close();
  syncFolder(temporary);
  renameSync(temporary, join(folder, name));
  syncFolder(folder);
  wal.removeBefore(last + 1);
  if (previous !== undefined && previous.name !== name)
    rmSync(join(folder, previous.name), { recursive: true, force: true });
}
