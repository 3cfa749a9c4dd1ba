/** Arithmetic and comparison between a vector and a scalar. */
import type { Expr } from "../parser/ast.ts";
import { isComparison, isSetOp, isTrim } from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import type { Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { evaluateScalar, evaluateVector } from "./evaluator.ts";
import { dropName } from "./labels.ts";
import { compare, scalarBinary } from "./scalar-binary.ts";

export async function* vectorScalar(expr: Expr & { kind: "binary" }, context: EvalContext): AsyncGenerator<Tile> {
  const { op, bool } = expr;
  if (isSetOp(op) || isTrim(op)) return; // refused by the type check, by the parser
  const scalarLeft = typeOf(expr.lhs) === "scalar";
  const scalar = await evaluateScalar(scalarLeft ? expr.lhs : expr.rhs, context);
  const { count } = context.steps;
  for await (const tile of evaluateVector(scalarLeft ? expr.rhs : expr.lhs, context)) {
    const { values, present, labels } = tile;
    const filter = isComparison(op) && !bool;
    for (let s = 0; s < labels.length; s++) {
      for (let i = 0; i < count; i++) {
        const at = s * count + i;
        if (present[at] === 0) continue;
        const left = scalarLeft ? scalar[i]! : values[at]!;
        const right = scalarLeft ? values[at]! : scalar[i]!;
        // A filter keeps the vector's value whichever side it is on.
        if (filter) present[at] = compare(op, left, right) ? 1 : 0;
        else values[at] = scalarBinary(op, left, right);
      }
      if (!filter) labels[s] = dropName(labels[s]!);
    }
    yield tile;
  }
}
