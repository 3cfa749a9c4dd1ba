/**
 * Samples of one series out of chunks that may overlap: several stores, or replicas whose label was removed.
 *
 * Chunks are laid greedily into rows that do not overlap inside; the rows are then folded two by two by Thanos's
 * penalty rule (thanos/pkg/dedup): take the sample that comes first, and once a row was not taken, let it back in
 * only after twice the distance of the samples, so that two replicas' scrapes do not interleave. Rows with the same
 * timestamps (the same data twice) fold to themselves. Counters are not adjusted at a switch of replicas.
 */
import { SampleColumns } from "#libs/model/columns.ts";
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { decodeChunk } from "#libs/tsdb/chunk/decode.ts";
import type { ChunkColumns } from "#libs/tsdb/series/frame.ts";

/** Of a row that was never taken from, milliseconds. */
const FIRST_PENALTY_MS = 5000;

/** Decodes chunks [from, to) of a frame, ascending by mint, into `columns`; overlapping ones are merged. `where` is for errors. */
export function decodeFrameChunks(
  frame: ChunkColumns,
  from: number,
  to: number,
  columns: SampleColumns,
  where: string,
): void {
  const { mints, maxts, encodings, dataEnds, data } = frame;
  let lastMaxt = -Infinity;
  for (let i = from; i < to; i++) {
    if (mints[i]! <= lastMaxt) {
      columns.clear();
      const chunks: Chunk[] = [];
      for (let k = from; k < to; k++) {
        const at = k === 0 ? 0 : dataEnds[k - 1]!;
        chunks.push({
          mint: mints[k]!,
          maxt: maxts[k]!,
          encoding: encodings[k]!,
          data: data.subarray(at, dataEnds[k]),
        });
      }
      decodeChunks(chunks, columns, where);
      return;
    }
    lastMaxt = maxts[i]!;
    const at = i === 0 ? 0 : dataEnds[i - 1]!;
    decodeChunk(encodings[i]!, data, at, dataEnds[i]! - at, columns, where);
  }
}

/** Decodes `chunks` into `columns`; overlapping ones are merged. */
export function decodeChunks(unordered: readonly Chunk[], columns: SampleColumns, where: string): void {
  const chunks = unordered.toSorted((a, b) => a.mint - b.mint || a.maxt - b.maxt);
  if (chunks.every(({ mint }, i) => i === 0 || mint > chunks[i - 1]!.maxt)) {
    for (const { encoding, data } of chunks) decodeChunk(encoding, data, 0, data.length, columns, where);
    return;
  }
  const rows: { maxt: number; columns: SampleColumns }[] = [];
  for (const { mint, maxt, encoding, data } of chunks) {
    let row = rows.find((candidate) => candidate.maxt < mint);
    if (row === undefined) {
      row = { maxt, columns: new SampleColumns() };
      rows.push(row);
    }
    row.maxt = maxt;
    decodeChunk(encoding, data, 0, data.length, row.columns, where);
  }
  let folded = rows[0]?.columns ?? new SampleColumns();
  for (const row of rows.slice(1)) folded = foldReplicas(folded, row.columns);
  columns.reserve(folded.length);
  for (let i = 0; i < folded.length; i++) columns.copy(folded, i);
}

/** Two replicas of a series as one. */
export function foldReplicas(a: SampleColumns, b: SampleColumns): SampleColumns {
  const out = new SampleColumns();
  out.reserve(a.length + b.length);
  let i = 0;
  let j = 0;
  let last = -Infinity;
  let penaltyA = 0;
  let penaltyB = 0;
  for (;;) {
    while (i < a.length && (a.times[i]! <= last || a.times[i]! < last + 1 + penaltyA)) i++;
    while (j < b.length && (b.times[j]! <= last || b.times[j]! < last + 1 + penaltyB)) j++;
    if (i === a.length && j === b.length) return out;
    const takeA = j === b.length || (i < a.length && a.times[i]! <= b.times[j]!);
    const from = takeA ? a : b;
    const at = takeA ? i : j;
    const time = from.times[at]!;
    const penalty = last === -Infinity ? FIRST_PENALTY_MS : 2 * (time - last);
    penaltyA = takeA ? 0 : penalty;
    penaltyB = takeA ? penalty : 0;
    out.copy(from, at);
    last = time;
  }
}
