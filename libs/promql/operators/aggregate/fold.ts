/**
 * Aggregations that fold (sum, avg, min, …): they keep [groups × steps] accumulators and let each tile go.
 *
 * sum and avg add with Neumaier's compensation in the order of series, as Prometheus does.
 */
import { labelValue, METRIC_NAME } from "#libs/model/labels.ts";
import { compactHistogram } from "#libs/model/native-histogram/scale.ts";
import { HistogramSum } from "#libs/model/native-histogram/sum.ts";
import type { AggregateExpr } from "../../parser/ast.ts";
import { ABSENT, createTile, FLOAT, histogramAt, setFloat, setHistogram, type Tile } from "../../tile.ts";
import type { EvalContext } from "../context.ts";
import { evaluateVector } from "../evaluator.ts";
import { forEachInSlices } from "../in-slices.ts";
import { Groups } from "./groups.ts";

export type FoldOp = "sum" | "avg" | "min" | "max" | "count" | "group" | "stddev" | "stdvar";

/** Accumulators of one group: a value a step in each column. */
interface Accumulator {
  readonly sum: Float64Array;
  readonly compensation: Float64Array;
  /** Of floats; of everything for `count` and `group`. */
  readonly count: Float64Array;
  readonly mean: Float64Array;
  /** avg: the sum overflowed, `mean` goes on. */
  readonly incremental: Uint8Array;
  /** sum and avg of histograms, by step. */
  histograms: (HistogramSum | undefined)[] | undefined;
  nameless: boolean;
}

type Step = (a: Accumulator, i: number, value: number) => void;

export async function* fold(expr: AggregateExpr, op: FoldOp, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const groups = new Groups(expr);
  const accumulators: Accumulator[] = [];
  for await (const tile of evaluateVector(expr.expr, context)) foldTile(expr, op, tile, groups, accumulators, context);
  const out = createTile(groups.labels.length, count);
  const finishGroup = (g: number): void => {
    out.labels.push(groups.labels[g]!);
    const accumulator = accumulators[g]!;
    if (accumulator.nameless) context.names.apply(out, g);
    for (let i = 0; i < count; i++) {
      if (accumulator.histograms?.[i] !== undefined) finishHistogram(expr, accumulator, i, out, g * count + i, context);
      else if (accumulator.count[i]! > 0) setFloat(out, g * count + i, finish(op, accumulator, i));
    }
  };
  await forEachInSlices(groups.labels.length, finishGroup, context.slices);
  yield out;
}

/** Not in the generator, whose loops are compiled anew for every query and less well. */
function foldTile(
  expr: AggregateExpr,
  op: FoldOp,
  tile: Tile,
  groups: Groups,
  accumulators: Accumulator[],
  context: EvalContext,
): void {
  const { count } = context.steps;
  for (let s = 0; s < tile.labels.length; s++) {
    const id = groups.idOf(tile.labels[s]!);
    let accumulator = accumulators[id];
    if (accumulator === undefined) {
      accumulator = accumulators[id] = createAccumulator(count, op);
      context.budget.hold(count, accumulatorBytes(accumulator));
    }
    if (tile.nameless?.has(s) === true) accumulator.nameless = true;
    if (tile.histograms === undefined) foldFloats(op, accumulator, tile.values, tile.present, s * count, count);
    else foldAny(expr, op, accumulator, tile, s, context);
  }
}

function createAccumulator(count: number, op: FoldOp): Accumulator {
  const column = (used: boolean): Float64Array => new Float64Array(used ? count : 0);
  const compensated = op === "sum" || op === "avg";
  return {
    sum: new Float64Array(count),
    compensation: column(compensated),
    count: new Float64Array(count),
    mean: column(op === "avg" || op === "stddev" || op === "stdvar"),
    incremental: new Uint8Array(op === "avg" ? count : 0),
    histograms: undefined,
    nameless: false,
  };
}

function accumulatorBytes({ sum, compensation, count, mean, incremental }: Accumulator): number {
  return [sum, compensation, count, mean, incremental].reduce((bytes, column) => bytes + column.byteLength, 0);
}

function foldFloats(
  op: FoldOp,
  a: Accumulator,
  values: Float64Array,
  present: Uint8Array,
  from: number,
  steps: number,
): void {
  // The most asked for have loops of their own, so that nothing in them is called.
  if (op === "sum") foldSum(a, values, present, from, steps);
  else if (op === "count") for (let i = 0; i < steps; i++) a.count[i]! += present[from + i]!;
  else {
    const add = STEPS[op];
    for (let i = 0; i < steps; i++) if (present[from + i] === FLOAT) add(a, i, values[from + i]!);
  }
}

/** A series with histograms. */
function foldAny(expr: AggregateExpr, op: FoldOp, a: Accumulator, tile: Tile, s: number, context: EvalContext): void {
  const { count } = context.steps;
  for (let i = 0; i < count; i++) {
    const at = s * count + i;
    const kind = tile.present[at];
    if (kind === ABSENT) continue;
    if (op === "count") a.count[i]!++;
    else if (op === "group") a.count[i] = 1;
    else if (kind === FLOAT) foldFloats(op, oneStep(a, i), tile.values, tile.present, at, 1);
    else if (op !== "sum" && op !== "avg") context.annotations.histogramIgnored(op, expr.expr.span);
    else {
      a.histograms ??= [];
      const sum = (a.histograms[i] ??= new HistogramSum(op === "avg"));
      if (sum.incompatible || a.count[i]! > 0) continue; // no result anyway
      sum.add(histogramAt(tile, at));
      if (sum.boundsReconciled) context.annotations.boundsReconciled("aggregation", expr.expr.span);
      if (sum.incompatible) {
        context.annotations.mixedSchemas(labelValue(tile.labels[s]!, METRIC_NAME), expr.expr.span);
      }
    }
  }
}

/** The accumulator of step `i` alone, in the same memory. */
function oneStep(a: Accumulator, i: number): Accumulator {
  const at = <T extends Float64Array | Uint8Array>(column: T): T => column.subarray(i, i + 1) as T;
  return {
    ...a,
    sum: at(a.sum),
    compensation: at(a.compensation),
    count: at(a.count),
    mean: at(a.mean),
    incremental: at(a.incremental),
  };
}

function finishHistogram(
  expr: AggregateExpr,
  a: Accumulator,
  i: number,
  out: Tile,
  at: number,
  { annotations }: EvalContext,
): void {
  const sum = a.histograms![i]!;
  if (a.count[i]! > 0) {
    annotations.warn("encountered a mix of histograms and floats for aggregation", expr.expr.span);
    return;
  }
  if (sum.incompatible) return;
  setHistogram(out, at, compactHistogram(expr.op === "avg" ? sum.average() : sum.sum()));
  if (sum.counterResetCollision) annotations.counterResetCollision("aggregation", expr.expr.span);
}

function foldSum(a: Accumulator, values: Float64Array, present: Uint8Array, from: number, steps: number): void {
  const { sum, compensation, count } = a;
  for (let i = 0; i < steps; i++) {
    if (present[from + i] !== FLOAT) continue;
    const x = values[from + i]!;
    if (count[i]!++ === 0) {
      sum[i] = x;
      continue;
    }
    const s = sum[i]!;
    const t = s + x;
    if (t === Infinity || t === -Infinity) compensation[i] = 0;
    else if (Math.abs(s) >= Math.abs(x)) compensation[i] = compensation[i]! + (s - t + x);
    else compensation[i] = compensation[i]! + (x - t + s);
    sum[i] = t;
  }
}

const STEPS: Readonly<Record<Exclude<FoldOp, "sum" | "count">, Step>> = {
  avg(a, i, x) {
    const n = ++a.count[i]!;
    if (n === 1) {
      a.sum[i] = x;
      return;
    }
    if (a.incremental[i] === 0) {
      const s = a.sum[i]!;
      const t = s + x;
      if (t !== Infinity && t !== -Infinity) {
        a.compensation[i] = a.compensation[i]! + (Math.abs(s) >= Math.abs(x) ? s - t + x : x - t + s);
        a.sum[i] = t;
        return;
      }
      a.incremental[i] = 1;
      a.mean[i] = s / (n - 1);
      a.compensation[i] = a.compensation[i]! / (n - 1);
    }
    const q = (n - 1) / n;
    const scaled = q * a.mean[i]!;
    const c = q * a.compensation[i]!;
    const part = x / n;
    const t = part + scaled;
    a.compensation[i] =
      t === Infinity || t === -Infinity
        ? 0
        : Math.abs(scaled) >= Math.abs(part)
          ? c + (scaled - t + part)
          : c + (part - t + scaled);
    a.mean[i] = t;
  },
  min(a, i, x) {
    if (a.count[i]!++ === 0 || x < a.sum[i]! || Number.isNaN(a.sum[i]!)) a.sum[i] = x;
  },
  max(a, i, x) {
    if (a.count[i]!++ === 0 || x > a.sum[i]! || Number.isNaN(a.sum[i]!)) a.sum[i] = x;
  },
  group(a, i) {
    a.count[i] = 1;
  },
  stddev: welford,
  stdvar: welford,
};

function welford(a: Accumulator, i: number, x: number): void {
  const n = ++a.count[i]!;
  if (n === 1) {
    a.mean[i] = x;
    a.sum[i] = Number.isFinite(x) ? 0 : NaN;
    return;
  }
  const delta = x - a.mean[i]!;
  a.mean[i] = a.mean[i]! + delta / n;
  a.sum[i] = a.sum[i]! + delta * (x - a.mean[i]!);
}

function finish(op: FoldOp, a: Accumulator, i: number): number {
  const n = a.count[i]!;
  switch (op) {
    case "sum":
      return a.sum[i]! + a.compensation[i]!;
    case "avg":
      return a.incremental[i] === 1 ? a.mean[i]! + a.compensation[i]! : a.sum[i]! / n + a.compensation[i]! / n;
    case "count":
      return n;
    case "group":
      return 1;
    case "stddev":
      return Math.sqrt(a.sum[i]! / n);
    case "stdvar":
      return a.sum[i]! / n;
    default:
      return a.sum[i]!;
  }
}
