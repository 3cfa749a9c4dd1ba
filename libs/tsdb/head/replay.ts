/** Replays checkpoint and log into a head, in bounded memory, past whatever is damaged. */
import { truncateSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { messageOf } from "#libs/kit/errors.ts";
import type { Labels } from "#libs/model/labels.ts";
import { type Damage, readWal } from "../wal/reader.ts";
import { RECORD, RECORD_NAMES, readSamples, readSeries } from "../wal/records.ts";
import { lastCheckpoint } from "./truncate-wal.ts";

export interface ReplaySink {
  series(ref: number, labels: Labels): void;
  /** False when the series is unknown. */
  sample(ref: number, time: number, low: number, high: number): boolean;
}

/** Reads segments below `current`, the one being written. @returns what was seen. */
export function replay(folder: string, current: number, log: Logger, sink: ReplaySink): { samples: number } {
  const checkpoint = lastCheckpoint(folder);
  const damages: Damage[] = [];
  let samples = 0;
  let unknown = 0;
  const skipped = new Map<number, number>();
  let goodEnd = { segment: -1, end: 0 };
  const apply = (source: string, first: number): void => {
    for (const { bytes, segment, end } of readWal(source, (damage) => damages.push(damage), first)) {
      if (segment >= current && source === folder) break;
      goodEnd = { segment, end };
      const file = `${source}/${segment}`;
      try {
        const type = bytes[0];
        if (type === RECORD.SERIES) readSeries(bytes, file, (ref, labels) => sink.series(ref, labels));
        else if (type === RECORD.SAMPLES || type === RECORD.SAMPLES_V2) {
          readSamples(bytes, file, (ref, time, low, high) => {
            samples++;
            if (!sink.sample(ref, time, low, high)) unknown++;
          });
        } else skipped.set(type ?? -1, (skipped.get(type ?? -1) ?? 0) + 1);
      } catch (error) {
        damages.push({ segment, file, offset: end, what: messageOf(error), torn: false });
      }
    }
  };
  if (checkpoint !== undefined) apply(join(folder, checkpoint.name), 0);
  apply(folder, checkpoint === undefined ? 0 : checkpoint.segment + 1);
  for (const [index, damage] of damages.entries()) {
    if (damage.torn && index === damages.length - 1 && goodEnd.segment === damage.segment) {
      // What a kill leaves: never acknowledged. Cut off, so that Prometheus and the next replay find a clean end.
      truncateSync(damage.file, goodEnd.end);
      log.info({ file: damage.file, offset: goodEnd.end }, "log: torn tail cut off");
    } else {
      log.error(
        { file: damage.file, offset: damage.offset, what: damage.what },
        "log: damaged; what follows it and is intact was kept",
      );
    }
  }
  for (const [type, records] of skipped) {
    log.warn(
      { type: RECORD_NAMES[type] ?? type, records },
      "log: records of a type not supported yet were passed over",
    );
  }
  if (unknown > 0) log.warn({ samples: unknown }, "log: samples of unknown series were passed over");
  return { samples };
}
