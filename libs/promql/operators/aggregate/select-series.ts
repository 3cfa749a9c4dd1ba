/**
 * Aggregations that choose among their input's series: topk, bottomk, limitk, limit_ratio. They hold their input.
 *
 * Which of equal values stays, and in which order an instant query shows them, is what a binary heap as Go's
 * container/heap makes of it: so the heap is the same, push and fix included.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import { formatG } from "#libs/model/float.ts";
import { hashStringLabels } from "#libs/model/hash.ts";
import type { AggregateExpr } from "../../parser/ast.ts";
import { ABSENT, HISTOGRAM, pickRows, type Tile } from "../../tile.ts";
import type { EvalContext } from "../context.ts";
import { collectVector, evaluateScalar } from "../evaluator.ts";
import { forEachInSlices } from "../in-slices.ts";
import { Groups } from "./groups.ts";

const TWO_64 = 2 ** 64;

export async function* selectRanked(
  expr: AggregateExpr,
  op: "topk" | "bottomk" | "limitk",
  context: EvalContext,
): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const limits = await evaluateScalar(expr.param!, context);
  const input = await collectVector(expr.expr, context);
  if (!checkLimits(limits)) return;
  const members = await new Groups(expr).members(input, context.slices);
  const kept = new Uint8Array(input.present.length);
  const ranked: number[] = [];
  const heap: number[] = [];
  for (let i = 0; i < count; i++) {
    if (context.slices.due) await context.slices.breathe();
    const k = Math.min(Math.trunc(limits[i]!), input.labels.length);
    if (k < 1) continue;
    const value = (s: number): number => input.values[s * count + i]!;
    const isLess = (a: number, b: number): boolean =>
      Number.isNaN(value(a)) || (op === "topk" ? value(a) < value(b) : value(a) > value(b));
    for (const group of members) {
      heap.length = 0;
      for (const s of group) {
        const kind = input.present[s * count + i];
        if (kind === ABSENT) continue;
        if (op === "limitk") {
          if (heap.length < k) heap.push(s);
        } else if (kind === HISTOGRAM) context.annotations.histogramIgnored(op, expr.span);
        else if (heap.length < k) push(heap, s, isLess);
        else if (isLess(heap[0]!, s) && !(Number.isNaN(value(heap[0]!)) && Number.isNaN(value(s)))) {
          heap[0] = s;
          sink(heap, isLess);
        }
      }
      for (const s of heap) kept[s * count + i] = input.present[s * count + i]!;
      if (count > 1) continue;
      if (op !== "limitk") heap.sort((a, b) => (isLess(b, a) ? -1 : isLess(a, b) ? 1 : 0));
      ranked.push(...heap);
    }
  }
  // An instant query lists the series by rank.
  yield count > 1 ? { ...input, present: kept } : pickRows(input, ranked, 1);
}

/** False when nothing is asked for at any step. @throws ExecutionError for limits that are no number. */
function checkLimits(limits: Float64Array): boolean {
  let max = -Number.MAX_VALUE;
  let min = Number.MAX_VALUE;
  for (const k of limits) {
    max = Math.max(max, k);
    min = Math.min(min, k);
  }
  if (max < 1) return false;
  if (Number.isNaN(max)) throw new ExecutionError("Parameter value is NaN");
  if (min <= -(2 ** 63)) throw new ExecutionError(`Scalar value ${formatG(min)} underflows int64`);
  if (max >= 2 ** 63) throw new ExecutionError(`Scalar value ${formatG(max)} overflows int64`);
  return true;
}

function push(heap: number[], s: number, isLess: (a: number, b: number) => boolean): void {
  heap.push(s);
  for (let child = heap.length - 1; child > 0;) {
    const parent = (child - 1) >> 1;
    if (!isLess(heap[child]!, heap[parent]!)) return;
    [heap[child], heap[parent]] = [heap[parent]!, heap[child]!];
    child = parent;
  }
}

/** Moves the top down to where it belongs. */
function sink(heap: number[], isLess: (a: number, b: number) => boolean): void {
  for (let parent = 0; ;) {
    let child = 2 * parent + 1;
    if (child >= heap.length) return;
    if (child + 1 < heap.length && isLess(heap[child + 1]!, heap[child]!)) child++;
    if (!isLess(heap[child]!, heap[parent]!)) return;
    [heap[child], heap[parent]] = [heap[parent]!, heap[child]!];
    parent = child;
  }
}

/** By the hash of the labels, so that it is the same series every time; a negative ratio takes the others. */
export async function* limitRatio(expr: AggregateExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const ratios = await evaluateScalar(expr.param!, context);
  const input = await collectVector(expr.expr, context);
  if (ratios.every((r) => r === 0)) return;
  if (ratios.some(Number.isNaN)) throw new ExecutionError("Ratio value is NaN");
  warnRatio(Math.max(...ratios), 1, expr, context);
  warnRatio(Math.min(...ratios), -1, expr, context);
  const choose = (s: number): void => {
    const offset = Number(hashStringLabels(input.labels[s]!)) / TWO_64;
    for (let i = 0; i < count; i++) {
      const r = Math.max(-1, Math.min(1, ratios[i]!));
      const isIn = r >= 0 ? offset < r : offset >= 1 + r;
      if (!isIn) input.present[s * count + i] = ABSENT;
    }
  };
  await forEachInSlices(input.labels.length, choose, context.slices);
  yield input;
}

function warnRatio(ratio: number, limit: 1 | -1, expr: AggregateExpr, context: EvalContext): void {
  if (Math.abs(ratio) <= 1 || Math.sign(ratio) !== limit) return;
  context.annotations.warn(
    `ratio value should be between -1 and 1, got ${formatG(ratio)}, capping to ${limit}`,
    expr.param!.span,
  );
}
