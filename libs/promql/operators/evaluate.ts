/** From plan node to operator: which code answers which node. */
import { ExecutionError } from "#libs/kit/errors.ts";
import { scaleHistogram } from "#libs/model/native-histogram/scale.ts";
import { goMax, goMin } from "../functions/scalar-math.ts";
import { isSetOp, isTrim, type Expr } from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import {
  ABSENT,
  copyCell,
  createTile,
  FLOAT,
  HISTOGRAM,
  histogramAt,
  setHistogram,
  stepTime,
  type Tile,
  tileRows,
} from "../tile.ts";
import { aggregate } from "./aggregate.ts";
import { callFunction } from "./call.ts";
import type { EvalContext, Evaluator } from "./context.ts";
import { evaluateScalar, evaluateVector } from "./evaluator.ts";
import { splitLarge } from "./in-slices.ts";
import { mergeNameless } from "./names.ts";
import { scalarBinary } from "./scalar-binary.ts";
import { selectInstant } from "./select-instant.ts";
import { sharedResult } from "./shared.ts";
import { vectorScalar } from "./vector-scalar.ts";
import { setOperation } from "./vector-set.ts";
import { vectorVector } from "./vector-vector.ts";

function vector(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const small = (tiles: AsyncIterable<Tile>): AsyncGenerator<Tile> =>
    splitLarge(tiles, context.steps.count, tileRows(context.steps.count), context.slices);
  switch (expr.kind) {
    case "paren":
      return evaluateVector(expr.expr, context);
    case "invariant":
      return repeat(expr.expr, context);
    case "shared":
      return sharedResult(expr, context);
    case "selector":
      return selectInstant(expr, context, "value");
    case "unary":
      if (expr.op === "+") return evaluateVector(expr.expr, context);
      return mergeNameless(negate(expr.expr, context), expr.expr, context);
    case "aggregate":
      return small(aggregate(expr, context));
    case "call":
      return small(callFunction(expr, context));
    case "binary": {
      if (isSetOp(expr.op)) return small(setOperation(expr, expr.op, context));
      const left = typeOf(expr.lhs);
      if (left === "vector" && typeOf(expr.rhs) === "vector") return small(vectorVector(expr, expr.op, context));
      return mergeNameless(vectorScalar(expr, expr.op, context), left === "vector" ? expr.lhs : expr.rhs, context);
    }
    default:
      throw new ExecutionError(`a ${expr.kind} cannot be evaluated as an instant vector`);
  }
}

async function scalar(expr: Expr, context: EvalContext): Promise<Float64Array> {
  const { steps } = context;
  const values = new Float64Array(steps.count);
  switch (expr.kind) {
    case "number":
      return values.fill(expr.value);
    case "paren":
      return evaluateScalar(expr.expr, context);
    case "invariant": {
      const once = await evaluateScalar(expr.expr, { ...context, steps: { ...steps, count: 1 } });
      return values.fill(once[0]!);
    }
    case "unary": {
      const inner = await evaluateScalar(expr.expr, context);
      return expr.op === "-" ? inner.map((v) => -v) : inner;
    }
    case "binary": {
      const { op } = expr;
      if (isSetOp(op) || isTrim(op)) break;
      const left = await evaluateScalar(expr.lhs, context);
      const right = await evaluateScalar(expr.rhs, context);
      for (let i = 0; i < values.length; i++) values[i] = scalarBinary(op, left[i]!, right[i]!);
      return values;
    }
    case "call":
      switch (expr.func) {
        case "pi":
          return values.fill(Math.PI);
        case "time":
          for (let i = 0; i < values.length; i++) values[i] = stepTime(steps, i) / 1000;
          return values;
        case "scalar":
          return onlyValue(expr.args[0]!, context);
        case "min_of":
        case "max_of": {
          const choose = expr.func === "min_of" ? goMin : goMax;
          const [left, right] = [
            await evaluateScalar(expr.args[0]!, context),
            await evaluateScalar(expr.args[1]!, context),
          ];
          for (let i = 0; i < values.length; i++) values[i] = choose(left[i]!, right[i]!);
          return values;
        }
        default:
          break;
      }
      break;
    default:
      break;
  }
  throw new ExecutionError(`a ${expr.kind} cannot be evaluated as a scalar`);
}

/** `scalar(v)`: the float where exactly one series has one, else NaN. */
async function onlyValue(expr: Expr, context: EvalContext): Promise<Float64Array> {
  const { count } = context.steps;
  const values = new Float64Array(count).fill(NaN);
  const seen = new Uint8Array(count);
  for await (const tile of evaluateVector(expr, context)) {
    for (let s = 0; s < tile.labels.length; s++) {
      for (let i = 0; i < count; i++) {
        if (tile.present[s * count + i] !== FLOAT) continue;
        values[i] = seen[i] === 0 ? tile.values[s * count + i]! : NaN;
        seen[i] = 1;
      }
    }
  }
  return values;
}

/** Evaluates at the first step and gives that at every step. */
async function* repeat(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const inner = evaluateVector(expr, { ...context, steps: { ...context.steps, count: 1 } });
  for await (const once of splitLarge(inner, 1, tileRows(count), context.slices)) {
    const tile = createTile(once.labels.length, count);
    tile.nameless = once.nameless;
    once.labels.forEach((labels, s) => {
      tile.labels.push(labels);
      if (once.present[s] === ABSENT) return;
      for (let i = 0; i < count; i++) copyCell(once, s, tile, s * count + i);
    });
    yield tile;
  }
}

async function* negate(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  for await (const tile of evaluateVector(expr, context)) {
    for (let s = 0; s < tile.labels.length; s++) context.names.apply(tile, s);
    for (let at = 0; at < tile.labels.length * context.steps.count; at++) {
      if (tile.present[at] === HISTOGRAM) setHistogram(tile, at, scaleHistogram(histogramAt(tile, at), -1));
      else tile.values[at] = -tile.values[at]!;
    }
    yield tile;
  }
}

export const EVALUATOR: Evaluator = { vector, scalar };
