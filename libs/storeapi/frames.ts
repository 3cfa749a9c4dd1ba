/**
 * Streams of frames as streams: merged by label order, given external labels, deduplicated by chunk.
 */
import { compareLabels, dropLabels, equalLabels, type Labels, withLabel } from "#libs/model/labels.ts";
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { FRAME_BYTES, FRAME_SERIES } from "#libs/tsdb/select.ts";
import { FrameBuilder, FrameReader, type SeriesFrame } from "#libs/tsdb/series/frame.ts";
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
  const apply = (labels: Labels): Labels => {
    let out = dropLabels(labels, change.without);
    for (let i = 0; i < added.length; i += 2) out = withLabel(out, added[i]!, added[i + 1]!);
    return out;
  };
  const reader = new FrameReader();
  const builder = new FrameBuilder();
  if (!change.mayReorder) {
    for await (const frame of frames) {
      reader.enter(frame);
      while (reader.next()) addSeries(builder, apply(reader.labels()), chunksOf(reader));
      yield builder.take();
    }
    return;
  }
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
  for (const { mint, maxt, encoding, data } of chunks) builder.chunk(mint, maxt, encoding, data, 0, data.length);
  builder.endSeries();
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

/** One stream being merged: where it stands. */
interface Cursor {
  readonly source: AsyncIterator<StoreItem>;
  readonly reader: FrameReader;
  labels: Labels | undefined;
}

/**
 * K-way merge by labels; series that several streams have become one, with every distinct chunk. Warnings pass as
 * they come. A single stream is handed through untouched.
 */
export async function* mergeItems(streams: readonly AsyncIterable<StoreItem>[]): AsyncGenerator<StoreItem> {
  if (streams.length === 1) {
    yield* streams[0]!;
    return;
  }
  const cursors: Cursor[] = streams.map((stream) => ({
    source: stream[Symbol.asyncIterator](),
    reader: new FrameReader(),
    labels: undefined,
  }));
  const warnings: StoreItem[] = [];
  const advance = async (cursor: Cursor): Promise<void> => {
    while (!cursor.reader.next()) {
      const { done, value } = await cursor.source.next();
      if (done === true) {
        cursor.labels = undefined;
        return;
      }
      if (value.kind === "warning") warnings.push(value);
      else cursor.reader.enter(value.frame);
    }
    cursor.labels = cursor.reader.labels();
  };
  try {
    await Promise.all(cursors.map(advance));
    const tree = new LoserTree(cursors, (a, b) => {
      if (a.labels === undefined) return b.labels === undefined ? 0 : 1;
      return b.labels === undefined ? -1 : compareLabels(a.labels, b.labels);
    });
    const builder = new FrameBuilder();
    for (;;) {
      const first = tree.winner;
      const labels = first.labels;
      if (labels === undefined) break;
      let chunks = chunksOf(first.reader);
      let parts = 1;
      await advance(first);
      tree.replay();
      for (let next = tree.winner; next.labels !== undefined && equalLabels(next.labels, labels); next = tree.winner) {
        chunks.push(...chunksOf(next.reader));
        parts++;
        await advance(next);
        tree.replay();
      }
      if (parts > 1) chunks = uniqueChunks(chunks);
      addSeries(builder, labels, chunks);
      if (isFull(builder)) yield frameItem(builder.take());
      while (warnings.length > 0) yield warnings.shift()!;
    }
    if (builder.seriesCount > 0) yield frameItem(builder.take());
    while (warnings.length > 0) yield warnings.shift()!;
  } finally {
    for (const cursor of cursors) await cursor.source.return?.();
  }
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
