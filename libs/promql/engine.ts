/**
 * The engine: text in, result out.
 *
 *   parse ─▶ plan (passes) ─▶ operators, pulled tile by tile ─▶ result
 *
 * It keeps nothing between queries. CPU work is done in slices of 10 ms, so that cancellation and other queries get
 * their turn; a query stops at its timeout wherever it is.
 */
import { Deadlines } from "#libs/kit/deadlines.ts";
import { BadRequestError, ExecutionError, TimeoutError } from "#libs/kit/errors.ts";
import type { Maybe } from "#libs/kit/maybe.ts";
import { Slices } from "#libs/kit/slices.ts";
import { compareLabels, type Labels } from "#libs/model/labels.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { Annotations } from "./annotations.ts";
import { type EvalContext, QueryBudget } from "./operators/context.ts";
import { EVALUATOR } from "./operators/evaluate.ts";
import { collectVector, evaluateScalar } from "./operators/evaluator.ts";
import { forEachInSlices, mergeInSlices, pickInSlices, sortInSlices } from "./operators/in-slices.ts";
import { NameRemoval } from "./operators/labels.ts";
import { SharedResults } from "./operators/shared.ts";
import { rangeSamples } from "./operators/range-samples.ts";
import { type Expr, unwrapParens } from "./parser/ast.ts";
import { TYPE_NAMES, typeOf } from "./parser/check.ts";
import type { ParserOptions } from "./parser/options.ts";
import { parseQuery } from "./parser/parser.ts";
import { selectsNothing } from "./plan/passes/matchers.ts";
import type { Pass } from "./plan/pass.ts";
import { planQuery } from "./plan/plan.ts";
import { type Analysis, analyze } from "./explain.ts";
import type { ScanPool } from "./scan-pool.ts";
import { type SampleCounts, Statistics } from "./statistics.ts";
import type { QueryStorage, SeriesBatch } from "./storage.ts";
import { constantTile, type Steps, type Tile } from "./tile.ts";

export interface EngineOptions {
  readonly lookbackMs: number;
  readonly timeoutMs: number;
  readonly samplesMax: number;
  /** Of one query; undefined: no limit. */
  readonly memoryBytesMax?: number | undefined;
  readonly defaultStepMs: number;
  readonly parser?: ParserOptions | undefined;
  /** Names are taken off at the end of the query (`promql-delayed-name-removal`). */
  readonly delayedNameRemoval?: boolean | undefined;
  /** Start timestamps tell resets (`use-start-timestamps`). */
  readonly useStartTimestamps?: boolean | undefined;
  readonly scanPool?: ScanPool | undefined;
  /** Of the planner, instead of all: tests compare. */
  readonly passes?: readonly Pass[] | undefined;
}

export interface RangeParams {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

/** A series of raw samples, as `metric[5m]` gives in an instant query. */
export interface RawSeries {
  readonly labels: Labels;
  readonly times: Float64Array;
  readonly values: Float64Array;
  /** Set at the index of samples that are histograms; undefined when there are none. */
  readonly histograms: readonly (NativeHistogram | undefined)[] | undefined;
}

export type QueryValue =
  | { readonly type: "scalar"; readonly value: number; readonly timeMs: number }
  | { readonly type: "string"; readonly value: string; readonly timeMs: number }
  | { readonly type: "vector"; readonly tile: Tile; readonly timeMs: number }
  | { readonly type: "matrix"; readonly tile: Tile; readonly steps: Steps }
  | { readonly type: "raw"; readonly series: readonly RawSeries[] };

export interface QueryResult {
  readonly value: QueryValue;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  readonly stats: {
    /** Decoded. */
    readonly samplesLoaded: number;
    readonly samplesPeak: number;
    readonly bytesPeak: number;
    readonly tookMs: number;
    /** By Prometheus's rules; undefined when statistics were not asked for. */
    readonly counts?: Readonly<SampleCounts> | undefined;
  };
  /** The operators and what each did, when statistics were asked for. */
  readonly analysis?: Analysis | undefined;
}

export interface QueryOptions {
  readonly lookbackMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
  /** Collects statistics, which takes its time. */
  readonly statistics?: boolean | undefined;
}

export class Engine {
  readonly #options: EngineOptions;
  readonly #deadlines = new Deadlines();

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  /** Evaluates at one time. */
  instant(
    query: string,
    timeMs: number,
    storage: QueryStorage,
    options: QueryOptions,
    signal: AbortSignal,
  ): Promise<QueryResult> {
    const expr = parseQuery(query, this.#options.parser);
    const steps: Steps = { startMs: timeMs, stepMs: 0, count: 1 };
    return this.#run(query, expr, steps, timeMs, storage, options, signal, async (plan, context) => {
      switch (typeOf(plan)) {
        case "scalar":
          return { type: "scalar", value: (await evaluateScalar(plan, context))[0]!, timeMs };
        case "string":
          return { type: "string", value: stringOf(plan), timeMs };
        case "matrix":
          return { type: "raw", series: await rawSeries(plan, context) };
        case "vector":
          return { type: "vector", tile: await named(await collectVector(plan, context), context), timeMs };
      }
    });
  }

  /** Evaluates at start, start + step, … up to end. */
  range(
    query: string,
    params: RangeParams,
    storage: QueryStorage,
    options: QueryOptions,
    signal: AbortSignal,
  ): Promise<QueryResult> {
    const expr = parseQuery(query, this.#options.parser);
    const type = typeOf(expr);
    if (type !== "scalar" && type !== "vector") {
      throw new BadRequestError(
        `invalid expression type ${JSON.stringify(TYPE_NAMES[type])} for range query, must be Scalar or instant Vector`,
      );
    }
    const { startMs, endMs, stepMs } = params;
    const steps: Steps = { startMs, stepMs, count: Math.floor((endMs - startMs) / stepMs) + 1 };
    return this.#run(query, expr, steps, endMs, storage, options, signal, async (plan, context) => {
      const tile =
        type === "scalar" ? constantTile(await evaluateScalar(plan, context)) : await collectVector(plan, context);
      return { type: "matrix", tile: await sortTile(await named(tile, context), context), steps };
    });
  }

  async #run(
    query: string,
    expr: Expr,
    steps: Steps,
    endMs: number,
    storage: QueryStorage,
    options: QueryOptions,
    signal: AbortSignal,
    evaluate: (plan: Expr, context: EvalContext) => Promise<QueryValue>,
  ): Promise<QueryResult> {
    const startedAt = performance.now();
    const timeoutMs = Math.min(options.timeoutMs ?? Infinity, this.#options.timeoutMs);
    // Not AbortSignal.any: it leaves weak references to the collector.
    const stop = new AbortController();
    const cancel = (): void => stop.abort(signal.reason);
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    const annotations = new Annotations(query);
    const budget = new QueryBudget(this.#options.samplesMax, this.#options.memoryBytesMax ?? Infinity);
    const statistics = options.statistics === true ? new Statistics(budget) : undefined;
    const range = { startMs: steps.startMs, endMs, stepMs: steps.stepMs };
    const plan = planQuery(expr, range, query, this.#options.passes);
    const deadline = this.#deadlines.add(timeoutMs, () =>
      stop.abort(new TimeoutError("query timed out in expression evaluation")),
    );
    try {
      const value = await evaluate(plan.expr, {
        evaluator: statistics?.evaluator ?? EVALUATOR,
        steps,
        storage: sparing(storage),
        annotations,
        budget,
        slices: new Slices(10, stop.signal),
        signal: stop.signal,
        lookbackMs: options.lookbackMs ?? this.#options.lookbackMs,
        defaultStepMs: this.#options.defaultStepMs,
        results: new SharedResults(budget),
        names: new NameRemoval(this.#options.delayedNameRemoval === true),
        useStartTimestamps: this.#options.useStartTimestamps === true,
        scanPool: this.#options.scanPool,
      });
      // The samples of a range that is itself the result pass no operator.
      if (value.type === "raw" && plan.expr.kind === "matrix") statistics?.counts.addSeries(value.series);
      return {
        value,
        analysis: statistics && analyze(plan.expr, statistics),
        warnings: annotations.warnings,
        infos: annotations.infos,
        stats: {
          samplesLoaded: budget.samplesLoaded,
          samplesPeak: budget.samplesPeak,
          bytesPeak: budget.bytesPeak,
          tookMs: performance.now() - startedAt,
          counts: statistics?.counts,
        },
      };
    } finally {
      this.#deadlines.remove(deadline);
      signal.removeEventListener("abort", cancel);
    }
  }
}

/** Does not ask for what contradicts itself. */
function sparing(storage: QueryStorage): QueryStorage {
  return {
    select: (request, onWarning, signal) =>
      selectsNothing(request.matchers) ? NOTHING : storage.select(request, onWarning, signal),
  };
}

const NOTHING: AsyncIterable<SeriesBatch> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
};

function stringOf(expr: Expr): string {
  const inner = expr.kind === "invariant" ? expr.expr : unwrapParens(expr);
  if (inner.kind !== "string") throw new ExecutionError("BUG: a string expression that is no string");
  return inner.value;
}

/** The samples of `metric[5m]` or of a subquery, without stale markers. */
async function rawSeries(plan: Expr, context: EvalContext): Promise<RawSeries[]> {
  const inner = plan.kind === "invariant" ? plan.expr : unwrapParens(plan);
  if (inner.kind !== "matrix" && inner.kind !== "subquery") {
    throw new ExecutionError(`a ${inner.kind} cannot be evaluated as a range vector`);
  }
  const series = await rangeSamples(inner, context);
  return sortInSlices(series, (a, b) => compareLabels(a.labels, b.labels), context.slices);
}

/** With names removed where that was put off; a step where two series became one is refused. */
function named(tile: Tile, context: EvalContext): Maybe<Tile> {
  return context.names.delayed ? withoutNames(tile, context) : tile;
}

async function withoutNames(tile: Tile, { names, steps, slices }: EvalContext): Promise<Tile> {
  await forEachInSlices(tile.labels.length, (s) => names.finish(tile, s), slices);
  return mergeInSlices(tile, steps.count, slices);
}

async function sortTile(tile: Tile, { steps, slices }: EvalContext): Promise<Tile> {
  const { labels } = tile;
  let sorted = 1;
  const look = (s: number): void => {
    if (sorted === s && compareLabels(labels[s - 1]!, labels[s]!) < 0) sorted++;
  };
  await forEachInSlices(labels.length, look, slices);
  if (sorted >= labels.length) return tile;
  const order = await sortInSlices([...labels.keys()], (a, b) => compareLabels(labels[a]!, labels[b]!), slices);
  return pickInSlices(tile, order, steps.count, slices);
}
