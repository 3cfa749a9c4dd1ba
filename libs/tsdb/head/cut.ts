/** Writes ranges of a head into blocks, by slices. */
import { join } from "node:path";
import { Slices } from "#libs/kit/slices.ts";
import { METRIC_NAME } from "#libs/model/labels.ts";
import { encodeExtras } from "../block/extras.ts";
import { type BlockIdentity, BlockWriter, type WrittenBlock } from "../block/writer.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { rangeEnd } from "./chunk-end.ts";
import { mergeChunks } from "./merge-chunks.ts";
import { seriesNames } from "./metric-metadata.ts";
import { ReadView, readFullChunk } from "./read-view.ts";
import type { FullChunk, HeadSeries } from "./series.ts";
import { sortByLabels } from "./series-order.ts";
import type { HeadState } from "./state.ts";

const BATCH = 1024;

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
  const candidates = Uint32Array.from({ length: series.count }, (_, slot) => slot);
  const slots = await sortByLabels(series, candidates, slices);
  const identity = { ulid, minTime: mint, maxTime: end, compaction: { level: 1, sources: [ulid] } };
  // Nothing before `end` changes any more: views of few series, one after the other, see what one of all would.
  let view: ReadView | undefined;
  let from = 0;
  const viewAt = (i: number): ReadView => {
    if (view === undefined || i >= from + BATCH) {
      view?.release();
      from = i;
      view = new ReadView(series, slots.subarray(i, i + BATCH), state.files, state.late, state.tombstones);
    }
    return view;
  };
  try {
    return await writeBlock(blocksFolder, identity, state, slots, slices, {
      has: (i) => series.firstTime(slots[i]!, -Infinity) < end,
      chunks: (i) => viewAt(i).chunks(i - from, -Infinity, end - 1, false),
    });
  } finally {
    (view as ReadView | undefined)?.release();
  }
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
  const candidates = Uint32Array.from({ length: series.count }, (_, slot) => slot);
  const slots = await sortByLabels(series, candidates, slices);
  // Of one moment, together with the view.
  const minTime = Math.min(state.mint, late.mint);
  const maxTime = Math.max(state.maxt, late.maxt) + 1;
  const view = new ReadView(series, slots, state.files, late, state.tombstones);
  try {
    const identity = { ulid, minTime, maxTime, compaction: { level: 1, sources: [ulid] } };
    return await writeBlock(blocksFolder, identity, state, slots, slices, {
      has: () => true,
      chunks: (i) => view.chunks(i, -Infinity, Infinity, true),
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
  if (symbols.length === 1) return undefined;
  const writer = new BlockWriter(join(blocksFolder, identity.ulid), symbols);
  try {
    let any = false;
    for (let i = 0; i < slots.length; i++) {
      const chunks = source.has(i) ? source.chunks(i) : [];
      if (chunks.length > 0) {
        writer.addSeries(
          series.labelIds(slots[i]!).map((id) => ordinals[id]!),
          chunks,
        );
        any = true;
      }
      if (slices.due) await slices.breathe();
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
): Promise<{ ordinals: Uint32Array; symbols: string[] }> {
  const used = new Uint8Array(series.symbols.count);
  for (let i = 0; i < slots.length; i++) {
    if (source.has(i)) for (const id of series.labelIds(slots[i]!)) used[id] = 1;
    if (slices.due) await slices.breathe();
  }
  const ordinals = new Uint32Array(used.length);
  // Prometheus's heads always have "", the name of the list of all series.
  const symbols: string[] = [""];
  for (const id of await series.symbols.sorted(slices)) {
    if (slices.due) await slices.breathe();
    if (used[id] !== 1) continue;
    ordinals[id] = symbols.length;
    symbols.push(series.symbols.text(id));
  }
  return { ordinals, symbols };
}
