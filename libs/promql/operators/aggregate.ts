/**
 * Aggregations. Those that fold (sum, avg, …) keep [groups × steps] accumulators and let each tile go; those that
 * compare series with each other (topk, quantile, count_values) hold their input.
 *
 * sum and avg add with Neumaier's compensation in the order of series, as Prometheus does.
 */
import { BadRequestError, ExecutionError } from "#libs/kit/errors.ts";
import { formatValue } from "#libs/model/float.ts";
import { type Labels, labelsKey, NO_LABELS, withLabel } from "#libs/model/labels.ts";
import { quantileOf } from "../functions/over-time.ts";
import type { AggregateExpr } from "../parser/ast.ts";
import { createTile, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectVector, evaluateScalar, evaluateVector } from "./evaluator.ts";
import { groupingNames, groupingOf } from "./labels.ts";

export async function* aggregate(expr: AggregateExpr, context: EvalContext): AsyncGenerator<Tile> {
  switch (expr.op) {
    case "topk":
    case "bottomk":
      return yield* selectRanked(expr, context, expr.op === "bottomk");
    case "quantile":
      return yield* quantiles(expr, context);
    case "count_values":
      return yield* countValues(expr, context);
    case "limitk":
    case "limit_ratio":
      throw new ExecutionError(`aggregation ${expr.op} is not supported yet`);
    default:
      return yield* fold(expr, expr.op, context);
  }
}

/** Finds the group of a series. */
class Groups {
  readonly labels: Labels[] = [];
  readonly #names: ReadonlySet<string>;
  readonly #without: boolean;
  readonly #all: boolean;
  readonly #ids = new Map<string, number>();

  constructor(expr: AggregateExpr) {
    this.#names = groupingNames(expr.grouping, expr.without);
    this.#without = expr.without;
    this.#all = !expr.without && expr.grouping.length === 0;
  }

  idOf(labels: Labels): number {
    const grouping = this.#all ? NO_LABELS : groupingOf(labels, this.#names, this.#without);
    const key = labelsKey(grouping);
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.labels.length;
      this.#ids.set(key, id);
      this.labels.push(grouping);
    }
    return id;
  }
}

/** Accumulators of one group: a value a step in each column. */
interface Accumulator {
  readonly sum: Float64Array;
  readonly compensation: Float64Array;
  readonly count: Float64Array;
  readonly mean: Float64Array;
  /** avg: the sum overflowed, `mean` goes on. */
  readonly incremental: Uint8Array;
}

type FoldOp = Exclude<AggregateExpr["op"], "topk" | "bottomk" | "quantile" | "count_values" | "limitk" | "limit_ratio">;
type Step = (a: Accumulator, i: number, value: number) => void;

async function* fold(expr: AggregateExpr, op: FoldOp, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const groups = new Groups(expr);
  const accumulators: Accumulator[] = [];
  const add = STEPS[op];
  for await (const tile of evaluateVector(expr.expr, context)) {
    const { values, present, labels } = tile;
    for (let s = 0; s < labels.length; s++) {
      const id = groups.idOf(labels[s]!);
      let accumulator = accumulators[id];
      if (accumulator === undefined) {
        accumulator = accumulators[id] = createAccumulator(count, op);
        context.budget.hold(count);
      }
      const from = s * count;
      // sum is by far the most asked for: its loop stands alone, so that nothing in it is called.
      if (op === "sum") foldSum(accumulator, values, present, from, count);
      else for (let i = 0; i < count; i++) if (present[from + i] === 1) add(accumulator, i, values[from + i]!);
    }
  }
  const out = createTile(groups.labels.length, count);
  groups.labels.forEach((labels, g) => {
    out.labels.push(labels);
    const accumulator = accumulators[g]!;
    for (let i = 0; i < count; i++) {
      if (accumulator.count[i] === 0) continue;
      out.present[g * count + i] = 1;
      out.values[g * count + i] = finish(op, accumulator, i);
    }
  });
  yield out;
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
  };
}

function foldSum(a: Accumulator, values: Float64Array, present: Uint8Array, from: number, steps: number): void {
  const { sum, compensation, count } = a;
  for (let i = 0; i < steps; i++) {
    if (present[from + i] === 0) continue;
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

const STEPS: Readonly<Record<FoldOp, Step>> = {
  sum: () => undefined, // foldSum
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
  count(a, i) {
    a.count[i]!++;
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

/** topk and bottomk: the input series, present only where they rank. Ties: the earlier series. */
async function* selectRanked(expr: AggregateExpr, context: EvalContext, lowest: boolean): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const limits = await evaluateScalar(expr.param!, context);
  for (const k of limits) checkK(k);
  const input = await collectVector(expr.expr, context);
  const groups = new Groups(expr);
  const members: number[][] = [];
  input.labels.forEach((labels, s) => (members[groups.idOf(labels)] ??= []).push(s));
  const kept = new Uint8Array(input.present.length);
  const ranked: number[] = [];
  for (let i = 0; i < count; i++) {
    const k = Math.trunc(limits[i]!);
    if (k < 1) continue;
    const value = (s: number): number => input.values[s * count + i]!;
    const better = (a: number, b: number): number => {
      const [x, y] = [value(a), value(b)];
      if (Number.isNaN(x)) return Number.isNaN(y) ? a - b : 1;
      if (Number.isNaN(y)) return -1;
      return (lowest ? x - y : y - x) || a - b;
    };
    for (const group of members) {
      const order = group
        .filter((s) => input.present[s * count + i] === 1)
        .sort(better)
        .slice(0, k);
      for (const s of order) kept[s * count + i] = 1;
      if (count === 1) ranked.push(...order);
    }
  }
  if (count > 1) {
    yield { ...input, present: kept };
    return;
  }
  // An instant query lists the series by rank.
  const out = createTile(ranked.length, 1);
  ranked.forEach((s, row) => {
    out.labels.push(input.labels[s]!);
    out.values[row] = input.values[s]!;
    out.present[row] = 1;
  });
  yield out;
}

function checkK(k: number): void {
  if (Number.isNaN(k)) throw new ExecutionError("Parameter value is NaN");
  if (k >= 2 ** 63) throw new ExecutionError(`Scalar value ${formatValue(k)} overflows int64`);
  if (k <= -(2 ** 63)) throw new ExecutionError(`Scalar value ${formatValue(k)} underflows int64`);
}

async function* quantiles(expr: AggregateExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const params = await evaluateScalar(expr.param!, context);
  for (const q of params) {
    if (Number.isNaN(q) || q < 0 || q > 1) {
      context.annotations.warn(`quantile value should be between 0 and 1, got ${formatValue(q)}`, expr.param!.span);
    }
  }
  const input = await collectVector(expr.expr, context);
  const groups = new Groups(expr);
  const members: number[][] = [];
  input.labels.forEach((labels, s) => (members[groups.idOf(labels)] ??= []).push(s));
  const out = createTile(groups.labels.length, count);
  out.labels.push(...groups.labels);
  members.forEach((group, g) => {
    for (let i = 0; i < count; i++) {
      const values = group.filter((s) => input.present[s * count + i] === 1).map((s) => input.values[s * count + i]!);
      if (values.length === 0) continue;
      out.values[g * count + i] = quantileOf(params[i]!, Float64Array.from(values));
      out.present[g * count + i] = 1;
    }
  });
  yield out;
}

async function* countValues(expr: AggregateExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const label = expr.param?.kind === "string" ? expr.param.value : "";
  if (label === "") throw new BadRequestError(`invalid label name ${JSON.stringify(label)}`);
  const input = await collectVector(expr.expr, context);
  const grouped = new Groups(expr);
  const rows = new Map<string, { labels: Labels; counts: Float64Array }>();
  input.labels.forEach((labels, s) => {
    const group = grouped.labels[grouped.idOf(labels)]!;
    for (let i = 0; i < count; i++) {
      if (input.present[s * count + i] === 0) continue;
      const rowLabels = withLabel(group, label, formatValue(input.values[s * count + i]!));
      const key = labelsKey(rowLabels);
      let row = rows.get(key);
      if (row === undefined) {
        row = { labels: rowLabels, counts: new Float64Array(count) };
        rows.set(key, row);
      }
      row.counts[i]!++;
    }
  });
  const out = createTile(rows.size, count);
  [...rows.values()].forEach(({ labels, counts }, r) => {
    out.labels.push(labels);
    for (let i = 0; i < count; i++) {
      if (counts[i] === 0) continue;
      out.values[r * count + i] = counts[i]!;
      out.present[r * count + i] = 1;
    }
  });
  yield out;
}
