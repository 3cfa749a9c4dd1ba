/** What a query reads of a head, as frames: chunks come out of files and memory in batches, by slices. */
import { Slices } from "#libs/kit/slices.ts";
import { type PostingsSource, selectPostings } from "../index/select.ts";
import type { SeriesQuery } from "../select.ts";
import { FrameBuilder, type SeriesFrame } from "../series/frame.ts";
import { ReadView } from "./read-view.ts";
import { sortByLabels } from "./series-order.ts";
import type { HeadState } from "./state.ts";
import { StreamIds } from "./stream-ids.ts";

/** Frames of a head are large: the more series are read at once, the fewer reads (see HeadChunkFiles.readSteps). */
const HEAD_FRAME_BYTES = 4 << 20;
const HEAD_FRAME_SERIES = 8192;
/** Series between two looks at the clock. */
const TURN_SERIES = 256;

/** The matching series, ascending by labels, as they are at one moment; chunks of a series do not overlap. */
export async function* headFrames(
  state: HeadState,
  postings: PostingsSource,
  query: SeriesQuery,
  signal: AbortSignal,
): AsyncGenerator<SeriesFrame> {
  const { files, late, tombstones, series } = state;
  const slices = new Slices(10, signal);
  const slots = await sortByLabels(series, await selectPostings(postings, query.matchers), slices);
  if (series !== state.series) {
    yield* headFrames(state, postings, query, signal);
    return;
  }
  const view = new ReadView(series, slots, files, late, tombstones);
  try {
    const builder = new FrameBuilder();
    const ids = new StreamIds(series.symbols, builder, slots.length);
    let sent = 0;
    let left = query.limit === 0 ? Infinity : query.limit;
    for (let i = 0; i < slots.length && left > 0;) {
      // The first frames are small, so that the other side has work while the next is read.
      const most = Math.min(left, sent < HEAD_FRAME_SERIES ? HEAD_FRAME_SERIES / 8 : HEAD_FRAME_SERIES / 2);
      i = addSeries(view, i, most, query, builder, ids);
      if (slices.due) await slices.breathe();
      if (i < slots.length && !isFull(builder, most)) continue;
      await slices.run(view.readSteps(builder.bytes));
      sent += builder.seriesCount;
      left -= builder.seriesCount;
      if (builder.seriesCount > 0) yield builder.take();
    }
  } finally {
    view.release();
  }
}

function isFull(builder: FrameBuilder, most: number): boolean {
  return builder.dataBytes >= HEAD_FRAME_BYTES || builder.seriesCount >= most;
}

/**
 * Adds series from `i` on, until the frame is full or it may be someone else's turn. @returns the next. Not in the
 * generator itself, whose loop is compiled anew for every query and less well.
 */
function addSeries(
  view: ReadView,
  i: number,
  most: number,
  query: SeriesQuery,
  builder: FrameBuilder,
  ids: StreamIds,
): number {
  const end = Math.min(i + TURN_SERIES, view.slots.length);
  let next = i;
  while (next < end && !isFull(builder, most)) {
    if (view.addChunks(next, query, builder)) {
      view.addLabels(next, builder, ids);
      builder.endSeries();
    }
    next++;
  }
  return next;
}
