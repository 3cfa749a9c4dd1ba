/**
 * Memory that kernels in WebAssembly share with the rest of a thread (ARCHITECTURE D5): what they read is copied to its
 * start, and they write to columns that lie in it. It never grows, so views of it last.
 */
import { SampleColumns } from "./columns.ts";

/** Bytes at the start of the memory for what a kernel reads, which may go `INPUT_SLACK` past it. */
export const INPUT_BYTES = 1 << 16;
const INPUT_SLACK = 64;

/** Most columns at once, and samples of each. Pages that nothing was written to take no memory. */
const PLACES = 16;
const PLACE_SAMPLES = 1 << 16;
const PLACE_BYTES = 16 * PLACE_SAMPLES;

const PAGE_BYTES = 1 << 16;
const FIRST_PLACE = INPUT_BYTES + INPUT_SLACK;
const PAGES = Math.ceil((FIRST_PLACE + PLACES * PLACE_BYTES) / PAGE_BYTES);

export const kernelMemory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });

const free = Array.from({ length: PLACES }, (_, i) => FIRST_PLACE + i * PLACE_BYTES);

/** Columns for a loop that decodes many series; in `kernelMemory` while there is room. `returnColumns` must follow. */
export function borrowColumns(): SampleColumns {
  const at = free.pop();
  return at === undefined
    ? new SampleColumns()
    : new SampleColumns({ buffer: kernelMemory.buffer, at, capacity: PLACE_SAMPLES });
}

/** The columns are not to be used any more. */
export function returnColumns({ place }: SampleColumns): void {
  if (place !== undefined) free.push(place.at);
}
