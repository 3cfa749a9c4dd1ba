/**
 * The engine: text in, result out.
 *
 *   parse ─▶ plan (passes) ─▶ operators, pulled tile by tile ─▶ result
 *
 * It keeps nothing between queries. CPU work is done in slices of 10 ms, so that cancellation and other queries get
 * their turn; a query stops at its timeout wherever it is.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { BadRequestError, ExecutionError, TimeoutError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import { compareLabels, type Labels } from "#libs/model/labels.ts";
import { Annotations } from "./annotations.ts";
import { type EvalContext, SampleBudget } from "./operators/context.ts";
import { EVALUATOR } from "./operators/evaluate.ts";
import { collectVector, evaluateScalar } from "./operators/evaluator.ts";
import { rangeSeries } from "./operators/select.ts";
import { unwrapParens, type Expr } from "./parser/ast.ts";
import { TYPE_NAMES, typeOf } from "./parser/check.ts";
import { parseQuery } from "./parser/parser.ts";
import { planQuery } from "./plan/plan.ts";
import type { QueryStorage } from "./storage.ts";
import { createTile, type Steps, type Tile } from "./tile.ts";

export interface EngineOptions {
  readonly lookbackMs: number;
  readonly timeoutMs: number;
  readonly samplesMax: number;
  readonly defaultStepMs: number;
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
  readonly stats: { readonly samplesLoaded: number; readonly samplesPeak: number; readonly tookMs: number };
}

export interface QueryOptions {
  readonly lookbackMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

export class Engine {
  readonly #options: EngineOptions;

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
    const expr = parseQuery(query);
    const steps: Steps = { startMs: timeMs, stepMs: 0, count: 1 };
    return this.#run(query, expr, steps, storage, options, signal, async (plan, context) => {
      switch (typeOf(plan)) {
        case "scalar":
          return { type: "scalar", value: (await evaluateScalar(plan, context))[0]!, timeMs };
        case "string":
          return { type: "string", value: stringOf(plan), timeMs };
        case "matrix":
          return { type: "raw", series: await rawSeries(plan, context) };
        case "vector":
          return { type: "vector", tile: await collectVector(plan, context), timeMs };
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
    const expr = parseQuery(query);
    const type = typeOf(expr);
    if (type !== "scalar" && type !== "vector") {
      throw new BadRequestError(
        `invalid expression type ${JSON.stringify(TYPE_NAMES[type])} for range query, must be Scalar or instant Vector`,
      );
    }
    const { startMs, endMs, stepMs } = params;
    const steps: Steps = { startMs, stepMs, count: Math.floor((endMs - startMs) / stepMs) + 1 };
    return this.#run(query, expr, steps, storage, options, signal, async (plan, context) => {
      if (type === "scalar") {
        const tile = createTile(1, steps.count);
        tile.labels.push([]);
        tile.values.set(await evaluateScalar(plan, context));
        tile.present.fill(1);
        return { type: "matrix", tile, steps };
      }
      const tile = await collectVector(plan, context);
      return { type: "matrix", tile: sortTile(mergeEqual(tile, steps.count), steps.count), steps };
    });
  }

  async #run(
    query: string,
    expr: Expr,
    steps: Steps,
    storage: QueryStorage,
    options: QueryOptions,
    signal: AbortSignal,
    evaluate: (plan: Expr, context: EvalContext) => Promise<QueryValue>,
  ): Promise<QueryResult> {
    const startedAt = performance.now();
    const timeoutMs = Math.min(options.timeoutMs ?? Infinity, this.#options.timeoutMs);
    const timeout = new AbortController();
    const done = new AbortController();
    const stop = AbortSignal.any([signal, timeout.signal]);
    void sleep(timeoutMs, undefined, { signal: done.signal }).then(
      () => timeout.abort(new TimeoutError("query timed out in expression evaluation")),
      () => undefined, // the query was faster
    );
    const annotations = new Annotations(query);
    const budget = new SampleBudget(this.#options.samplesMax);
    const plan = planQuery(expr, { startMs: steps.startMs, endMs: steps.startMs + (steps.count - 1) * steps.stepMs });
    try {
      const value = await evaluate(plan, {
        evaluator: EVALUATOR,
        steps,
        storage,
        annotations,
        budget,
        slices: new Slices(10, stop),
        signal: stop,
        lookbackMs: options.lookbackMs ?? this.#options.lookbackMs,
        defaultStepMs: this.#options.defaultStepMs,
      });
      return {
        value,
        warnings: annotations.warnings,
        infos: annotations.infos,
        stats: { samplesLoaded: budget.loaded, samplesPeak: budget.peak, tookMs: performance.now() - startedAt },
      };
    } finally {
      done.abort();
    }
  }
}

function stringOf(expr: Expr): string {
  const inner = expr.kind === "invariant" ? expr.expr : unwrapParens(expr);
  if (inner.kind !== "string") throw new ExecutionError("BUG: a string expression that is no string");
  return inner.value;
}

/** The samples of `metric[5m]` or of a subquery, without stale markers. */
async function rawSeries(plan: Expr, context: EvalContext): Promise<RawSeries[]> {
  const out: RawSeries[] = [];
  for await (const { labels, columns, rangeMs, offsetMs, fixedMs } of rangeSeries(unwrapParens(plan), "", context)) {
    const end = (fixedMs ?? context.steps.startMs) - offsetMs;
    let from = 0;
    let to = columns.length;
    while (from < to && columns.times[from]! <= end - rangeMs) from++;
    while (to > from && columns.times[to - 1]! > end) to--;
    if (from === to) continue;
    context.budget.hold(to - from);
    out.push({ labels: labels(), times: columns.times.slice(from, to), values: columns.values.slice(from, to) });
  }
  return out.sort((a, b) => compareLabels(a.labels, b.labels));
}

/** Rows with equal labels become one; a step where both have a value is refused. */
function mergeEqual(tile: Tile, count: number): Tile {
  const rows = new Map<string, number>();
  let merged = false;
  const removed = new Set<number>();
  tile.labels.forEach((labels, s) => {
    const key = labels.join("\u{ff}");
    const first = rows.get(key);
    if (first === undefined) {
      rows.set(key, s);
      return;
    }
    merged = true;
    removed.add(s);
    for (let i = 0; i < count; i++) {
      if (tile.present[s * count + i] === 0) continue;
      if (tile.present[first * count + i] === 1)
        throw new ExecutionError("vector cannot contain metrics with the same labelset");
      tile.values[first * count + i] = tile.values[s * count + i]!;
      tile.present[first * count + i] = 1;
    }
  });
  if (!merged) return tile;
  return pickRows(
    tile,
    tile.labels.map((_, s) => s).filter((s) => !removed.has(s)),
    count,
  );
}

function sortTile(tile: Tile, count: number): Tile {
  const order = tile.labels.map((_, s) => s);
  const sorted = order.every((s) => s === 0 || compareLabels(tile.labels[s - 1]!, tile.labels[s]!) < 0);
  if (sorted) return tile;
  return pickRows(
    tile,
    order.sort((a, b) => compareLabels(tile.labels[a]!, tile.labels[b]!)),
    count,
  );
}

function pickRows(tile: Tile, rows: readonly number[], count: number): Tile {
  const out = createTile(rows.length, count);
  rows.forEach((s, row) => {
    out.labels.push(tile.labels[s]!);
    out.values.set(tile.values.subarray(s * count, (s + 1) * count), row * count);
    out.present.set(tile.present.subarray(s * count, (s + 1) * count), row * count);
  });
  return out;
}
