/** Streams of series as one: a merge by labels, in columns. */
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { FrameBuilder, FrameReader, releaseFrame, type SeriesFrame } from "#libs/tsdb/series/frame.ts";
import { addChunk, frameItem, frameOf, isFull, uniqueChunks } from "./frames.ts";
import { LoserTree } from "./loser-tree.ts";
import type { SeriesItem, StoreItem } from "./store.ts";

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
  readonly #warnings: StoreItem[];
  readonly #reader = new FrameReader();
  #item: SeriesItem | undefined;
  /** That of the item, once it was entered. */
  #frame: SeriesFrame | undefined;
  /** By symbol id of the stream. */
  readonly #idOf: number[] = [];
  /** Labels of the series, by ids of the merged stream. */
  readonly ids: number[] = [];
  isDone = false;

  constructor(items: AsyncIterator<StoreItem>, warnings: StoreItem[]) {
    this.#items = items;
    this.#warnings = warnings;
  }

  /** Fetches the next series, to be entered. */
  async fetch(): Promise<void> {
    if (this.#frame !== undefined) releaseFrame(this.#frame);
    this.#frame = undefined;
    for (;;) {
      const { done, value } = await this.#items.next();
      if (done === true) {
        this.#item = undefined;
        this.isDone = true;
        return;
      }
      if (value.kind !== "warning") {
        this.#item = value;
        return;
      }
      this.#warnings.push(value);
    }
  }

  /** Moves to the first series of what was fetched, or of the next frame that has any. */
  async enter(symbols: MergedSymbols): Promise<void> {
    for (; this.#item !== undefined; await this.fetch()) {
      this.#frame = frameOf(this.#item);
      for (const symbol of this.#frame.symbols) this.#idOf.push(symbols.idOf(symbol));
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
    builder.copyChunks(this.#reader.frame, this.#reader.chunkFrom, this.#reader.chunkTo);
  }

  /** Where the chunks of the series begin; Infinity without any. */
  get mint(): number {
    const { frame, chunkFrom, chunkTo } = this.#reader;
    return chunkFrom < chunkTo ? frame.mints[chunkFrom]! : Infinity;
  }

  /** The item that was fetched first, as it came, and what follows. */
  async *untouched(): AsyncGenerator<StoreItem> {
    if (this.#item !== undefined) yield this.#item;
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
export function mergeItems<T extends AsyncIterable<StoreItem>>(
  streams: readonly T[],
): T | AsyncIterableIterator<StoreItem> {
  return streams.length === 1 ? streams[0]! : mergeStreams(streams);
}

async function* mergeStreams(streams: readonly AsyncIterable<StoreItem>[]): AsyncGenerator<StoreItem> {
  const warnings: StoreItem[] = [];
  const cursors = streams.map((stream) => new Cursor(stream[Symbol.asyncIterator](), warnings));
  try {
    await Promise.all(cursors.map((cursor) => cursor.fetch()));
    yield* warnings.splice(0);
    const live = cursors.filter(({ isDone }) => !isDone);
    if (live.length === 1) yield* live[0]!.untouched();
    else if (live.length > 1) yield* mergeSeries(live, warnings);
  } finally {
    for (const cursor of cursors) await cursor.end();
  }
}

async function* mergeSeries(cursors: readonly Cursor[], warnings: StoreItem[]): AsyncGenerator<StoreItem> {
  const builder = new FrameBuilder();
  const symbols = new MergedSymbols(builder);
  await Promise.all(cursors.map((cursor) => cursor.enter(symbols)));
  const tree = new LoserTree(cursors, (a, b) => {
    if (a.isDone || b.isDone) return Number(a.isDone) - Number(b.isDone);
    const length = Math.min(a.ids.length, b.ids.length);
    for (let i = 0; i < length; i++) if (a.ids[i] !== b.ids[i]) return symbols.compare(a.ids[i]!, b.ids[i]!);
    if (a.ids.length !== b.ids.length) return a.ids.length - b.ids.length;
    // Parts of a series that follow each other need no sorting.
    return a.mint === b.mint ? 0 : a.mint - b.mint;
  });
  /** The series being added, and of how many it is made. */
  let ids: number[] = [];
  let parts = 0;
  const finish = (): void => {
    if (parts > 1 && !builder.chunksFollow)
      for (const chunk of uniqueChunks(builder.takeChunks())) addChunk(builder, chunk);
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
      await cursor.enter(symbols);
    }
    tree.replay();
  }
  if (parts > 0) finish();
  if (builder.seriesCount > 0) yield frameItem(builder.take());
  yield* warnings.splice(0);
}
