/**
 * A range function over series of floats: two pointers move over the samples, step by step, and the function's kernel
 * looks at what is between them. What a scan needs is plain data, so that it can be sent to another thread.
 */
import { SampleColumns } from "#libs/model/columns.ts";
import type { Annotations } from "../annotations.ts";
import { type MixedWindow, splitSeries } from "../functions/mixed-window.ts";
import { RANGE_FUNCTIONS, type RangeFunction } from "../functions/over-time.ts";
import { extrapolation } from "../functions/rate.ts";
import type { RangeKernel } from "../functions/window.ts";
import type { Span } from "../parser/ast.ts";
import { FLOAT, stepTime, type Steps } from "../tile.ts";
import type { RangeShape } from "./range-series.ts";
import { dropStale } from "./select-instant.ts";

export interface RangeScan {
  /** The function's name. */
  readonly func: string;
  readonly steps: Steps;
  readonly shape: RangeShape;
  /** Its scalar arguments, a value a step. */
  readonly params: readonly Float64Array[];
  /** What notes are about: the first argument. */
  readonly at: Span;
}

export class FloatScanner {
  readonly window: MixedWindow;
  readonly #scan: RangeScan;
  readonly #kernel: RangeKernel;
  readonly #needsResets: boolean;
  readonly #extrapolates: RangeFunction["extrapolates"];

  /** `notes` hears of what is wrong with arguments; samples of floats give no reason for any. */
  constructor(scan: RangeScan, notes: Annotations) {
    const func: RangeFunction = RANGE_FUNCTIONS.get(scan.func)!;
    this.#scan = scan;
    this.#kernel = func.kernel;
    this.#needsResets = func.isCounter === true;
    this.#extrapolates = func.extrapolates;
    this.window = createWindow(scan, notes);
  }

  /** Fills the row that starts at `rowFrom`; takes stale markers out of the columns. @returns whether it has any value. */
  scan(columns: SampleColumns, values: Float64Array, present: Uint8Array, rowFrom: number): boolean {
    const { steps, params, shape } = this.#scan;
    const { rangeMs, offsetMs, fixedMs } = shape;
    const firstEnd = (fixedMs ?? steps.startMs) - offsetMs;
    // One pass looks for both: a stale marker is a NaN, and nothing compares with it.
    const first = this.#needsResets ? firstAfter(columns.times, columns.length, firstEnd - rangeMs) : 0;
    if (!this.#needsResets || !findResets(columns, first, this.window)) {
      dropStale(columns);
      if (this.#needsResets) findResets(columns, 0, this.window);
    }
    if (this.#extrapolates !== undefined) {
      const { isCounter, isRate } = this.#extrapolates;
      return scanExtrapolated(columns, this.window, this.#scan, isCounter, isRate, values, present, rowFrom);
    }
    const { times, length } = columns;
    const window = this.window;
    const kernel = this.#kernel;
    const [param, secondParam] = params;
    const increment = fixedMs === undefined ? steps.stepMs : 0;
    window.metric = "";
    let from = 0;
    let to = 0;
    let any = false;
    for (let step = 0; step < steps.count; step++) {
      const end = firstEnd + step * increment;
      const start = end - rangeMs;
      while (to < length && times[to]! <= end) to++;
      while (from < to && times[from]! <= start) from++;
      if (from === to) continue;
      window.start = start;
      window.end = end;
      window.evalTime = stepTime(steps, step);
      if (param !== undefined) window.param = param[step]!;
      if (secondParam !== undefined) window.secondParam = secondParam[step]!;
      if (kernel(columns, from, to, window)) {
        values[rowFrom + step] = window.result;
        present[rowFrom + step] = FLOAT;
        any = true;
      }
    }
    return any;
  }
}

function createWindow({ shape, at }: RangeScan, notes: Annotations): MixedWindow {
  return {
    start: 0,
    end: 0,
    evalTime: 0,
    rangeSeconds: shape.rangeMs / 1000,
    param: NaN,
    secondParam: NaN,
    result: 0,
    resets: new Uint32Array(64),
    resetCount: 0,
    notes,
    at,
    metric: "",
    series: splitSeries(new SampleColumns()),
    floatFrom: 0,
    floatTo: 0,
    histogramFrom: 0,
    histogramTo: 0,
    histogram: undefined,
  };
}

/** Lists the resets behind sample `first`. @returns false when there is a NaN, and the list is not to be used if that may be a stale marker. */
function findResets(columns: SampleColumns, first: number, window: MixedWindow): boolean {
  const { values, length } = columns;
  let { resets } = window;
  let count = 0;
  let hasNaN = first < length && Number.isNaN(values[first]!);
  for (let i = first + 1; i < length; i++) {
    if (values[i]! >= values[i - 1]!) continue;
    // NaN compares false: only a true drop is a reset.
    if (!(values[i]! < values[i - 1]!)) {
      hasNaN = true;
      continue;
    }
    if (count === resets.length) {
      const larger = new Uint32Array(resets.length * 2);
      larger.set(resets);
      resets = window.resets = larger;
    }
    resets[count++] = i;
  }
  window.resetCount = count;
  return !hasNaN;
}

/**
 * `extrapolated` over all steps of a series, the loop of nearly every dashboard: with what changes from step to step
 * in variables it takes 16 ns a step instead of 29 (bench/query-head.ts); steps that are multiples of the scrape interval
 * see the same times again and again, and share a factor with its seven divisions.
 */
function scanExtrapolated(
  columns: SampleColumns,
  window: MixedWindow,
  { steps, shape }: RangeScan,
  isCounter: boolean,
  isRate: boolean,
  rows: Float64Array,
  present: Uint8Array,
  rowFrom: number,
): boolean {
  const { times, values, length } = columns;
  const { resets, resetCount } = window;
  const { rangeMs, offsetMs, fixedMs } = shape;
  const { startMs, stepMs, count: stepCount } = steps;
  const rangeSeconds = rangeMs / 1000;
  // Numbers only: a choice between `undefined` and a number at every step would leave 16 bytes of garbage there.
  const firstEnd = (fixedMs ?? startMs) - offsetMs;
  const increment = fixedMs === undefined ? stepMs : 0;
  let from = firstAfter(times, length, firstEnd - rangeMs);
  let to = firstAfter(times, length, firstEnd);
  /** How far both went at the last step, which is how far they go at most. */
  let fromStride = 0;
  let toStride = 0;
  let resetFrom = 0;
  let any = false;
  /** What the last step's factor came from; a range is as long at each step, so these tell all its times. */
  let lastToFirst = NaN;
  let lastToEnd = NaN;
  let lastCount = 0;
  let factor = 0;
  for (let step = 0; step < stepCount; step++) {
    const end = firstEnd + step * increment;
    const start = end - rangeMs;
    const nextTo = to + toStride;
    if (nextTo < length && times[nextTo]! > end && (toStride === 0 || times[nextTo - 1]! <= end)) to = nextTo;
    else {
      const before = to;
      while (to < length && times[to]! <= end) to++;
      toStride = to - before;
    }
    const nextFrom = from + fromStride;
    if (nextFrom < to && times[nextFrom]! > start && (fromStride === 0 || times[nextFrom - 1]! <= start))
      from = nextFrom;
    else {
      const before = from;
      while (from < to && times[from]! <= start) from++;
      fromStride = from - before;
    }
    const count = to - from;
    if (count < 2) continue;
    const first = values[from]!;
    let growth = values[to - 1]! - first;
    if (isCounter) {
      while (resetFrom < resetCount && resets[resetFrom]! <= from) resetFrom++;
      for (let i = resetFrom; i < resetCount && resets[i]! < to; i++) growth += values[resets[i]! - 1]!;
    }
    const toFirst = times[from]! - start;
    const toEnd = end - times[to - 1]!;
    // Of a counter that may have been zero within the range the values count too.
    const isYoung = isCounter && first >= 0 && first < 2 * growth;
    if (isYoung || toFirst !== lastToFirst || toEnd !== lastToEnd || count !== lastCount) {
      factor = extrapolation(start, end, times[from]!, times[to - 1]!, count, isCounter ? growth : 0, first);
      if (isRate) factor /= rangeSeconds;
      lastToFirst = isYoung ? NaN : toFirst;
      lastToEnd = toEnd;
      lastCount = count;
    }
    rows[rowFrom + step] = growth * factor;
    present[rowFrom + step] = FLOAT;
    any = true;
  }
  return any;
}

/** The first of ascending times after `time`; `length` when there is none. */
function firstAfter(times: Float64Array, length: number, time: number): number {
  let from = 0;
  let to = length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (times[middle]! <= time) from = middle + 1;
    else to = middle;
  }
  return from;
}
