/**
 * What a query cost, operator by operator, and its samples counted by Prometheus's rules (promql/engine.go):
 *
 *   queryable  of a selector one a step, of a range what is in the window of each step, again where windows overlap;
 *              what is the same at every step counts at each, what is below a subquery not at all
 *   read       the same, but each sample of a range once, and what is the same at every step once
 *
 * A histogram counts for as many samples as it is large. Only collected when asked for: it stands between operators
 * (`EvalContext.evaluator`) and before the stores, so that it costs others nothing. Ranges are then scanned on one
 * thread, because others say nothing about windows.
 */
import { SampleColumns } from "#libs/model/columns.ts";
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import { samplesInHistogram } from "#libs/model/native-histogram/scale.ts";
import { isStale } from "#libs/model/stale.ts";
import type { RawSeries } from "./engine.ts";
import { type EvalContext, type Evaluator, QueryBudget } from "./operators/context.ts";
import { EVALUATOR } from "./operators/evaluate.ts";
import { type RangeShape, shapeOf } from "./operators/range-series.ts";
import { type Expr, type MatrixSelector, type Subquery, unwrapParens } from "./parser/ast.ts";
import type { QueryStorage, SelectRequest } from "./storage.ts";
import { ABSENT, FLOAT, type Steps, stepTime, type Tile } from "./tile.ts";

export interface OperatorStatistics {
  /** Handed on to the operator above. */
  series: number;
  values: number;
  /** Decoded by this operator. */
  samples: number;
  /** From being asked to having answered, what is below included. */
  totalMs: number;
  /** Most that this operator held or had under work. */
  samplesPeak: number;
  bytesPeak: number;
}

/** Samples by Prometheus's rules. */
export class SampleCounts {
  queryable = 0;
  read = 0;

  add(queryable: number, read: number): void {
    this.queryable += queryable;
    this.read += read;
  }

  /** Of a range as the result itself. */
  addSeries(list: readonly RawSeries[]): void {
    for (const { times, histograms } of list) {
      let samples = times.length;
      for (const histogram of histograms ?? [])
        if (histogram !== undefined) samples += samplesInHistogram(histogram) - 1;
      this.add(samples, samples);
    }
  }
}

/** Windows of a range over the samples of a series: those of a selector are new where they are looked at first. */
interface Windows {
  readonly shape: RangeShape;
  readonly steps: Steps;
  readonly lookbackMs: number;
  readonly statsOnly: boolean;
}

type Operator = Omit<OperatorStatistics, "samples" | "samplesPeak" | "bytesPeak"> & { readonly budget: OperatorBudget };

export class Statistics {
  readonly counts = new SampleCounts();
  readonly evaluator: Evaluator = {
    vector: (expr, context) => this.#vector(expr, context),
    scalar: (expr, context) => this.#scalar(expr, context),
  };
  readonly #budget: QueryBudget;
  readonly #operators = new Map<Expr, Operator>();
  /** Of the query. */
  #storage: QueryStorage | undefined;
  /** Of subqueries under way, by the expression inside. */
  readonly #windows = new Map<Expr, Windows>();
  /** By id of what is shared: counted again where it is used again. */
  readonly #shared = new Map<number, SampleCounts>();

  constructor(budget: QueryBudget) {
    this.#budget = budget;
  }

  /** What the operator of a node did; undefined when it was not asked. */
  of(expr: Expr): OperatorStatistics | undefined {
    const operator = this.#operators.get(expr);
    if (operator === undefined) return undefined;
    const { series, values, totalMs, budget } = operator;
    const { samplesLoaded: samples, samplesPeak, bytesPeak } = budget;
    return { series, values, samples, totalMs, samplesPeak, bytesPeak };
  }

  #operator(expr: Expr): Operator {
    let operator = this.#operators.get(expr);
    if (operator === undefined) {
      operator = { series: 0, values: 0, totalMs: 0, budget: new OperatorBudget(this.#budget) };
      this.#operators.set(expr, operator);
    }
    return operator;
  }

  async *#vector(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
    const operator = this.#operator(expr);
    const outer = context.counts ?? this.counts;
    const inner = new SampleCounts();
    const windows = this.#windows.get(expr);
    const tiles = EVALUATOR.vector(expr, this.#contextOf(expr, context, operator, inner));
    const isSelector = isSampleOf(expr);
    try {
      for (;;) {
        const startedAt = performance.now();
        const { done, value: tile } = await tiles.next();
        operator.totalMs += performance.now() - startedAt;
        if (done === true) break;
        const { values, samples } = countCells(tile, context.steps.count);
        operator.series += tile.labels.length;
        operator.values += values;
        if (isSelector) inner.add(samples, samples);
        if (windows !== undefined) countWindowsOfTile(tile, context.steps, windows, outer);
        yield tile;
      }
    } finally {
      await tiles.return(undefined);
    }
    this.#hand(expr, inner, outer, context.steps.count, windows !== undefined);
  }

  async #scalar(expr: Expr, context: EvalContext): Promise<Float64Array> {
    const operator = this.#operator(expr);
    const inner = new SampleCounts();
    const startedAt = performance.now();
    const values = await EVALUATOR.scalar(expr, this.#contextOf(expr, context, operator, inner));
    operator.totalMs += performance.now() - startedAt;
    operator.values += values.length;
    this.#hand(expr, inner, context.counts ?? this.counts, context.steps.count, false);
    return values;
  }

  /** What the operator itself sees: its own budget, stores that count. */
  #contextOf(expr: Expr, context: EvalContext, operator: Operator, counts: SampleCounts): EvalContext {
    // Not what was put around it for the operator above.
    const storage = (this.#storage ??= context.storage);
    const own: EvalContext = { ...context, storage, counts, budget: operator.budget, scanPool: undefined };
    const { steps, lookbackMs } = context;
    if (expr.kind === "call" && expr.func === "info") {
      // The selector of the info series is no node.
      const count: Count = (columns, request) => {
        const samples = request.func === "info" ? countInstants(columns, request, steps, lookbackMs) : 0;
        counts.add(samples, samples);
      };
      return { ...own, storage: countingStorage(storage, count) };
    }
    const range = rangeOf(expr);
    if (range === undefined) return own;
    const statsOnly = range.kind === "matrix" && range.selector.statsOnly === true;
    const windows = { shape: shapeOf(range), steps, lookbackMs, statsOnly };
    if (range.kind === "matrix") {
      const count: Count = (columns) => {
        const { queryable, read } = countWindows(columns, windows);
        counts.add(queryable, read);
      };
      return { ...own, storage: countingStorage(storage, count) };
    }
    this.#windows.set(range.expr, windows);
    return own;
  }

  /** Gives the counts of a node to what is around it. */
  #hand(expr: Expr, inner: SampleCounts, outer: SampleCounts, steps: number, inSubquery: boolean): void {
    if (expr.kind === "shared") {
      const first = this.#shared.get(expr.id);
      if (first === undefined) this.#shared.set(expr.id, inner);
      else if (inner.read === 0) inner.add(first.queryable, first.read);
    }
    // The range over a subquery counts what comes of it.
    if (inSubquery) outer.add(0, inner.read);
    else outer.add(inner.queryable * (expr.kind === "invariant" ? steps : 1), inner.read);
  }
}

/** Whether a node hands on samples of the stores as they are, one a step. */
function isSampleOf(expr: Expr): boolean {
  if (expr.kind === "selector") return true;
  if (expr.kind !== "call" || (expr.func !== "timestamp" && expr.func !== "start_timestamp")) return false;
  return unwrapParens(expr.args[0]!).kind === "selector";
}

/** The range that a call looks at. */
function rangeOf(expr: Expr): MatrixSelector | Subquery | undefined {
  if (expr.kind !== "call") return undefined;
  const range = expr.args.map(unwrapParens).find(({ kind }) => kind === "matrix" || kind === "subquery");
  return range as MatrixSelector | Subquery | undefined;
}

function countCells({ labels, present, histograms }: Tile, steps: number): { values: number; samples: number } {
  let values = 0;
  let samples = 0;
  for (let at = 0; at < labels.length * steps; at++) {
    if (present[at] === ABSENT) continue;
    values++;
    samples += present[at] === FLOAT ? 1 : samplesInHistogram(histograms![at]!);
  }
  return { values, samples };
}

/** Told of each series as it is decoded. */
type Count = (columns: SampleColumns, request: SelectRequest) => void;

/** Batches are not to be given away: who scans them does not count. */
function countingStorage(storage: QueryStorage, count: Count): QueryStorage {
  return {
    async *select(request, onWarning, signal) {
      for await (const batch of storage.select(request, onWarning, signal)) {
        yield {
          next: () => batch.next(),
          labels: () => batch.labels(),
          samples(columns) {
            batch.samples(columns);
            count(columns, request);
          },
        };
      }
    },
  };
}

/** The steps at which a series of floats has a sample within the lookback. */
function countInstants(
  { times, words, length }: SampleColumns,
  { mint, maxt }: SelectRequest,
  { stepMs, count }: Steps,
  lookbackMs: number,
): number {
  const first = mint + lookbackMs - 1;
  let found = 0;
  let i = -1;
  for (let step = 0; step < count; step++) {
    const time = Math.min(maxt, first + step * stepMs);
    while (i + 1 < length && times[i + 1]! <= time) i++;
    if (i >= 0 && times[i]! > time - lookbackMs && !isStale(words, i)) found++;
  }
  return found;
}

/** The samples of one series in the windows of all steps. */
function countWindows({ times, words, histograms, length }: SampleColumns, windows: Windows): SampleCounts {
  const { steps, lookbackMs, statsOnly } = windows;
  const { rangeMs, offsetMs, fixedMs, borders } = windows.shape;
  const before = borders === "extrapolated" ? 0 : lookbackMs;
  const behind = borders === "smoothed" ? lookbackMs : 0;
  /** How much the first `i` samples weigh. */
  const weights = new Float64Array(length + 1);
  for (let i = 0; i < length; i++) {
    weights[i + 1] = weights[i]! + (isStale(words, i) ? 0 : weightOf(histograms?.[i], statsOnly));
  }
  const counts = new SampleCounts();
  let from = 0;
  let to = 0;
  let seen = 0;
  for (let step = 0; step < steps.count; step++) {
    const end = (fixedMs ?? stepTime(steps, step)) - offsetMs;
    while (to < length && times[to]! <= end + behind) to++;
    while (from < to && times[from]! <= end - rangeMs - before) from++;
    counts.add(weights[to]! - weights[from]!, weights[to]! - weights[Math.max(from, seen)]!);
    seen = to;
  }
  return counts;
}

const STATS_ONLY = samplesInHistogram(new NativeHistogram());

function weightOf(histogram: NativeHistogram | undefined, statsOnly: boolean): number {
  if (histogram === undefined) return 1;
  return statsOnly ? STATS_ONLY : samplesInHistogram(histogram);
}

/** Of a subquery's result, whose samples were read below it. */
function countWindowsOfTile(tile: Tile, steps: Steps, windows: Windows, counts: SampleCounts): void {
  const columns = new SampleColumns();
  tile.labels.forEach((_, s) => {
    columns.clear();
    columns.reserve(steps.count);
    for (let i = 0; i < steps.count; i++) {
      const at = s * steps.count + i;
      if (tile.present[at] === ABSENT) continue;
      if (tile.present[at] !== FLOAT) columns.addHistogram(stepTime(steps, i), tile.histograms![at]!);
      else {
        columns.times[columns.length] = stepTime(steps, i);
        columns.values[columns.length++] = tile.values[at]!;
        if (columns.histograms !== undefined) columns.histograms.length = columns.length;
      }
    }
    counts.add(countWindows(columns, windows).queryable, 0);
  });
}

/** Passes on to the budget of the query what one operator takes of it. */
class OperatorBudget extends QueryBudget {
  readonly #whole: QueryBudget;

  constructor(whole: QueryBudget) {
    super(Infinity, whole.bytesMax);
    this.#whole = whole;
  }

  override load(samples: number): void {
    super.load(samples);
    this.#whole.load(samples);
  }

  override hold(samples: number, bytes: number): void {
    super.hold(samples, bytes);
    this.#whole.hold(samples, bytes);
  }

  override tryHold(bytes: number): boolean {
    if (!this.#whole.tryHold(bytes)) return false;
    super.hold(0, bytes);
    return true;
  }
}
