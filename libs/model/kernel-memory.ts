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
export const PLACE_SAMPLES = 1 << 16;
const PLACE_BYTES = 16 * PLACE_SAMPLES;

const PAGE_BYTES = 1 << 16;
const FIRST_PLACE = INPUT_BYTES + INPUT_SLACK;
const PAGES = Math.ceil((FIRST_PLACE + PLACES * PLACE_BYTES) / PAGE_BYTES);

export const kernelMemory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });

/** Where the columns lent lie. */
const lent = new Map<SampleColumns, number>();
const idle: SampleColumns[] = [];
let made = 0;

/**
 * Columns for a loop that decodes many series; in `kernelMemory` while there is room, the values `8 * PLACE_SAMPLES`
 * behind the times. `returnColumns` must follow.
 */
export function borrowColumns(): SampleColumns {
  const columns = idle.pop() ?? (made < PLACES ? placed(FIRST_PLACE + made++ * PLACE_BYTES) : new SampleColumns());
  if (columns.kernelAt >= 0) lent.set(columns, columns.kernelAt);
  return columns;
}

/** The columns are not to be used any more. */
export function returnColumns(columns: SampleColumns): void {
  const at = lent.get(columns);
  if (at === undefined) return;
  lent.delete(columns);
  columns.clear();
  idle.push(columns.kernelAt === at ? columns : placed(at));
}

/** Not by a constructor: fields that are declared first and set there are slower to read (a scan takes a half more). */
function placed(at: number): SampleColumns {
  const columns = new SampleColumns();
  const { buffer } = kernelMemory;
  columns.times = new Float64Array(buffer, at, PLACE_SAMPLES);
  columns.values = new Float64Array(buffer, at + 8 * PLACE_SAMPLES, PLACE_SAMPLES);
  columns.words = new Int32Array(columns.values.buffer, columns.values.byteOffset, 2 * PLACE_SAMPLES);
  columns.kernelAt = at;
  return columns;
}
