/**
 * Streams of frames: given external labels, deduplicated by chunk, as items of a store. Merged in `merge-items.ts`.
 */
import { mapped } from "#libs/kit/mapped.ts";
import { compareLabels, dropLabels, equalLabels, type Labels, withLabel } from "#libs/model/labels.ts";
import type { Chunk } from "#libs/tsdb/chunk/encoding.ts";
import { FRAME_BYTES, FRAME_SERIES } from "#libs/tsdb/select.ts";
import { FrameBuilder, FrameReader, type SeriesFrame } from "#libs/tsdb/series/frame.ts";
import type { SeriesItem, StoreItem } from "./store.ts";
import { LabelAdder } from "./label-adder.ts";

export function frameItem(frame: SeriesFrame): StoreItem {
  return { kind: "frame", frame };
}

/** What has come as a view, too, as a frame. */
export function frameOf(item: SeriesItem): SeriesFrame {
  return item.kind === "view" ? item.view.toFrame() : item.frame;
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
export function changeLabels(frames: AsyncIterable<SeriesFrame>, change: LabelChange): AsyncIterable<SeriesFrame> {
  const added = dropLabels(change.external, change.without);
  if (change.mayReorder) return sortedAgain(frames, change.without, added);
  if (added.length === 0) return frames;
  const adder = new LabelAdder(added);
  return mapped(frames, (frame) => adder.add(frame));
}

async function* sortedAgain(
  frames: AsyncIterable<SeriesFrame>,
  without: ReadonlySet<string>,
  added: Labels,
): AsyncGenerator<SeriesFrame> {
  const apply = (labels: Labels): Labels => {
    let out = dropLabels(labels, without);
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

export function addChunk(builder: FrameBuilder, { mint, maxt, encoding, data }: Chunk): void {
  builder.chunk(mint, maxt, encoding, data, 0, data.length);
}

export function isFull(builder: FrameBuilder): boolean {
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

/** Frames as items. */
export function asItems(frames: AsyncIterable<SeriesFrame>): AsyncIterable<StoreItem> {
  return mapped(frames, frameItem);
}

/** The frames of items; warnings go to `onWarning`. */
export async function* framesOf(
  items: AsyncIterable<StoreItem>,
  onWarning: (text: string) => void,
): AsyncGenerator<SeriesFrame> {
  for await (const item of items) {
    if (item.kind === "warning") onWarning(item.text);
    else yield frameOf(item);
  }
}
