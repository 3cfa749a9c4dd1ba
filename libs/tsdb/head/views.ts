/** What a query reads of a head: chunks come out of files and memory in batches, by slices. */
import { Slices } from "#libs/kit/slices.ts";
import { type PostingsSource, selectPostings } from "../index/select.ts";
import type { SeriesQuery } from "../select.ts";
import { type ChunkColumns, FrameBuilder, type SeriesFrame } from "../series/frame.ts";
import { LabelRows, type NewestSamples, type SeriesView } from "../series/view.ts";
import { OneSample } from "./one-sample.ts";
import { type OnNewest, ReadView } from "./read-view.ts";
import { sortByLabels } from "./series-order.ts";
import type { HeadState } from "./state.ts";
import { StreamIds } from "./stream-ids.ts";

/** Views of a head are large: the more series are read at once, the fewer reads (see HeadChunkFiles.readSteps). */
const VIEW_BYTES = 4 << 20;
const VIEW_SERIES = 8192;
/** Series between two looks at the clock. */
const TURN_SERIES = 256;

/** The matching series, ascending by labels, as they are at one moment; chunks of a series do not overlap. */
export async function* headViews(
  state: HeadState,
  postings: PostingsSource,
  query: SeriesQuery,
  signal: AbortSignal,
): AsyncGenerator<SeriesView> {
  const { files, late, tombstones, series } = state;
  const slices = new Slices(10, signal);
  const selected = await selectPostings(postings, query.matchers);
  const slots = selected.length < 2 ? selected : await sortByLabels(series, selected, slices);
  if (series !== state.series) {
    yield* headViews(state, postings, query, signal);
    return;
  }
  const newestTo = query.newestOnly === true ? query.maxt : undefined;
  const view = new ReadView(series, slots, files, late, tombstones, newestTo);
  const builder = new FrameBuilder();
  try {
    const ids = new StreamIds(series.symbols.texts, builder, slots.length);
    let newest: NewestSamples | undefined;
    let sent = 0;
    let left = query.limit === 0 ? Infinity : query.limit;
    for (let i = 0; i < slots.length && left > 0;) {
      // The first are small, so that who scans them has work while the next are read.
      const most = Math.min(left, slots.length - i, sent < VIEW_SERIES ? VIEW_SERIES / 8 : VIEW_SERIES / 2);
      newest = query.newestOnly === true ? cleared(newest, most) : undefined;
      const rows = new Rows(most, newest);
      for (; i < slots.length && !isFull(builder, rows);) {
        i = addSeries(view, i, query, builder, rows);
        if (slices.due) await slices.breathe();
      }
      if (rows.count === 0) continue;
      if (view.hasReads) await slices.run(view.readSteps(builder.bytes));
      sent += rows.count;
      left -= rows.count;
      yield new HeadView(new LabelRows(series.symbols.texts, series.labelSets, rows.labels), rows, builder, ids);
      builder.clear();
    }
  } finally {
    builder.release();
    view.release();
  }
}

/** Without samples, for so many series; in memory of the view before where that has room: of 100,000 series it is 2.4 MB. */
function cleared(before: NewestSamples | undefined, capacity: number): NewestSamples {
  if (before === undefined || before.times.length < capacity)
    return { times: new Float64Array(capacity).fill(NaN), words: new Int32Array(2 * capacity), starts: undefined };
  before.times.fill(NaN);
  before.starts?.fill(0);
  return before;
}

/** The series of a view being made. */
class Rows {
  readonly #labels: Uint32Array<ArrayBuffer>;
  readonly #chunkEnds: Uint32Array<ArrayBuffer>;
  readonly newest: NewestSamples | undefined;
  /** Takes the newest sample of the next series. */
  readonly onNewest: OnNewest | undefined;
  count = 0;

  constructor(capacity: number, newest: NewestSamples | undefined) {
    this.#labels = new Uint32Array(capacity);
    this.#chunkEnds = new Uint32Array(capacity);
    this.newest = newest;
    if (newest === undefined) return;
    const { times, words } = newest;
    this.onNewest = (time, low, high, start) => {
      times[this.count] = time;
      if (start !== 0) (newest.starts ??= new Float64Array(times.length))[this.count] = start;
      words[2 * this.count] = low;
      words[2 * this.count + 1] = high;
    };
  }

  get isFull(): boolean {
    return this.count === this.#labels.length;
  }

  add(labels: number, chunkEnd: number): void {
    this.#labels[this.count] = labels;
    this.#chunkEnds[this.count++] = chunkEnd;
  }

  get labels(): Uint32Array<ArrayBuffer> {
    return this.isFull ? this.#labels : this.#labels.subarray(0, this.count);
  }

  get chunkEnds(): Uint32Array<ArrayBuffer> {
    return this.isFull ? this.#chunkEnds : this.#chunkEnds.subarray(0, this.count);
  }
}

function isFull(builder: FrameBuilder, rows: Rows): boolean {
  return rows.isFull || builder.dataBytes >= VIEW_BYTES;
}

/**
 * Adds series from `i` on, until the view is full or it may be someone else's turn. @returns the next. Not in the
 * generator itself, whose loop is compiled anew for every query and less well.
 */
function addSeries(view: ReadView, i: number, query: SeriesQuery, builder: FrameBuilder, rows: Rows): number {
  const end = Math.min(i + TURN_SERIES, view.slots.length);
  let next = i;
  while (next < end && !isFull(builder, rows)) {
    if (view.addChunks(next, query, builder, rows.onNewest)) rows.add(view.labelsAt(next), builder.chunkCount);
    next++;
  }
  return next;
}

class HeadView implements SeriesView {
  readonly labels: LabelRows;
  readonly chunkEnds: Uint32Array<ArrayBuffer>;
  readonly newest: NewestSamples | undefined;
  readonly #builder: FrameBuilder;
  readonly #ids: StreamIds;

  constructor(labels: LabelRows, { chunkEnds, newest }: Rows, builder: FrameBuilder, ids: StreamIds) {
    this.labels = labels;
    this.chunkEnds = chunkEnds;
    this.newest = newest;
    this.#builder = builder;
    this.#ids = ids;
  }

  get chunks(): ChunkColumns {
    return this.#builder.chunks;
  }

  take(): ChunkColumns {
    if (this.newest !== undefined) throw new Error("BUG: a view of newest samples has no chunks to take");
    return this.#builder.take();
  }

  toFrame(): SeriesFrame {
    if (this.newest !== undefined) return this.#newestFrame(this.newest);
    for (let s = 0; s < this.labels.count; s++) {
      this.#addLabels(s);
      this.#builder.endSeries(this.chunkEnds[s]!);
    }
    return this.#builder.take();
  }

  /** Each newest sample as a chunk of its own. */
  #newestFrame({ times, words, starts }: NewestSamples): SeriesFrame {
    const others = this.#builder.takeChunks();
    const one = new OneSample();
    let from = 0;
    for (let s = 0; s < this.labels.count; s++) {
      for (const end = this.chunkEnds[s]!; from < end; from++) {
        const { mint, maxt, encoding, data } = others[from]!;
        this.#builder.chunk(mint, maxt, encoding, data, 0, data.length);
      }
      if (!Number.isNaN(times[s]!))
        one.add(this.#builder, times[s]!, words[2 * s]!, words[2 * s + 1]!, starts?.[s] ?? 0);
      this.#addLabels(s);
      this.#builder.endSeries();
    }
    return this.#builder.take();
  }

  #addLabels(s: number): void {
    const { sets, at } = this.labels;
    const set = at[s]!;
    const names = sets.names(set);
    for (let k = 0, count = sets.count(names); k < count; k++)
      this.#builder.label(this.#ids.of(sets.name(names, k)), this.#ids.of(sets.value(set, k)));
  }
}
