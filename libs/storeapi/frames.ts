/**
 * Streams of frames as streams: merged by label order, given external labels, deduplicated by chunk.
 */
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { compareLabels, dropLabels, equalLabels, type Labels, withLabel } from "#libs/model/labels.ts";
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { FRAME_BYTES, FRAME_SERIES } from "#libs/tsdb/select.ts";
import { FrameBuilder, FrameReader, releaseFrame, seriesCount, type SeriesFrame } from "#libs/tsdb/series/frame.ts";
import type { StoreItem } from "./store.ts";
import { LoserTree } from "./loser-tree.ts";

export function frameItem(frame: SeriesFrame): StoreItem {
  return { kind: "frame", frame };
}

/** How the labels of a stream change on their way out. */
export interface LabelChange {
  /** Added to every series; they win over the series' own. */
  readonly external: Labels;
  /** Removed from every series. */
  readonly without: ReadonlySet<string>;
  /** Whether a series may carry one of these names itself, so that the order can change: then all are sorted again. */
  readonly mayReorder: boolean;
}

/** Applies a change of labels. Without reordering it goes frame by frame; else all series are held and sorted. */
export async function* changeLabels(
  frames: AsyncIterable<SeriesFrame>,
  change: LabelChange,
): AsyncGenerator<SeriesFrame> {
  const added = dropLabels(change.external, change.without);
  if (added.length === 0 && !change.mayReorder) {
    yield* frames;
    return;
  }
  if (!change.mayReorder) {
    const adder = new LabelAdder(added);
    for await (const frame of frames) yield adder.add(frame);
    return;
  }
  const apply = (labels: Labels): Labels => {
    let out = dropLabels(labels, change.without);
    for (let i = 0; i < added.length; i += 2) out = withLabel(out, added[i]!, added[i + 1]!);
    return out;
  };
  const reader = new FrameReader();
  const builder = new FrameBuilder();
  const all: { labels: Labels; chunks: Chunk[] }[] = [];
  for await (const frame of frames) {
    reader.enter(frame);
    while (reader.next()) all.push({ labels: apply(reader.labels()), chunks: chunksOf(reader) });
  }
  all.sort((a, b) => compareLabels(a.labels, b.labels));
  for (let i = 0; i < all.length;) {
    const { labels } = all[i]!;
    const chunks: Chunk[] = [];
    for (; i < all.length && equalLabels(all[i]!.labels, labels); i++) chunks.push(...all[i]!.chunks);
    addSeries(builder, labels, uniqueChunks(chunks));
    if (isFull(builder)) yield builder.take();
  }
  if (builder.seriesCount > 0) yield builder.take();
}

function chunksOf(reader: FrameReader): Chunk[] {
  const chunks: Chunk[] = [];
  for (let i = reader.chunkFrom; i < reader.chunkTo; i++) chunks.push(reader.chunk(i));
  return chunks;
}

function addSeries(builder: FrameBuilder, labels: Labels, chunks: readonly Chunk[]): void {
  builder.labels(labels);
  for (const chunk of chunks) addChunk(builder, chunk);
  builder.endSeries();
}

function addChunk(builder: FrameBuilder, { mint, maxt, encoding, data }: Chunk): void {
  builder.chunk(mint, maxt, encoding, data, 0, data.length);
}

function isFull(builder: FrameBuilder): boolean {
  return builder.dataBytes >= FRAME_BYTES || builder.seriesCount >= FRAME_SERIES;
}

/** Chunks by mint, maxt and bytes, equal ones once: what two stores have of the same block. */
export function uniqueChunks(chunks: readonly Chunk[]): Chunk[] {
  if (chunks.length < 2) return [...chunks];
  const sorted = chunks.toSorted((a, b) => a.mint - b.mint || a.maxt - b.maxt || Buffer.compare(a.data, b.data));
  return sorted.filter((chunk, i) => {
    const previous = sorted[i - 1];
    return (
      previous === undefined ||
      previous.mint !== chunk.mint ||
      previous.maxt !== chunk.maxt ||
      previous.encoding !== chunk.encoding ||
      Buffer.compare(previous.data, chunk.data) !== 0
    );
  });
}

/** Adds labels to the series of a stream that have none of these names; chunks stay where they are. */
class LabelAdder {
  readonly #added: Labels;
  /** By symbol id of the stream: how many of the added names sort before it, plus one; 0 is not known yet. */
  #ranks = new Uint16Array(256);
  readonly #symbols: string[] = [];
  #isFirst = true;

  constructor(added: Labels) {
    this.#added = added;
  }

  add(frame: SeriesFrame): SeriesFrame {
    const count = this.#added.length;
    // The added strings are the first symbols of the new stream.
    const symbols = this.#isFirst ? [...this.#added, ...frame.symbols] : frame.symbols;
    this.#isFirst = false;
    for (const symbol of frame.symbols) this.#symbols.push(symbol);
    const series = seriesCount(frame);
    const labels = new Uint32Array(frame.labels.length + series * count);
    const labelEnds = new Uint32Array(series);
    let to = 0;
    for (let s = 0, from = 0; s < series; s++) {
      let placed = 0;
      for (const end = frame.labelEnds[s]!; from < end; from += 2) {
        const before = 2 * this.#rank(frame.labels[from]!);
        while (placed < before) labels[to++] = placed++;
        labels[to++] = frame.labels[from]! + count;
        labels[to++] = frame.labels[from + 1]! + count;
      }
      while (placed < count) labels[to++] = placed++;
      labelEnds[s] = to;
    }
    return { ...frame, symbols, labels, labelEnds };
  }

  #rank(id: number): number {
    const known = this.#ranks[id] ?? 0;
    if (known > 0) return known - 1;
    if (id >= this.#ranks.length) {
      const larger = new Uint16Array(2 * id);
      larger.set(this.#ranks);
      this.#ranks = larger;
    }
    const name = this.#symbols[id]!;
    let rank = 0;
    while (2 * rank < this.#added.length && compareUtf8(this.#added[2 * rank]!, name) < 0) rank++;
    this.#ranks[id] = rank + 1;
    return rank;
  }
}

/** The strings of a merged stream: a frame's symbols as ids of its builder. */
class MergedSymbols {
  readonly #builder: FrameBuilder;
  readonly #texts: string[] = [];

  constructor(builder: FrameBuilder) {
    this.#builder = builder;
  }

  idOf(text: string): number {
    const id = this.#builder.symbolId(text);
    if (id === this.#texts.length) this.#texts.push(text);
    return id;
  }

  compare(a: number, b: number): number {
    return compareUtf8(this.#texts[a]!, this.#texts[b]!);
  }
}

/** One stream being merged, at one of its series. */
class Cursor {
  readonly #items: AsyncIterator<StoreItem>;
  readonly #symbols: MergedSymbols;
  readonly #warnings: StoreItem[];
  readonly #reader = new FrameReader();
  #frame: SeriesFrame | undefined;
  /** By symbol id of the stream. */
  readonly #idOf: number[] = [];
  /** Labels of the series, by ids of the merged stream. */
  readonly ids: number[] = [];
  isDone = false;

  constructor(items: AsyncIterator<StoreItem>, symbols: MergedSymbols, warnings: StoreItem[]) {
    this.#items = items;
    this.#symbols = symbols;
    this.#warnings = warnings;
  }

  /** Fetches the next frame, to be entered. */
  async fetch(): Promise<void> {
    if (this.#frame !== undefined) releaseFrame(this.#frame);
    for (;;) {
      const { done, value } = await this.#items.next();
      if (done === true) {
        this.#frame = undefined;
        this.isDone = true;
        return;
      }
      if (value.kind === "frame") {
        this.#frame = value.frame;
        return;
      }
      this.#warnings.push(value);
    }
  }

  /** Moves to the first series of what was fetched, or of the next frame that has any. */
  async enter(): Promise<void> {
    for (; this.#frame !== undefined; await this.fetch()) {
      for (const symbol of this.#frame.symbols) this.#idOf.push(this.#symbols.idOf(symbol));
      this.#reader.enter(this.#frame);
      if (this.next()) return;
    }
  }

  /** Moves to the next series of the frame. */
  next(): boolean {
    const reader = this.#reader;
    if (!reader.next()) return false;
    const { labels } = reader.frame;
    const from = reader.labelsFrom;
    const length = reader.labelsTo - from;
    const { ids } = this;
    ids.length = length;
    for (let i = 0; i < length; i++) ids[i] = this.#idOf[labels[from + i]!]!;
    return true;
  }

  copyChunks(builder: FrameBuilder): void {
    const { mints, maxts, encodings, dataEnds, data } = this.#reader.frame;
    for (let i = this.#reader.chunkFrom; i < this.#reader.chunkTo; i++) {
      const at = i === 0 ? 0 : dataEnds[i - 1]!;
      builder.chunk(mints[i]!, maxts[i]!, encodings[i]!, data, at, dataEnds[i]! - at);
    }
  }

  /** The frame that was fetched first, as it came, and what follows. */
  async *untouched(): AsyncGenerator<StoreItem> {
    if (this.#frame !== undefined) yield frameItem(this.#frame);
    for (;;) {
      const { done, value } = await this.#items.next();
      if (done === true) return;
      yield value;
    }
  }

  async end(): Promise<void> {
    await this.#items.return?.();
  }
}

function equalIds(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * K-way merge by labels; series that several streams have become one, with every distinct chunk. Warnings pass as
 * they come. A stream without others that have anything is handed through untouched.
 */
export async function* mergeItems(streams: readonly AsyncIterable<StoreItem>[]): AsyncGenerator<StoreItem> {
  if (streams.length === 1) {
    yield* streams[0]!;
    return;
  }
  const builder = new FrameBuilder();
  const symbols = new MergedSymbols(builder);
  const warnings: StoreItem[] = [];
  const cursors = streams.map((stream) => new Cursor(stream[Symbol.asyncIterator](), symbols, warnings));
  try {
    await Promise.all(cursors.map((cursor) => cursor.fetch()));
    yield* warnings.splice(0);
    const live = cursors.filter(({ isDone }) => !isDone);
    if (live.length === 1) yield* live[0]!.untouched();
    else if (live.length > 1) {
      await Promise.all(live.map((cursor) => cursor.enter()));
      yield* mergeSeries(live, builder, symbols, warnings);
    }
  } finally {
    for (const cursor of cursors) await cursor.end();
  }
}

async function* mergeSeries(
  cursors: readonly Cursor[],
  builder: FrameBuilder,
  symbols: MergedSymbols,
  warnings: StoreItem[],
): AsyncGenerator<StoreItem> {
  const tree = new LoserTree(cursors, (a, b) => {
    if (a.isDone || b.isDone) return Number(a.isDone) - Number(b.isDone);
    const length = Math.min(a.ids.length, b.ids.length);
    for (let i = 0; i < length; i++) if (a.ids[i] !== b.ids[i]) return symbols.compare(a.ids[i]!, b.ids[i]!);
    return a.ids.length - b.ids.length;
  });
  /** The series being added, and of how many it is made. */
  let ids: number[] = [];
  let parts = 0;
  const finish = (): void => {
    if (parts > 1) for (const chunk of uniqueChunks(builder.takeChunks())) addChunk(builder, chunk);
    builder.endSeries();
  };
  for (let cursor = tree.winner; !cursor.isDone; cursor = tree.winner) {
    if (parts === 0 || !equalIds(ids, cursor.ids)) {
      if (parts > 0) finish();
      if (isFull(builder)) yield frameItem(builder.take());
      yield* warnings.splice(0);
      ids = [...cursor.ids];
      for (let i = 0; i < ids.length; i += 2) builder.label(ids[i]!, ids[i + 1]!);
      parts = 0;
    }
    cursor.copyChunks(builder);
    parts++;
    if (!cursor.next()) {
      await cursor.fetch();
      await cursor.enter();
    }
    tree.replay();
  }
  if (parts > 0) finish();
  if (builder.seriesCount > 0) yield frameItem(builder.take());
  yield* warnings.splice(0);
}

/** Frames as items. */
export async function* asItems(frames: AsyncIterable<SeriesFrame>): AsyncGenerator<StoreItem> {
  for await (const frame of frames) yield frameItem(frame);
}

/** The frames of items; warnings go to `onWarning`. */
export async function* framesOf(
  items: AsyncIterable<StoreItem>,
  onWarning: (text: string) => void,
): AsyncGenerator<SeriesFrame> {
  for await (const item of items) {
    if (item.kind === "frame") yield item.frame;
    else onWarning(item.text);
  }
}
