/** What a query reads of a head, as frames: chunks come out of files and memory in batches, by slices. */
import { Slices } from "#libs/kit/slices.ts";
import { type PostingsSource, selectPostings } from "../index/select.ts";
import type { SeriesQuery } from "../select.ts";
import { FrameBuilder, type SeriesFrame } from "../series/frame.ts";
import { ChunkReads } from "./chunk-files.ts";
import { ReadView } from "./read-view.ts";
import { sortByLabels } from "./series-order.ts";
import type { HeadState } from "./state.ts";

/** Frames of a head are large: the more series are read at once, the fewer reads (see HeadChunkFiles.readSteps). */
const HEAD_FRAME_BYTES = 4 << 20;
const HEAD_FRAME_SERIES = 8192;

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
    const streamIds = new Int32Array(series.symbols.count).fill(-1);
    const idOf = (symbol: number): number => {
      let id = symbol < streamIds.length ? streamIds[symbol]! : -1;
      if (id < 0) {
        id = builder.newSymbol(series.symbols.text(symbol));
        if (symbol < streamIds.length) streamIds[symbol] = id;
      }
      return id;
    };
    let sent = 0;
    const reads = new ChunkReads(HEAD_FRAME_SERIES / 2);
    for (let i = 0; i < slots.length; i++) {
      if (!view.addChunks(i, query.mint, query.maxt, query.skipChunks, builder, reads)) continue;
      const ids = series.labelIds(slots[i]!);
      for (let k = 0; k < ids.length; k += 2) builder.label(idOf(ids[k]!), idOf(ids[k + 1]!));
      builder.endSeries();
      if (slices.due) await slices.breathe();
      if (++sent === query.limit) break;
      // The first frame is small, so that the other side has work while the next is read.
      const most = sent < HEAD_FRAME_SERIES ? HEAD_FRAME_SERIES / 8 : HEAD_FRAME_SERIES / 2;
      if (builder.dataBytes >= HEAD_FRAME_BYTES || builder.seriesCount >= most) {
        await slices.run(files.readSteps(reads, builder.bytes));
        yield builder.take();
      }
    }
    await slices.run(files.readSteps(reads, builder.bytes));
    if (builder.seriesCount > 0) yield builder.take();
  } finally {
    view.release();
  }
}
