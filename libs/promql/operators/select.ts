/**
 * Selectors: series by series from storage into tiles. A series' samples are decoded once, into two contiguous
 * columns, and every step finds its samples by moving two pointers forward.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import type { Labels } from "#libs/model/labels.ts";
import { isStale } from "#libs/model/stale.ts";
import { type RangeFunction, type Window } from "../functions/over-time.ts";
import type { Expr, MatrixSelector, Subquery, VectorSelector } from "../parser/ast.ts";
import { createTile, lastStep, stepTime, type Steps, type Tile, TILE_SERIES } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { evaluateVector, subqueryRange, evaluateScalar } from "./evaluator.ts";
import { typeOf } from "../parser/check.ts";
import type { SeriesBatch } from "../storage.ts";
import { dropName } from "./labels.ts";

/** Fills tiles row by row. */
class TileFiller {
  readonly #steps: number;
  readonly #capacity: number;
  #tile: Tile;

  constructor(steps: number) {
    this.#steps = steps;
    // 64 KiB of values: with many steps fewer series.
    this.#capacity = Math.max(1, Math.min(steps === 1 ? 4096 : TILE_SERIES, Math.floor(65_536 / steps)));
    this.#tile = createTile(this.#capacity, steps);
  }

  get values(): Float64Array {
    return this.#tile.values;
  }

  get present(): Uint8Array {
    return this.#tile.present;
  }

  /** Where the next series' row starts. */
  get from(): number {
    return this.#tile.labels.length * this.#steps;
  }

  /** Keeps the row. @returns whether the tile is full. */
  keep(labels: Labels): boolean {
    this.#tile.labels.push(labels);
    return this.#tile.labels.length === this.#capacity;
  }

  take(): Tile {
    const tile = this.#tile;
    this.#tile = createTile(this.#capacity, this.#steps);
    return tile;
  }

  get isEmpty(): boolean {
    return this.#tile.labels.length === 0;
  }
}

/** The value of each series at each step: the newest sample within the lookback, unless it is a stale marker. */
export async function* selectInstant(
  selector: VectorSelector,
  context: EvalContext,
  timestamps: boolean,
): AsyncGenerator<Tile> {
  const { steps, lookbackMs, slices, budget } = context;
  const fixed = selector.at?.kind === "time" ? selector.at.timeMs : undefined;
  const first = (fixed ?? steps.startMs) - selector.offsetMs;
  const last = (fixed ?? lastStep(steps)) - selector.offsetMs;
  const request = {
    matchers: selector.matchers,
    mint: first - lookbackMs + 1,
    maxt: last,
    func: timestamps ? "timestamp" : "",
    stepMs: steps.stepMs,
    rangeMs: 0,
  };
  const columns = new SampleColumns();
  const filler = new TileFiller(steps.count);
  const warn = (text: string): void => context.annotations.warn(text);
  for await (const batch of context.storage.select(request, warn, context.signal)) {
    while (batch.next()) {
      columns.clear();
      batch.samples(columns);
      refuseHistograms(columns);
      budget.load(columns.length);
      const any = lookup(
        columns,
        steps,
        first,
        fixed !== undefined,
        lookbackMs,
        timestamps,
        filler.values,
        filler.present,
        filler.from,
      );
      if (any && filler.keep(batch.labels())) {
        yield filler.take();
        if (slices.due) await slices.breathe();
      }
    }
    if (slices.due) await slices.breathe();
  }
  if (!filler.isEmpty) yield filler.take();
}

function lookup(
  columns: SampleColumns,
  steps: Steps,
  first: number,
  fixed: boolean,
  lookbackMs: number,
  timestamps: boolean,
  values: Float64Array,
  present: Uint8Array,
  from: number,
): boolean {
  const { times, words, length } = columns;
  const source = columns.values;
  let any = false;
  let i = -1;
  for (let step = 0; step < steps.count; step++) {
    const time = fixed ? first : first + step * steps.stepMs;
    while (i + 1 < length && times[i + 1]! <= time) i++;
    if (i < 0 || times[i]! <= time - lookbackMs || isStale(words, i)) continue;
    values[from + step] = timestamps ? times[i]! / 1000 : source[i]!;
    present[from + step] = 1;
    any = true;
  }
  return any;
}

/** A range function over a range selector or subquery. */
export async function* rangeFunction(
  name: string,
  func: RangeFunction,
  range: Expr,
  param: Float64Array | undefined,
  context: EvalContext,
): AsyncGenerator<Tile> {
  const { steps, slices } = context;
  const filler = new TileFiller(steps.count);
  for await (const batch of rangeBatches(range, name, context)) {
    for (const series of batch) {
      const any = slide(func, series, steps, param, filler.values, filler.present, filler.from);
      if (any && filler.keep(func.keepsName ? series.labels() : dropName(series.labels()))) {
        yield filler.take();
        if (slices.due) await slices.breathe();
      }
    }
  }
  if (!filler.isEmpty) yield filler.take();
}

/** One series' samples for a range, without stale markers, and where its windows lie. Valid until the next. */
export interface RangeSeries {
  readonly labels: () => Labels;
  readonly columns: SampleColumns;
  readonly rangeMs: number;
  readonly offsetMs: number;
  /** Set when every step looks at the same window. */
  readonly fixedMs: number | undefined;
}

/** The series one by one, for what is not hot. */
export async function* rangeSeries(range: Expr, func: string, context: EvalContext): AsyncGenerator<RangeSeries> {
  for await (const batch of rangeBatches(range, func, context)) yield* batch;
}

/** The series in batches that are walked without an await: one a series would cost a tenth of a query. */
async function* rangeBatches(range: Expr, func: string, context: EvalContext): AsyncGenerator<Iterable<RangeSeries>> {
  if (range.kind === "matrix") yield* matrixBatches(range, func, context);
  else for await (const series of subquerySeries(range as Subquery, context)) yield [series];
}

async function* matrixBatches(
  range: MatrixSelector,
  func: string,
  context: EvalContext,
): AsyncGenerator<Iterable<RangeSeries>> {
  const { steps, budget, slices } = context;
  const { selector, rangeMs } = range;
  const fixedMs = selector.at?.kind === "time" ? selector.at.timeMs : undefined;
  const mint = (fixedMs ?? steps.startMs) - selector.offsetMs - rangeMs + 1;
  const maxt = (fixedMs ?? lastStep(steps)) - selector.offsetMs;
  const request = { matchers: selector.matchers, mint, maxt, func, stepMs: steps.stepMs, rangeMs };
  const columns = new SampleColumns();
  const warn = (text: string): void => context.annotations.warn(text);
  function* walk(batch: SeriesBatch): Generator<RangeSeries> {
    const series = { labels: () => batch.labels(), columns, rangeMs, offsetMs: selector.offsetMs, fixedMs };
    while (batch.next()) {
      columns.clear();
      batch.samples(columns);
      refuseHistograms(columns);
      budget.load(columns.length);
      dropStale(columns);
      yield series;
    }
  }
  for await (const batch of context.storage.select(request, warn, context.signal)) {
    yield walk(batch);
    if (slices.due) await slices.breathe();
  }
}

/** Until the operators know them. */
function refuseHistograms(columns: SampleColumns): void {
  if (columns.histograms !== undefined) throw new ExecutionError("native histograms cannot be queried yet");
}

function dropStale(columns: SampleColumns): void {
  const { times, words, length } = columns;
  let kept = 0;
  for (let i = 0; i < length; i++) {
    if (isStale(words, i)) continue;
    if (kept !== i) {
      times[kept] = times[i]!;
      words[2 * kept] = words[2 * i]!;
      words[2 * kept + 1] = words[2 * i + 1]!;
    }
    kept++;
  }
  columns.length = kept;
}

async function* subquerySeries(expr: Subquery, context: EvalContext): AsyncGenerator<RangeSeries> {
  const { startMs, endMs, stepMs } = subqueryRange(context, expr);
  const fixedMs = expr.at?.kind === "time" ? expr.at.timeMs : undefined;
  const count = Math.floor((endMs - startMs) / stepMs) + 1;
  if (count <= 0) return;
  const inner: EvalContext = { ...context, steps: { startMs, stepMs, count } };
  const columns = new SampleColumns();
  const load = (tile: Tile, s: number): void => {
    columns.clear();
    columns.reserve(count);
    for (let i = 0; i < count; i++) {
      if (tile.present[s * count + i] === 0) continue;
      columns.times[columns.length] = startMs + i * stepMs;
      columns.values[columns.length++] = tile.values[s * count + i]!;
    }
    context.budget.load(columns.length);
  };
  if (typeOf(expr.expr) === "scalar") {
    const values = await evaluateScalar(expr.expr, inner);
    load({ labels: [[]], values, present: new Uint8Array(count).fill(1), histograms: undefined }, 0);
    yield { labels: () => [], columns, rangeMs: expr.rangeMs, offsetMs: expr.offsetMs, fixedMs };
    return;
  }
  for await (const tile of evaluateVector(expr.expr, inner)) {
    for (let s = 0; s < tile.labels.length; s++) {
      load(tile, s);
      const labels = tile.labels[s]!;
      yield { labels: () => labels, columns, rangeMs: expr.rangeMs, offsetMs: expr.offsetMs, fixedMs };
    }
  }
}

const window: Window = {
  start: 0,
  end: 0,
  evalTime: 0,
  rangeSeconds: 0,
  param: NaN,
  result: 0,
  resets: new Uint32Array(64),
  resetCount: 0,
  resetFrom: 0,
};

function slide(
  func: RangeFunction,
  series: RangeSeries,
  steps: Steps,
  param: Float64Array | undefined,
  values: Float64Array,
  present: Uint8Array,
  rowFrom: number,
): boolean {
  const { columns, rangeMs, offsetMs, fixedMs } = series;
  const { times, length } = columns;
  const { kernel } = func;
  if (length === 0) return false;
  window.rangeSeconds = rangeMs / 1000;
  window.resetFrom = 0;
  if (func.needsResets) findResets(columns);
  let from = 0;
  let to = 0;
  let any = false;
  for (let step = 0; step < steps.count; step++) {
    const evalTime = stepTime(steps, step);
    const end = (fixedMs ?? evalTime) - offsetMs;
    const start = end - rangeMs;
    while (to < length && times[to]! <= end) to++;
    while (from < to && times[from]! <= start) from++;
    if (from === to) continue;
    window.start = start;
    window.end = end;
    window.evalTime = evalTime;
    if (param !== undefined) window.param = param[step]!;
    if (kernel(columns, from, to, window)) {
      values[rowFrom + step] = window.result;
      present[rowFrom + step] = 1;
      any = true;
    }
  }
  return any;
}

function findResets(columns: SampleColumns): void {
  const { values, length } = columns;
  window.resetCount = 0;
  for (let i = 1; i < length; i++) {
    if (values[i]! >= values[i - 1]!) continue;
    // NaN compares false: only a true drop is a reset.
    if (!(values[i]! < values[i - 1]!)) continue;
    if (window.resetCount === window.resets.length) {
      const larger = new Uint32Array(window.resets.length * 2);
      larger.set(window.resets);
      window.resets = larger;
    }
    window.resets[window.resetCount++] = i;
  }
}
