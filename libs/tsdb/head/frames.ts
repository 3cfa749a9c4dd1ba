/** What a query reads of a head, as frames: chunks come out of files and memory in batches, by slices. */
import { Slices } from "#libs/kit/slices.ts";
import { type PostingsSource, selectPostings } from "../index/select.ts";
import type { SeriesQuery } from "../select.ts";
import { FrameBuilder, type SeriesFrame } from "../series/frame.ts";
import { ChunkReads } from "./chunk-files.ts";
import { ReadView } from "./read-view.ts";
import { sortByLabels } from "./series-order.ts";
import type { HeadState } from "./state.ts";
import type { HeadSymbols } from "./symbols.ts";

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
    const idOf = streamIds(series.symbols, builder, slots.length);
    let sent = 0;
    const reads = new ChunkReads(Math.max(1, Math.min(HEAD_FRAME_SERIES / 2, slots.length)));
    for (let i = 0; i < slots.length; i++) {
      if (!view.addChunks(i, query, builder, reads)) continue;
      series.addLabels(slots[i]!, builder, idOf);
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

/** Symbols of the head as those of a stream that many series want. */
function streamIds(symbols: HeadSymbols, builder: FrameBuilder, seriesCount: number): (symbol: number) => number {
  const isMany = seriesCount >= 1000;
  const many = new Int32Array(isMany ? symbols.count : 0).fill(-1);
  const few = new Map<number, number>();
  return (symbol) => {
    // A symbol may have come since.
    const isListed = symbol < many.length;
    const known = isListed ? many[symbol]! : (few.get(symbol) ?? -1);
    if (known >= 0) return known;
    const id = builder.newSymbol(symbols.text(symbol));
    if (isListed) many[symbol] = id;
    else few.set(symbol, id);
    return id;
  };
}
