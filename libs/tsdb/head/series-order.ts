/**
 * Series of a head in the order of their labels. The order of all is kept from query to query, new series are merged
 * in: a query of many picks its own out of it, 0.3 ms for 20,000 where sorting them takes 7 (bench/query-head.ts).
 */
import type { Slices } from "#libs/kit/slices.ts";
import type { Postings } from "../index/postings.ts";
import type { HeadSeries } from "./series.ts";
import { countingFrom, mergeSorted, sortSliced } from "./sort-sliced.ts";

/** Below it, labels are compared by their texts: new symbols need not be ranked for a small query. */
const FEW = 4096;
/** Picking walks all series: worth it for at least this part of them. */
const PICKED_PART = 16;
const BATCH = 1 << 16;

/** Slots in the order of their labels, in fresh memory. */
export async function sortByLabels(series: HeadSeries, slots: Postings, slices: Slices): Promise<Uint32Array> {
  if (slots.length < FEW && !series.symbols.isRanked) {
    return slots.slice().sort((a, b) => series.compareTexts(a, b));
  }
  if (slots.length * PICKED_PART < series.count) return sortSliced(slots, await comparison(series, slices), slices);
  const order = await orderOfAll(series, slices);
  const wanted = new Uint8Array(series.count);
  for (const slot of slots) wanted[slot] = 1;
  const sorted = new Uint32Array(slots.length);
  let count = 0;
  for (let i = 0; i < order.length; i++) {
    if (wanted[order[i]!] === 1) sorted[count++] = order[i]!;
    if (i % BATCH === 0 && slices.due) await slices.breathe();
  }
  return sorted;
}

/** All slots there were at the call, at least. */
async function orderOfAll(series: HeadSeries, slices: Slices): Promise<Uint32Array> {
  const known = series.order;
  const total = series.count;
  if (known.length === total) return known;
  const compare = await comparison(series, slices);
  const fresh = countingFrom(known.length, total);
  const order = await mergeSorted(known, await sortSliced(fresh, compare, slices), compare, slices);
  // Another call may have gone further meanwhile.
  if (order.length > series.order.length) series.order = order;
  return series.order;
}

async function comparison(series: HeadSeries, slices: Slices): Promise<(a: number, b: number) => number> {
  const ranks = await series.symbols.ranks(slices);
  return (a, b) => series.compare(a, b, ranks);
}
