/**
 * Forgets what is before a time: a new state of the series is built from those that stay, by slices, while samples
 * are appended to the old one; then what appends have changed is taken over at once, 70 ns a series of them.
 */
import { Slices } from "#libs/kit/slices.ts";
import { KeyTable } from "./key-table.ts";
import { RefSet } from "./ref-set.ts";
import { HeadSeries } from "./series.ts";
import type { HeadState } from "./state.ts";

/** Deletions stay that reach `deletedFrom`. */
export async function truncateState(state: HeadState, time: number, deletedFrom: number): Promise<void> {
  state.minValidTime = Math.max(state.minValidTime, time);
  const old = state.series;
  const next = new HeadSeries(state.seed, old);
  const keys = new KeyTable(state.seed);
  const slices = new Slices(10);
  /** Of each new slot: the old one, and the full chunks it had when it was looked at. */
  const origins: number[] = [];
  const seen: number[] = [];
  const left: number[] = [];
  let mint = Infinity;
  const adopt = (slot: number): void => {
    seen.push(old.fullList(slot));
    origins.push(slot);
    const own = next.adopt(old, slot, time);
    keys.adopt(state.keys, slot);
    mint = Math.min(mint, next.firstTime(own, time));
  };
  const stays = (slot: number): boolean => old.lastTime(slot) >= time || state.late.of(old.refs[slot]!) !== undefined;
  // Places of chunks are copied to the new state: they must be final.
  state.files.settle();
  for (let slot = 0; slot < old.count; slot++) {
    if (stays(slot)) adopt(slot);
    else left.push(slot);
    if (!slices.due) continue;
    await slices.breathe();
    state.files.settle();
  }
  // From here on nothing is appended: one turn of the event loop.
  const gone: number[] = [];
  for (const slot of left) {
    if (stays(slot)) adopt(slot);
    else gone.push(slot);
  }
  const hasLate = state.late.count > 0;
  for (let slot = 0; slot < next.count; slot++) {
    const origin = origins[slot]!;
    if (next.lastTime(slot) !== old.lastTime(origin)) {
      next.takeRecord(slot, old, origin, seen[slot]!);
      mint = Math.min(mint, next.firstTime(slot, time));
    }
    // In the block already; only out-of-order samples keep the series.
    if (hasLate && next.lastTime(slot) < time) next.close(slot);
  }
  state.series = next;
  state.keys = keys;
  state.mint = mint;
  if (mint === Infinity) state.maxt = -Infinity;
  if (state.tombstones.byRef.size > 0) {
    const refs = new RefSet(state.nextRef);
    for (let slot = 0; slot < next.count; slot++) refs.add(next.refs[slot]!);
    state.tombstones.truncate(deletedFrom, (ref) => refs.has(ref));
  }
  state.files.truncate(time);
  // Nobody appends to the old state any more: what only it has is given back by slices.
  for (const slot of gone) {
    old.close(slot);
    if (slices.due) await slices.breathe();
  }
}
