/** Writes ranges of a head into blocks, by slices. */
import { join } from "node:path";
import { Slices } from "#libs/kit/slices.ts";
import { METRIC_NAME } from "#libs/model/labels.ts";
import { encodeExtras } from "../block/extras.ts";
import { type BlockIdentity, BlockWriter, type WrittenBlock } from "../block/writer.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { rangeEnd } from "./chunk-end.ts";
import { type PackedSymbols, SymbolPacker } from "../index/packed-symbols.ts";
import { FrameBuilder, FrameReader } from "../series/frame.ts";
import { mergeChunks } from "./merge-chunks.ts";
import { seriesNames } from "./metric-metadata.ts";
import { ReadView, readFullChunk } from "./read-view.ts";
import type { FullChunk } from "./full-chunks.ts";
import type { HeadSeries } from "./series.ts";
import { sortByLabels } from "./series-order.ts";
import { countingFrom } from "./sort-sliced.ts";
import type { HeadState } from "./state.ts";

/**
 * Series and bytes that are read at once. Chunks lie in the order of time, so the more series, the closer they lie:
 * 100,000 series × 2 h take READS with 16,384 of them, 400,000 one by one (bench/figures.ts).
 */
const BATCH_SERIES = 1 << 14;
const BATCH_BYTES = 32 << 20;

/** The in-order samples in [mint, end), deleted ones left out. Undefined when there are none. */
export async function cutRange(
  state: HeadState,
  blocksFolder: string,
  ulid: string,
  mint: number,
  end: number,
): Promise<WrittenBlock | undefined> {
  const { series } = state;
  const slices = new Slices(10);
  const candidates = countingFrom(0, series.count);
  const slots = await sortByLabels(series, candidates, slices);
  const identity = { ulid, minTime: mint, maxTime: end, compaction: { level: 1, sources: [ulid] } };
  const builder = new FrameBuilder(BATCH_BYTES + (1 << 20));
  const batch = new FrameReader();
  let from = 0;
  let to = 0;
  /** The chunks of the series from `i` on; nothing before `end` changes any more. */
  const read = async (i: number): Promise<void> => {
    const view = new ReadView(series, slots.subarray(i, i + BATCH_SERIES), state.files, undefined, state.tombstones);
    try {
      for (let k = 0; k < view.slots.length && builder.dataBytes < BATCH_BYTES; k++) {
        view.addChunks(k, { mint: -Infinity, maxt: end - 1, skipChunks: false }, builder);
        builder.endSeries();
        if (slices.due) await slices.breathe();
      }
      await slices.run(view.readSteps(builder.bytes));
      from = i;
      to = i + builder.seriesCount;
      batch.enter(builder.take());
    } finally {
      view.release();
    }
  };
  return writeBlock(blocksFolder, identity, state, slots, slices, {
    has: (i) => series.firstTime(slots[i]!, -Infinity) < end,
    load: (i) => (i >= to ? read(i) : undefined),
    chunks(i) {
      const { chunkEnds } = batch.frame;
      const chunks: Chunk[] = [];
      for (let k = i === from ? 0 : chunkEnds[i - from - 1]!; k < chunkEnds[i - from]!; k++)
        chunks.push(batch.chunk(k));
      return chunks;
    },
  });
}

/**
 * All samples that the head has now, late ones among them, as a block that the head knows nothing of. Undefined when
 * there are none. Not while it is truncated.
 */
export async function copyHead(
  state: HeadState,
  blocksFolder: string,
  ulid: string,
): Promise<WrittenBlock | undefined> {
  const { series, late } = state;
  const slices = new Slices(10);
  const candidates = countingFrom(0, series.count);
  const slots = await sortByLabels(series, candidates, slices);
  // Of one moment, together with the view.
  const minTime = Math.min(state.mint, late.mint);
  const maxTime = Math.max(state.maxt, late.maxt) + 1;
  const view = new ReadView(series, slots, state.files, late, state.tombstones);
  try {
    const identity = { ulid, minTime, maxTime, compaction: { level: 1, sources: [ulid] } };
    return await writeBlock(blocksFolder, identity, state, slots, slices, {
      has: () => true,
      load: () => undefined,
      chunks: (i) => view.chunks(i, -Infinity, Infinity),
    });
  } finally {
    view.release();
  }
}

/** Chunks of out-of-order samples by ref, none of which changes any more. */
export type LateChunks = ReadonlyMap<number, readonly FullChunk[]>;

/** The samples of out-of-order chunks, a block for each aligned range that has any; deleted ones are left out. */
export async function cutLateChunks(
  state: HeadState,
  late: LateChunks,
  blocksFolder: string,
  nextUlid: () => string,
): Promise<WrittenBlock[]> {
  const { series, options } = state;
  const slices = new Slices(10);
  const candidates: number[] = [];
  for (let slot = 0; slot < series.count; slot++) if (late.has(series.refs[slot]!)) candidates.push(slot);
  const slots = await sortByLabels(series, Uint32Array.from(candidates), slices);
  const chunksOf = (i: number): readonly FullChunk[] => late.get(series.refs[slots[i]!]!)!;
  const ends = new Set<number>();
  for (const chunks of late.values())
    for (const { mint, maxt } of chunks)
      for (let end = rangeEnd(mint, options.rangeMs); end - options.rangeMs <= maxt; end += options.rangeMs)
        ends.add(end);
  const blocks: WrittenBlock[] = [];
  for (const end of [...ends].sort((a, b) => a - b)) {
    const mint = end - options.rangeMs;
    const inRange = ({ mint: from, maxt: to }: FullChunk): boolean => from < end && to >= mint;
    const ulid = nextUlid();
    const compaction = { level: 1, sources: [ulid], hints: [OUT_OF_ORDER_HINT] };
    const block = await writeBlock(
      blocksFolder,
      { ulid, minTime: mint, maxTime: end, compaction },
      state,
      slots,
      slices,
      {
        has: (i) => chunksOf(i).some(inRange),
        load: () => undefined,
        chunks(i) {
          const ref = series.refs[slots[i]!]!;
          const outside = [
            { mint: -Infinity, maxt: mint - 1 },
            { mint: end, maxt: Infinity },
          ];
          const deleted = [...outside, ...(state.tombstones.byRef.get(ref) ?? [])];
          const chunks = chunksOf(i)
            .filter(inRange)
            .map((chunk) => readFullChunk(state.files, chunk));
          return mergeChunks(chunks, deleted, `head, series ${ref}`);
        },
      },
    );
    if (block !== undefined) blocks.push(block);
  }
  return blocks;
}

/** In meta.json of blocks that may overlap others and do not say where the head begins. */
export const OUT_OF_ORDER_HINT = "from-out-of-order";

interface ChunkSource {
  /** Whether series `i` may have chunks: cheap. */
  has(i: number): boolean;
  /** Resolves when what `chunks` needs is at hand; undefined when it is. Asked in ascending order. */
  load(i: number): Promise<void> | undefined;
  /** Ascending, without overlap; maybe none. */
  chunks(i: number): Chunk[];
}

/** Writes the series at `slots`, which are in label order. Undefined when no sample is left. */
async function writeBlock(
  blocksFolder: string,
  identity: BlockIdentity,
  state: HeadState,
  slots: Uint32Array,
  slices: Slices,
  source: ChunkSource,
): Promise<WrittenBlock | undefined> {
  const { series } = state;
  const { ordinals, symbols } = await usedSymbols(series, slots, source, slices);
  if (symbols.count === 1) return undefined;
  const writer = await BlockWriter.openSliced(join(blocksFolder, identity.ulid), symbols, slices);
  try {
    let any = false;
    for (let i = 0; i < slots.length; i++) {
      if (slices.due) await slices.breathe();
      if (!source.has(i)) continue;
      const loading = source.load(i);
      if (loading !== undefined) await loading;
      const chunks = source.chunks(i);
      if (chunks.length > 0) {
        writer.addSeries(
          series.labelIds(slots[i]!).map((id) => ordinals[id]!),
          chunks,
        );
        any = true;
      }
    }
    if (any) return await writer.finishSliced({ ...identity, extras: await extrasIn(state, identity, slices) }, slices);
  } catch (error) {
    writer.abandon();
    throw error;
  }
  writer.abandon();
  return undefined;
}

/** What outlives the head beside the samples: exemplars of the block's time, and metadata of metrics that have series. */
function extrasIn(
  { exemplars, metadata, series }: HeadState,
  { minTime, maxTime }: BlockIdentity,
  slices: Slices,
): Promise<Uint8Array | undefined> {
  const nameId = series.symbols.find(METRIC_NAME);
  const hasSeries = (name: string): boolean => {
    const valueId = series.symbols.find(name);
    return nameId !== undefined && valueId !== undefined && series.postings.of(nameId, valueId).length > 0;
  };
  const everything = [[]];
  return encodeExtras(
    {
      metadata: [...metadata.entries()].filter(([family, { type }]) => seriesNames(family, type).some(hasSeries)),
      exemplars: exemplars.select(everything, minTime, maxTime - 1),
      isPartial: false,
    },
    slices,
  );
}

/** The symbols of the series that go into the block, ascending, and the place of each id among them. */
async function usedSymbols(
  series: HeadSeries,
  slots: Uint32Array,
  source: ChunkSource,
  slices: Slices,
): Promise<{ ordinals: Uint32Array; symbols: PackedSymbols }> {
  const used = new Uint8Array(series.symbols.count);
  for (let i = 0; i < slots.length; i++) {
    if (source.has(i)) for (const id of series.labelIds(slots[i]!)) used[id] = 1;
    if (slices.due) await slices.breathe();
  }
  const ordinals = new Uint32Array(used.length);
  // Prometheus's heads always have "", the name of the list of all series.
  const symbols = new SymbolPacker(used.length + 1);
  symbols.add("");
  for (const id of await series.symbols.sorted(slices)) {
    if (slices.due) await slices.breathe();
    if (used[id] !== 1) continue;
    ordinals[id] = symbols.add(series.symbols.text(id));
  }
  return { ordinals, symbols: symbols.take() };
}
