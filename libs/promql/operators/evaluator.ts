/**
 * How operators evaluate their inputs: through the context, so that which code answers which node is known in one
 * place (evaluate.ts) and operators do not depend on each other.
 */
import type { Expr } from "../parser/ast.ts";
import { createTile, lastStep, type Tile, TILE_SERIES } from "../tile.ts";
import type { EvalContext } from "./context.ts";

/** The series of a vector expression, tile by tile; rows without any value may be among them. */
export function evaluateVector(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  return context.evaluator.vector(expr, context);
}

/** A scalar expression at every step. */
export function evaluateScalar(expr: Expr, context: EvalContext): Promise<Float64Array> {
  return context.evaluator.scalar(expr, context);
}

/** All series of a vector expression in one tile, held until the query ends; rows without a value left out. */
export async function collectVector(expr: Expr, context: EvalContext): Promise<Tile> {
  const { count } = context.steps;
  let capacity = TILE_SERIES;
  let all = createTile(capacity, count);
  for await (const tile of evaluateVector(expr, context)) {
    for (let s = 0; s < tile.labels.length; s++) {
      const from = s * count;
      if (!hasValue(tile, from, count)) continue;
      const row = all.labels.length;
      if (row === capacity) {
        capacity *= 2;
        const larger = createTile(capacity, count);
        larger.values.set(all.values);
        larger.present.set(all.present);
        all = { ...larger, labels: all.labels };
      }
      all.labels.push(tile.labels[s]!);
      all.values.set(tile.values.subarray(from, from + count), row * count);
      all.present.set(tile.present.subarray(from, from + count), row * count);
      context.budget.hold(count);
    }
  }
  return all;
}

export function hasValue(tile: Tile, from: number, count: number): boolean {
  for (let i = from; i < from + count; i++) if (tile.present[i] === 1) return true;
  return false;
}

/** The steps of a subquery: multiples of its step, from above `start - range` to the last step of its parent. */
export function subqueryRange(
  context: EvalContext,
  expr: Expr & { kind: "subquery" },
): { startMs: number; endMs: number; stepMs: number } {
  const { steps } = context;
  const stepMs = expr.stepMs === 0 ? context.defaultStepMs : expr.stepMs;
  const first = expr.at?.kind === "time" ? expr.at.timeMs : steps.startMs;
  const last = expr.at?.kind === "time" ? expr.at.timeMs : lastStep(steps);
  const after = first - expr.offsetMs - expr.rangeMs;
  let startMs = stepMs * Math.trunc(after / stepMs);
  if (startMs <= after) startMs += stepMs;
  return { startMs, endMs: last - expr.offsetMs, stepMs };
}
