/**
 * Forgets what is before a time: a new state of the series is built from those that stay, by slices, while samples
 * are appended to the old one; then what appends have changed is taken over at once, 70 ns a series.
 */
import { Slices } from "#libs/kit/slices.ts";
import { KeyTable } from "./key-table.ts";
import { HeadSeries } from "./series.ts";
import type { HeadState } from "./state.ts";

export async function truncateState(state: HeadState, time: number): Promise<void> {
  state.minValidTime = Math.max(state.minValidTime, time);
  const old = state.series;
  const next = new HeadSeries(old);
  const keys = new KeyTable(state.options.seed);
  const slices = new Slices(10);
  /** Of each new slot: the old one, and the full chunks it had when it was looked at. */
  const origins: number[] = [];
  const seen: number[] = [];
  const left: number[] = [];
  const adopt = (slot: number): void => {
    seen.push(old.newestFull(slot));
    origins.push(slot);
    next.adopt(old, slot, time);
    keys.adopt(state.keys, slot);
  };
  const stays = (slot: number): boolean => old.lastTime(slot) >= time || state.late.of(old.refs[slot]!) !== undefined;
  for (let slot = 0; slot < old.count; slot++) {
    if (stays(slot)) adopt(slot);
    else left.push(slot);
    if (slices.due) await slices.breathe();
  }
  // From here on nothing is appended: one turn of the event loop.
  for (const slot of left) if (stays(slot)) adopt(slot);
  let mint = Infinity;
  for (let slot = 0; slot < next.count; slot++) {
    next.takeRecord(slot, old, origins[slot]!, seen[slot]!);
    // In the block already; only out-of-order samples keep the series.
    if (next.lastTime(slot) < time) next.close(slot);
    const first = next.firstTime(slot, time);
    if (first < mint) mint = first;
  }
  for (const slot of left) if (!stays(slot)) old.close(slot);
  state.series = next;
  state.keys = keys;
  state.mint = mint;
  if (mint === Infinity) state.maxt = -Infinity;
  const refs = new Set<number>();
  if (state.tombstones.byRef.size > 0) for (let slot = 0; slot < next.count; slot++) refs.add(next.refs[slot]!);
  state.tombstones.truncate(time, (ref) => refs.has(ref));
  state.files.truncate(time);
}
