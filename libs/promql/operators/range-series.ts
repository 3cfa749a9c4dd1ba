/** The series under a range: of a range selector from storage, of a subquery from its expression. */
import { SampleColumns } from "#libs/model/columns.ts";
import { borrowColumns, returnColumns } from "#libs/model/kernel-memory.ts";
import { RESET_HINT } from "#libs/model/histogram.ts";
import type { Labels } from "#libs/model/labels.ts";
import { withHint } from "#libs/model/native-histogram.ts";
import type { Expr, MatrixSelector, RangeBorders, Subquery } from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import { type ScannedRows, scanFloats } from "../scan-pool.ts";
import type { FloatBatch, SelectRequest, SeriesBatch } from "../storage.ts";
import { ABSENT, constantTile, HISTOGRAM, lastStep, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import type { RangeScan } from "./float-scanner.ts";
import { collectTiles, evaluateScalar, evaluateVector } from "./evaluator.ts";
import { keepStats } from "./histogram-stats.ts";
import { mergeInSlices } from "./in-slices.ts";
import { onWarning } from "./select-instant.ts";

/** One series' samples for a range, stale markers among them. Valid until the next. */
export interface RangeSeries {
  readonly labels: () => Labels;
  readonly columns: SampleColumns;
  /** Whether its name goes at the end of the query. */
  readonly nameless: boolean;
}

/** Where the windows of a range lie. */
export interface RangeShape {
  readonly rangeMs: number;
  readonly offsetMs: number;
  /** Set when every step looks at the same window. */
  readonly fixedMs: number | undefined;
  readonly borders: RangeBorders;
}

export function shapeOf(range: MatrixSelector | Subquery): RangeShape {
  const { rangeMs } = range;
  const { offsetMs, at } = range.kind === "matrix" ? range.selector : range;
  const borders = range.kind === "matrix" ? range.selector.borders : "extrapolated";
  return { rangeMs, offsetMs, fixedMs: at?.kind === "time" ? at.timeMs : undefined, borders };
}

/** The series in batches that are walked without an await: one a series would cost a tenth of a query. */
export async function* rangeBatches(
  range: MatrixSelector | Subquery,
  func: string,
  context: EvalContext,
): AsyncGenerator<Iterable<RangeSeries>> {
  if (range.kind === "matrix") yield* matrixBatches(range, func, context);
  else for await (const series of subquerySeries(range, context)) yield [series];
}

/** The series one by one, for what is not hot. */
export async function* rangeSeries(
  range: MatrixSelector | Subquery,
  func: string,
  context: EvalContext,
): AsyncGenerator<RangeSeries> {
  for await (const batch of rangeBatches(range, func, context)) yield* batch;
}

async function* matrixBatches(
  range: MatrixSelector,
  func: string,
  context: EvalContext,
): AsyncGenerator<Iterable<RangeSeries>> {
  const columns = borrowColumns();
  try {
    for await (const batch of selectRange(range, func, context)) {
      yield walk(batch, columns, range, context);
      if (context.slices.due) await context.slices.breathe();
    }
  } finally {
    returnColumns(columns);
  }
}

/** Rows of a batch that was scanned as a whole. */
export interface ScannedBatch {
  readonly labels: Labels[];
  readonly rows: ScannedRows;
}

/**
 * The same, with batches of floats scanned by the pool: results instead of series, in the order of series. What the
 * pool does not take is scanned here meanwhile.
 */
export async function* scanBatches(
  range: MatrixSelector,
  scan: RangeScan,
  context: EvalContext,
): AsyncGenerator<Iterable<RangeSeries> | ScannedBatch> {
  const { scanPool, signal, slices } = context;
  const pool = scanPool!;
  const columns = borrowColumns();
  const underWay: Promise<ScannedBatch>[] = [];
  try {
    for await (const batch of selectRange(range, scan.func, context)) {
      const { floats } = batch;
      if (floats === undefined) {
        while (underWay.length > 0) yield loaded(await underWay.shift()!, context);
        yield walk(batch, columns, range, context);
      } else {
        const taken = pool.offer(scan, floats, signal)?.then((rows) => scannedBatch(floats, rows));
        // A failure is met where the result is awaited; until then it is not unhandled.
        taken?.catch(() => undefined);
        underWay.push(taken ?? Promise.resolve(scannedBatch(floats, scanFloats(scan, batch, floats.count))));
        if (underWay.length >= pool.depth) yield loaded(await underWay.shift()!, context);
      }
      if (slices.due) await slices.breathe();
    }
    while (underWay.length > 0) yield loaded(await underWay.shift()!, context);
  } finally {
    returnColumns(columns);
    await Promise.allSettled(underWay);
  }
}

function scannedBatch(floats: FloatBatch, rows: ScannedRows): ScannedBatch {
  const labels: Labels[] = [];
  for (const s of rows.series) labels.push(floats.labels(s));
  return { labels, rows };
}

function loaded(batch: ScannedBatch, { budget }: EvalContext): ScannedBatch {
  budget.load(batch.rows.samples);
  return batch;
}

function selectRange(range: MatrixSelector, func: string, context: EvalContext): AsyncIterable<SeriesBatch> {
  return context.storage.select(requestOf(range, func, context), onWarning(context), context.signal);
}

function requestOf(range: MatrixSelector, func: string, { steps, lookbackMs, names }: EvalContext): SelectRequest {
  const { rangeMs, offsetMs, fixedMs, borders } = shapeOf(range);
  return {
    matchers: range.selector.matchers,
    mint: (fixedMs ?? steps.startMs) - offsetMs - rangeMs - (borders === "extrapolated" ? 0 : lookbackMs) + 1,
    maxt: (fixedMs ?? lastStep(steps)) - offsetMs + (borders === "smoothed" ? lookbackMs : 0),
    func,
    stepMs: steps.stepMs,
    rangeMs,
    // Names that go at the end of the query only are looked at there.
    labels: names.delayed ? undefined : range.selector.labels,
  };
}

function* walk(
  batch: SeriesBatch,
  columns: SampleColumns,
  range: MatrixSelector,
  context: EvalContext,
): Generator<RangeSeries> {
  const { mint } = requestOf(range, "", context);
  const series = { labels: () => batch.labels(), columns, nameless: false };
  while (batch.next()) {
    columns.clear();
    batch.samples(columns);
    context.budget.load(columns.length);
    if (range.selector.statsOnly === true) keepStats(columns, mint);
    yield series;
  }
}

async function* subquerySeries(expr: Subquery, context: EvalContext): AsyncGenerator<RangeSeries> {
  const { startMs, endMs, stepMs } = subqueryRange(expr, context);
  const count = Math.floor((endMs - startMs) / stepMs) + 1;
  if (count <= 0) return;
  const inner: EvalContext = { ...context, steps: { startMs, stepMs, count } };
  const columns = new SampleColumns();
  for await (const tile of subqueryTiles(expr.expr, inner)) {
    for (let s = 0; s < tile.labels.length; s++) {
      load(tile, s, inner, columns);
      const labels = tile.labels[s]!;
      yield { labels: () => labels, columns, nameless: tile.nameless?.has(s) === true };
    }
  }
}

async function* subqueryTiles(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  if (typeOf(expr) === "scalar") yield constantTile(await evaluateScalar(expr, context));
  // Series that lost what told them apart are one series over time.
  else if (expr.kind === "binary" && expr.op === "or") {
    const inner = await collectTiles(evaluateVector(expr, context), context);
    yield await mergeInSlices(inner, context.steps.count, context.slices);
  } else yield* evaluateVector(expr, context);
}

/** The values of one series as samples. */
function load(tile: Tile, s: number, context: EvalContext, columns: SampleColumns): void {
  const { startMs, stepMs, count } = context.steps;
  columns.clear();
  columns.reserve(count);
  for (let i = 0; i < count; i++) {
    const at = s * count + i;
    const kind = tile.present[at]!;
    if (kind === ABSENT) continue;
    if (kind === HISTOGRAM) columns.addHistogram(startMs + i * stepMs, withoutReset(tile.histograms![at]!));
    else {
      columns.times[columns.length] = startMs + i * stepMs;
      columns.values[columns.length++] = tile.values[at]!;
      if (columns.histograms !== undefined) columns.histograms.length = columns.length;
    }
  }
  context.budget.load(columns.length);
}

/** Hints tell of the sample before, which need not be among the subquery's. */
function withoutReset(histogram: Parameters<typeof withHint>[0]): Parameters<typeof withHint>[0] {
  const hint = histogram.counterResetHint;
  const says = hint === RESET_HINT.RESET || hint === RESET_HINT.NOT_RESET;
  return says ? withHint(histogram, RESET_HINT.UNKNOWN) : histogram;
}

/** The steps of a subquery: multiples of its step, from above `start - range` to the last step of its parent. */
function subqueryRange(expr: Subquery, context: EvalContext): { startMs: number; endMs: number; stepMs: number } {
  const { steps } = context;
  const stepMs = expr.stepMs === 0 ? context.defaultStepMs : expr.stepMs;
  const first = expr.at?.kind === "time" ? expr.at.timeMs : steps.startMs;
  const last = expr.at?.kind === "time" ? expr.at.timeMs : lastStep(steps);
  const before = first - expr.offsetMs - expr.rangeMs;
  let startMs = stepMs * Math.trunc(before / stepMs);
  if (startMs <= before) startMs += stepMs;
  return { startMs, endMs: last - expr.offsetMs, stepMs };
}
