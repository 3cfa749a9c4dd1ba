/** Writes a range of a head into a block, by slices. */
import { join } from "node:path";
import { Slices } from "#libs/kit/slices.ts";
import { BlockWriter, type WrittenBlock } from "../block/writer.ts";
import type { Postings } from "../index/postings.ts";
import { ReadView } from "./read-view.ts";
import type { HeadSeries } from "./series.ts";
import { sortSliced } from "./sort-sliced.ts";
import type { HeadState } from "./state.ts";

/** Below it, labels are compared by their texts: new symbols need not be ranked for a small query. */
const FEW = 4096;

/** Slots in the order of their labels, in fresh memory. */
export async function sortByLabels(series: HeadSeries, slots: Postings, slices: Slices): Promise<Uint32Array> {
  if (slots.length < FEW && !series.symbols.isRanked) {
    return slots.slice().sort((a, b) => series.compareTexts(a, b));
  }
  const ranks = await series.symbols.ranks(slices);
  return sortSliced(slots, (a, b) => series.compare(a, b, ranks), slices);
}

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
  const view = new ReadView(series, slots, state.files, state.late, state.tombstones);
  let writer: BlockWriter | undefined;
  try {
    const { ordinals, symbols } = await usedSymbols(view, end, slices);
    if (symbols.length === 1) return undefined;
    writer = new BlockWriter(join(blocksFolder, ulid), symbols);
    let any = false;
    for (let i = 0; i < slots.length; i++) {
      const chunks = view.hasChunksBefore(i, end) ? view.chunks(i, -Infinity, end - 1, false) : [];
      if (chunks.length > 0) {
        writer.addSeries(
          series.labelIds(slots[i]!).map((id) => ordinals[id]!),
          chunks,
        );
        any = true;
      }
      if (slices.due) await slices.breathe();
    }
    if (!any) {
      writer.abandon();
      return undefined;
    }
    return writer.finish({ ulid, minTime: mint, maxTime: end, compaction: { level: 1, sources: [ulid] } });
  } catch (error) {
    writer?.abandon();
    throw error;
  } finally {
    view.release();
  }
}

/** The symbols of the series that go into the block, ascending, and the place of each id among them. */
async function usedSymbols(
  view: ReadView,
  end: number,
  slices: Slices,
): Promise<{ ordinals: Uint32Array; symbols: string[] }> {
  const { series, slots } = view;
  const used = new Uint8Array(series.symbols.count);
  for (let i = 0; i < slots.length; i++) {
    if (view.hasChunksBefore(i, end)) for (const id of series.labelIds(slots[i]!)) used[id] = 1;
    if (slices.due) await slices.breathe();
  }
  const ordinals = new Uint32Array(used.length);
  // Prometheus's heads always have "", the name of the list of all series.
  const symbols: string[] = [""];
  for (const id of await series.symbols.sorted(slices)) {
    if (used[id] !== 1) continue;
    ordinals[id] = symbols.length;
    symbols.push(series.symbols.text(id));
  }
  return { ordinals, symbols };
}
