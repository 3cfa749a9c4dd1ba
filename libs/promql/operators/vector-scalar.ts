/** Arithmetic and comparison between a vector and a scalar. */
import type { Expr } from "../parser/ast.ts";
import { isComparison, isTrim } from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import { ABSENT, FLOAT, histogramAt, setFloat, setHistogram, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { combineElements, type ElementOp } from "./elements.ts";
import { evaluateScalar, evaluateVector } from "./evaluator.ts";
import { compare, scalarBinary } from "./scalar-binary.ts";

export async function* vectorScalar(
  expr: Expr & { kind: "binary" },
  op: ElementOp,
  context: EvalContext,
): AsyncGenerator<Tile> {
  const { bool } = expr;
  const scalarLeft = typeOf(expr.lhs) === "scalar";
  const scalar = await evaluateScalar(scalarLeft ? expr.lhs : expr.rhs, context);
  const { count } = context.steps;
  const filter = isComparison(op) && !bool;
  for await (const tile of evaluateVector(scalarLeft ? expr.rhs : expr.lhs, context)) {
    const { values, present, labels } = tile;
    for (let s = 0; s < labels.length; s++) {
      for (let i = 0; i < count; i++) {
        const at = s * count + i;
        if (present[at] === ABSENT) continue;
        if (present[at] !== FLOAT || isTrim(op)) {
          combine(expr, op, tile, at, scalar[i]!, scalarLeft, context);
          continue;
        }
        const left = scalarLeft ? scalar[i]! : values[at]!;
        const right = scalarLeft ? values[at]! : scalar[i]!;
        // A filter keeps the vector's value whichever side it is on.
        if (filter && isComparison(op)) present[at] = compare(op, left, right) ? FLOAT : ABSENT;
        else values[at] = scalarBinary(op, left, right);
      }
      if (!filter && !isTrim(op)) context.names.apply(tile, s);
    }
    yield tile;
  }
}

/** Cell `at` is a histogram, or a histogram is asked for. */
function combine(
  expr: Expr & { kind: "binary" },
  op: ElementOp,
  tile: Tile,
  at: number,
  scalar: number,
  scalarLeft: boolean,
  context: EvalContext,
): void {
  const element = tile.present[at] === FLOAT ? tile.values[at]! : histogramAt(tile, at);
  const { value, keep, note } = scalarLeft
    ? combineElements(op, scalar, element, expr.span)
    : combineElements(op, element, scalar, expr.span);
  note?.(context.annotations);
  if (value === undefined || (!keep && !expr.bool)) tile.present[at] = ABSENT;
  else if (expr.bool) setFloat(tile, at, keep ? 1 : 0);
  else if (typeof value === "number") setFloat(tile, at, value);
  else setHistogram(tile, at, value);
}
