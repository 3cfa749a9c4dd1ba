/**
 * Range functions over the series of a range: series of floats alone take the fast way (float-scanner.ts), on this
 * thread or others; what needs more is in functions/mixed-window.ts.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import { type Labels, labelValue, METRIC_NAME, quoteGo } from "#libs/model/labels.ts";
import { type MixedKernel, type MixedWindow, splitSeries } from "../functions/mixed-window.ts";
import { RANGE_FUNCTIONS, type RangeFunction } from "../functions/over-time.ts";
import type { CallExpr, MatrixSelector, RangeBorders, Subquery } from "../parser/ast.ts";
import { FLOAT, releaseTile, setFloat, setHistogram, stepTime, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { evaluateScalar } from "./evaluator.ts";
import { FloatScanner, type RangeScan } from "./float-scanner.ts";
import { DistinctLabels } from "./labels.ts";
import { fixedName, haveOneName } from "./names.ts";
import { rangeBatches, type RangeSeries, scanBatches, type ScannedBatch, shapeOf } from "./range-series.ts";
import { dropStale } from "./select-instant.ts";
import { TileFiller } from "./tile-filler.ts";

/** A call whose range is the argument `rangeAt`; the others are scalars. */
export async function* rangeFunction(
  call: CallExpr,
  func: RangeFunction,
  rangeAt: number,
  context: EvalContext,
): AsyncGenerator<Tile> {
  const range = call.args[rangeAt] as MatrixSelector | Subquery;
  const params: Float64Array[] = [];
  for (const [i, arg] of call.args.entries()) if (i !== rangeAt) params.push(await evaluateScalar(arg, context));
  const scan: RangeScan = {
    func: call.func,
    steps: context.steps,
    shape: shapeOf(range),
    params,
    // Notes are about the first argument, wherever the range stands. Prometheus puts a subquery's samples in its place,
    // and they are nowhere in the text.
    at: call.args[0]!.kind === "subquery" ? { from: 0, to: 0 } : call.args[0]!.span,
  };
  const output = new Output(func, scan, range, context);
  const bordered = borderedKernel(call.func, func, scan.shape.borders);
  if (context.scanPool !== undefined && range.kind === "matrix" && bordered === undefined && params.length === 0) {
    for await (const part of scanBatches(range, scan, context)) {
      if (Symbol.iterator in part) yield* output.walk(part, undefined);
      else {
        yield output.rows(part);
        releaseTile(part.rows);
      }
    }
  } else {
    for await (const batch of rangeBatches(range, call.func, context)) {
      yield* output.walk(batch, bordered);
      if (context.slices.due) await context.slices.breathe();
    }
  }
  yield* output.rest();
}

function borderedKernel(name: string, func: RangeFunction, borders: RangeBorders): MixedKernel | undefined {
  if (borders === "extrapolated") return undefined;
  const kernel = func[borders];
  if (kernel !== undefined) return kernel;
  throw refusedBorders(name, borders);
}

/** The error for a function that cannot be asked with these borders. */
export function refusedBorders(name: string, borders: "anchored" | "smoothed"): ExecutionError {
  const able = [...RANGE_FUNCTIONS].filter(([, func]) => func[borders] !== undefined).map(([other]) => other);
  return new ExecutionError(`${borders} modifier can only be used with: ${able.sort().join(", ")} - not with ${name}`);
}

/** Makes tiles of series, and of what was scanned elsewhere. */
class Output {
  readonly #func: RangeFunction;
  readonly #scan: RangeScan;
  readonly #context: EvalContext;
  readonly #scanner: FloatScanner;
  readonly #filler: TileFiller;
  readonly #usesStarts: boolean;
  /** Series must differ once names are gone; looked at only where that is not certain. */
  readonly #distinct: DistinctLabels | undefined;
  readonly #advised = new Set<string>();
  readonly #advises: boolean;
  /** Of all series, where the selector says it. */
  readonly #name: string | undefined;

  constructor(func: RangeFunction, scan: RangeScan, range: MatrixSelector | Subquery, context: EvalContext) {
    this.#func = func;
    this.#scan = scan;
    this.#context = context;
    this.#scanner = new FloatScanner(scan, context.annotations);
    this.#filler = new TileFiller(context.steps.count);
    this.#usesStarts = func.usesStarts === true && context.useStartTimestamps;
    const isCertain = context.names.delayed || func.keepsName === true || haveOneName(range);
    this.#distinct = isCertain ? undefined : new DistinctLabels();
    this.#name = range.kind === "matrix" ? fixedName(range.selector) : undefined;
    this.#advises = scan.func === "rate" || scan.func === "increase";
  }

  *walk(batch: Iterable<RangeSeries>, bordered: MixedKernel | undefined): Generator<Tile> {
    const filler = this.#filler;
    for (const series of batch) {
      if (!this.#scanSeries(series, bordered)) continue;
      const labels = series.labels();
      const { row } = filler;
      const isFull = filler.keep(labels);
      this.#finishRow(filler.tile, row, labels, series.nameless);
      if (isFull) yield this.#take();
    }
  }

  /** Rows that a thread of the pool made, as a tile. */
  rows({ labels, rows: { values, present } }: ScannedBatch): Tile {
    const tile: Tile = { labels, values, present, histograms: undefined, nameless: undefined };
    for (let row = 0; row < labels.length; row++) this.#finishRow(tile, row, labels[row]!, false);
    this.#distinct?.add(tile.labels);
    return tile;
  }

  *rest(): Generator<Tile> {
    if (!this.#filler.isEmpty) yield this.#take();
  }

  #take(): Tile {
    this.#distinct?.add(this.#filler.tile.labels);
    return this.#filler.take();
  }

  #scanSeries({ columns, labels }: RangeSeries, bordered: MixedKernel | undefined): boolean {
    if (columns.length === 0) return false;
    const { tile, from } = this.#filler;
    const startsCount = this.#usesStarts && columns.starts !== undefined;
    if (bordered === undefined && columns.histograms === undefined && !startsCount) {
      return this.#scanner.scan(columns, tile.values, tile.present, from);
    }
    dropStale(columns);
    const { window } = this.#scanner;
    window.metric = this.#nameOf(labels());
    if (!this.#usesStarts) columns.starts = undefined;
    window.series = splitSeries(columns);
    return scanMixed(bordered ?? this.#func.mixed, window, this.#scan, this.#context.lookbackMs, tile, from);
  }

  #finishRow(tile: Tile, row: number, labels: Labels, nameless: boolean): void {
    if (this.#advises) this.#adviseCounter(this.#nameOf(labels), tile, row);
    if (this.#func.keepsName !== true || nameless) this.#context.names.apply(tile, row);
  }

  /** A selector that picks labels may leave the name out where it fixes it. */
  #nameOf(labels: Labels): string {
    return this.#name ?? labelValue(labels, METRIC_NAME);
  }

  /** Says so, once a name, when what is rated is named unlike a counter. */
  #adviseCounter(name: string, tile: Tile, row: number): void {
    if (name === "" || this.#advised.has(name)) return;
    const { count } = this.#scan.steps;
    if (!tile.present.subarray(row * count, (row + 1) * count).includes(FLOAT)) return;
    this.#advised.add(name);
    if (/_(total|sum|count|bucket)$/.test(name)) return;
    const text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
    this.#context.annotations.info(`${text}: ${quoteGo(name)}`, this.#scan.at);
  }
}

/** As `FloatScanner.scan`, over floats and histograms that lie apart. */
function scanMixed(
  kernel: MixedKernel,
  window: MixedWindow,
  { steps, shape, params }: RangeScan,
  lookbackMs: number,
  tile: Tile,
  rowFrom: number,
): boolean {
  const { rangeMs, offsetMs, fixedMs, borders } = shape;
  const [param, secondParam] = params;
  const { floats, histograms } = window.series;
  const histogramTimes = histograms.times;
  const before = borders === "extrapolated" ? 0 : lookbackMs;
  const behind = borders === "smoothed" ? lookbackMs : 0;
  window.floatFrom = window.floatTo = window.histogramFrom = window.histogramTo = 0;
  let any = false;
  for (let step = 0; step < steps.count; step++) {
    const evalTime = stepTime(steps, step);
    const end = (fixedMs ?? evalTime) - offsetMs;
    const start = end - rangeMs;
    const last = end + behind;
    const first = start - before;
    while (window.floatTo < floats.length && floats.times[window.floatTo]! <= last) window.floatTo++;
    while (window.floatFrom < window.floatTo && floats.times[window.floatFrom]! <= first) window.floatFrom++;
    while (window.histogramTo < histograms.length && histogramTimes[window.histogramTo]! <= last) window.histogramTo++;
    while (window.histogramFrom < window.histogramTo && histogramTimes[window.histogramFrom]! <= first)
      window.histogramFrom++;
    if (window.floatFrom === window.floatTo && window.histogramFrom === window.histogramTo) continue;
    window.start = start;
    window.end = end;
    window.evalTime = evalTime;
    window.histogram = undefined;
    if (param !== undefined) window.param = param[step]!;
    if (secondParam !== undefined) window.secondParam = secondParam[step]!;
    if (!kernel(window)) continue;
    if (window.histogram === undefined) setFloat(tile, rowFrom + step, window.result);
    else setHistogram(tile, rowFrom + step, window.histogram);
    any = true;
  }
  return any;
}
