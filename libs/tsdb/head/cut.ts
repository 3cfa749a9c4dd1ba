/** Writes ranges of a head into blocks, by slices. */
import { join } from "node:path";
import { Slices } from "#libs/kit/slices.ts";
import { METRIC_NAME } from "#libs/model/labels.ts";
import { EntryBatch } from "../block/entry-batch.ts";
import { encodeExtras } from "../block/extras.ts";
import { type BlockIdentity, BlockWriter, type WrittenBlock } from "../block/writer.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { rangeEnd } from "./chunk-end.ts";
import { type PackedSymbols, SymbolPacker } from "../index/packed-symbols.ts";
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
/** Series between two looks at the clock, where little is done for each. */
const STEP = 16;

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
  const sorted = await sortByLabels(series, candidates, slices);
  const slots = await filterSliced(sorted, slices, (slot) => series.firstTime(slot, -Infinity) < end);
  const identity = { ulid, minTime: mint, maxTime: end, compaction: { level: 1, sources: [ulid] } };
  const batch = new EntryBatch(BATCH_BYTES + (1 << 20));
  let from = 0;
  let to = 0;
  /** The chunks of the series from `i` on; nothing before `end` changes any more. */
  const read = async (i: number): Promise<void> => {
    const view = new ReadView(series, slots.subarray(i, i + BATCH_SERIES), state.files, undefined, state.tombstones);
    try {
      batch.clear();
      for (let k = 0; k < view.slots.length && batch.byteLength < BATCH_BYTES; k++) {
        view.addChunks(k, { mint: -Infinity, maxt: end - 1, skipChunks: false }, batch);
        batch.endSeries();
        if (slices.due) await slices.breathe();
      }
      await slices.run(view.readSteps(batch.bytes));
      await slices.run(batch.sealSteps());
      from = i;
      to = i + batch.seriesCount;
    } finally {
      view.release();
    }
  };
  return writeBlock(blocksFolder, identity, state, slots, slices, {
    load: (i) => (i >= to ? read(i) : undefined),
    chunks: (i) => batch.chunks(i - from),
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
  const sorted = await sortByLabels(series, Uint32Array.from(candidates), slices);
  const chunksOf = (slot: number): readonly FullChunk[] => late.get(series.refs[slot]!)!;
  const ends = new Set<number>();
  for (const chunks of late.values())
    for (const { mint, maxt } of chunks)
      for (let end = rangeEnd(mint, options.rangeMs); end - options.rangeMs <= maxt; end += options.rangeMs)
        ends.add(end);
  const blocks: WrittenBlock[] = [];
  for (const end of [...ends].sort((a, b) => a - b)) {
    const mint = end - options.rangeMs;
    const inRange = ({ mint: from, maxt: to }: FullChunk): boolean => from < end && to >= mint;
    const slots = await filterSliced(sorted, slices, (slot) => chunksOf(slot).some(inRange));
    const ulid = nextUlid();
    const compaction = { level: 1, sources: [ulid], hints: [OUT_OF_ORDER_HINT] };
    const block = await writeBlock(
      blocksFolder,
      { ulid, minTime: mint, maxTime: end, compaction },
      state,
      slots,
      slices,
      {
        load: () => undefined,
        chunks(i) {
          const ref = series.refs[slots[i]!]!;
          const outside = [
            { mint: -Infinity, maxt: mint - 1 },
            { mint: end, maxt: Infinity },
          ];
          const deleted = [...outside, ...(state.tombstones.byRef.get(ref) ?? [])];
          const chunks = chunksOf(slots[i]!)
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
  const { ordinals, symbols } = await usedSymbols(series, slots, slices);
  if (symbols.count === 1) return undefined;
  const writer = await BlockWriter.openSliced(join(blocksFolder, identity.ulid), symbols, slices);
  try {
    let labels: Uint32Array = new Uint32Array(0);
    let any = false;
    for (let i = 0; i < slots.length; i++) {
      if (slices.due) await slices.breathe();
      const loading = source.load(i);
      if (loading !== undefined) await loading;
      const chunks = source.chunks(i);
      if (chunks.length > 0) {
        labels = series.labelNumbers(slots[i]!, ordinals, labels);
        writer.addSeries(labels, chunks);
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

/** The slots that are wanted, in fresh memory. */
async function filterSliced(
  slots: Uint32Array,
  slices: Slices,
  isWanted: (slot: number) => boolean,
): Promise<Uint32Array> {
  const wanted = new Uint32Array(slots.length);
  let count = 0;
  for (let i = 0; i < slots.length; i++) {
    if (isWanted(slots[i]!)) wanted[count++] = slots[i]!;
    if (i % STEP === 0 && slices.due) await slices.breathe();
  }
  return wanted.subarray(0, count);
}

/** The symbols of the series that go into the block, ascending, and the place of each id among them. */
async function usedSymbols(
  series: HeadSeries,
  slots: Uint32Array,
  slices: Slices,
): Promise<{ ordinals: Uint32Array; symbols: PackedSymbols }> {
  const used = new Uint8Array(series.symbols.count);
  for (let i = 0; i < slots.length; i++) {
    series.markLabels(slots[i]!, used);
    if (i % STEP === 0 && slices.due) await slices.breathe();
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
