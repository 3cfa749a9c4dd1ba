/** Reads a log, checkpoint first, record by record, past whatever is damaged; damage is logged by file and offset. */
import { join } from "node:path";
import { messageOf } from "#libs/kit/errors.ts";
import { truncateFile } from "../files.ts";
import { type Damage, readWal } from "../wal/reader.ts";
import { segmentName } from "../wal/writer.ts";
import type { LogPosition } from "./snapshot.ts";
import { lastCheckpoint } from "./truncate-wal.ts";
import type { Logger } from "#libs/kit/log.ts";

/**
 * Calls `onRecord` for the records of all segments of `folder` below `current`, the one being written, or for those
 * behind the position `from`; a step is a record. Its error means that the record is damaged.
 *
 * @returns whether anything was damaged that an end of the process does not explain.
 */
export function* replayLogSteps(
  folder: string,
  current: number,
  from: LogPosition | undefined,
  log: Logger,
  onRecord: (bytes: Uint8Array, file: string) => void,
): Generator<void, boolean> {
  const checkpoint = lastCheckpoint(folder);
  const damages: Damage[] = [];
  let goodEnd = { segment: -1, end: 0 };
  const apply = function* (source: string, first: number, offset = 0): Generator<void> {
    let named = -1;
    let file = source;
    const range = { first, offset, isClosed: source !== folder };
    for (const { bytes, segment, end } of readWal(source, (damage) => damages.push(damage), range)) {
      if (segment >= current && source === folder) break;
      if (source === folder) goodEnd = { segment, end };
      if (segment !== named) {
        named = segment;
        file = join(source, segmentName(segment));
      }
      try {
        onRecord(bytes, file);
      } catch (error) {
        damages.push({ segment, file, offset: end, what: messageOf(error), torn: false });
      }
      yield;
    }
  };
  if (from !== undefined && from.segment > (checkpoint?.segment ?? -1)) yield* apply(folder, from.segment, from.offset);
  else {
    if (checkpoint !== undefined) yield* apply(join(folder, checkpoint.name), 0);
    yield* apply(folder, checkpoint === undefined ? 0 : checkpoint.segment + 1);
  }
  let isDamaged = false;
  for (const [index, damage] of damages.entries()) {
    if (damage.torn && index === damages.length - 1 && goodEnd.segment <= damage.segment) {
      // What a kill leaves: never acknowledged. Cut off, so that Prometheus and the next replay find a clean end.
      const end = goodEnd.segment === damage.segment ? goodEnd.end : 0;
      truncateFile(damage.file, end);
      log.info({ file: damage.file, offset: end }, "log: torn tail cut off");
    } else {
      isDamaged = true;
      log.error(
        { file: damage.file, offset: damage.offset, what: damage.what },
        "log: damaged; what follows it and is intact was kept",
      );
    }
  }
  return isDamaged;
}
