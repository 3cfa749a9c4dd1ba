/**
 * Merges blocks into one: k-way over their series in label order, whether the blocks follow each other or overlap.
 *
 *   block A  {a} {b}     ─┐ SeriesCursor, symbols          ┌ chunks as they are,
 *   block B      {b} {c} ─┤ as ordinals of all  ──▶ {a}{b}{c} ┤ or without what is deleted,      ──▶ BlockWriter
 *   block C  {a}         ─┘ symbols merged                 └ or one series of overlapping ones
 *
 * Memory: symbols, a window of a few MiB into each block, one series; `index/writer.ts` says what the index takes.
 * Labels are compared as ordinals of the merged symbols, which have the order of their UTF-8.
 */
import type { CorruptionError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import { type BlockBytes, openBlockFolder } from "../block/bytes.ts";
import { cutChunk, type Interval } from "../block/cut-chunks.ts";
import { mergeExtras } from "../block/merge-extras.ts";
import type { BlockMeta, ThanosMeta } from "../block/meta.ts";
import { parseTombstones, type Tombstones, NO_TOMBSTONES } from "../block/tombstones.ts";
import { verifyBlock } from "../block/verify.ts";
import { BlockWriter, type BlockWriterLimits, type WrittenBlock } from "../block/writer.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { mergeSymbols } from "../index/packed-symbols.ts";
import { Heap } from "./heap.ts";
import { mergeChunks } from "./merge-chunks.ts";
import { mergedIdentity } from "./plan.ts";
import { SeriesCursor } from "../block/series-cursor.ts";

/** A block to merge; its bytes stay the caller's to close. */
export interface MergeSource {
  readonly meta: BlockMeta;
  readonly bytes: BlockBytes;
}

export interface MergeTarget {
  /** The block's folder to be, named by `ulid`. */
  readonly path: string;
  readonly ulid: string;
  readonly thanos?: ThanosMeta | undefined;
  /** Its history, when it is not that of a merge. */
  readonly compaction?: BlockMeta["compaction"] | undefined;
  readonly limits?: BlockWriterLimits | undefined;
  /** Told of a source's damaged file of exemplars and metadata, which the merged block goes without; else it is thrown. */
  readonly onDamagedExtras?: ((error: CorruptionError) => void) | undefined;
}

/**
 * Writes the merged block and reads it back. Undefined, and nothing written, when no sample is left.
 *
 * @throws CorruptionError naming the source that is corrupt, or the merged block when it is not what was written.
 */
export async function mergeBlocks(
  sources: readonly MergeSource[],
  target: MergeTarget,
  signal?: AbortSignal,
): Promise<WrittenBlock | undefined> {
  const merged = mergedIdentity(sources.map(({ meta }) => meta));
  const identity = { ...merged, compaction: target.compaction ?? merged.compaction };
  const inputs = await Promise.all(sources.map(({ bytes }) => Input.open(bytes, identity)));
  const slices = new Slices(10, signal);
  const tables = inputs.map(({ cursor }) => cursor.symbols);
  const { symbols, ordinals } = await mergeSymbols(tables, slices);
  inputs.forEach(({ cursor }, i) => cursor.translate(ordinals[i]!));
  const writer = await BlockWriter.openSliced(target.path, symbols, slices, target.limits);
  try {
    await mergeSeries(inputs, writer, slices);
    if (writer.seriesCount === 0) {
      writer.abandon();
      return undefined;
    }
    const { ulid, thanos } = target;
    const extras = await mergeExtras(sources, slices, target.onDamagedExtras ?? raise);
    const meta = await writer.completeSliced({ ...identity, ulid, thanos, extras }, slices);
    const written = openBlockFolder(writer.temporaryPath);
    try {
      // Samples need no decoding: chunks are the sources', or have just been encoded.
      await verifyBlock(written, meta, { samples: false, signal });
    } catch (error) {
      // Chunks are copied with their checksums: what is wrong is most likely wrong in a source, which this names.
      for (const source of sources) await verifyBlock(source.bytes, source.meta, { samples: false, signal });
      throw error;
    } finally {
      written.close();
    }
    return writer.publish(meta);
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function raise(error: CorruptionError): never {
  throw error;
}

async function mergeSeries(inputs: readonly Input[], writer: BlockWriter, slices: Slices): Promise<void> {
  const heap = new Heap<Input>((a, b) => compareLabels(a.cursor, b.cursor) < 0);
  /** Those whose series was merged last. */
  let same: Input[] = [...inputs];
  const lists: (readonly Chunk[])[] = [];
  for (;;) {
    for (const input of same) if (input.cursor.isBuffered || (await input.cursor.load())) heap.push(input.advance());
    const first = heap.pop();
    if (first === undefined) return;
    same = [first];
    while (heap.size > 0 && compareLabels(first.cursor, heap.first!.cursor) === 0) same.push(heap.pop()!);
    lists.length = 0;
    for (const input of same) lists.push(input.keep(input.cursor.chunks() ?? (await input.cursor.loadChunks())));
    const chunks = mergeChunks(lists, first.cursor.name);
    if (chunks.length > 0) writer.addSeries(first.cursor.labels.subarray(0, first.cursor.labelCount), chunks);
    if (slices.due) await slices.breathe();
  }
}

/** A source being read. */
class Input {
  readonly cursor: SeriesCursor;
  readonly #tombstones: Tombstones;
  readonly #range: Pick<BlockMeta, "minTime" | "maxTime">;

  private constructor(cursor: SeriesCursor, tombstones: Tombstones, range: Pick<BlockMeta, "minTime" | "maxTime">) {
    this.cursor = cursor;
    this.#tombstones = tombstones;
    this.#range = range;
  }

  /** Samples outside `range` will be left out, as well as deleted ones. */
  static async open(bytes: BlockBytes, range: Pick<BlockMeta, "minTime" | "maxTime">): Promise<Input> {
    const tombstones = await bytes.tombstones?.();
    return new Input(
      await SeriesCursor.open(bytes),
      tombstones === undefined ? NO_TOMBSTONES : parseTombstones(tombstones, `${bytes.name}/tombstones`),
      range,
    );
  }

  advance(): this {
    this.cursor.next();
    return this;
  }

  /** What is to be kept of the current series' chunks. */
  keep(chunks: readonly Chunk[]): readonly Chunk[] {
    const { minTime, maxTime } = this.#range;
    const deleted = this.#tombstones.get(this.cursor.ref);
    const inside = chunks.length === 0 || (chunks[0]!.mint >= minTime && chunks.at(-1)!.maxt < maxTime);
    if (deleted === undefined && inside) return chunks;
    const outside: Interval[] = [
      { mint: -Infinity, maxt: minTime - 1 },
      { mint: maxTime, maxt: Infinity },
    ];
    return chunks.flatMap((chunk) => cutChunk(chunk, [...(deleted ?? []), ...outside], this.cursor.name));
  }
}

function compareLabels(a: SeriesCursor, b: SeriesCursor): number {
  const length = Math.min(a.labelCount, b.labelCount);
  const x = a.labels;
  const y = b.labels;
  for (let i = 0; i < length; i++) if (x[i] !== y[i]) return x[i]! - y[i]!;
  return a.labelCount - b.labelCount;
}
