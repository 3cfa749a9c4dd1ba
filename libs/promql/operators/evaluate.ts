/** From plan node to operator: which code answers which node. */
import { ExecutionError } from "#libs/kit/errors.ts";
import { isSetOp, isTrim, type Expr } from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import { createTile, stepTime, type Tile } from "../tile.ts";
import { aggregate } from "./aggregate.ts";
import { callFunction } from "./call.ts";
import type { EvalContext, Evaluator } from "./context.ts";
import { evaluateScalar, evaluateVector } from "./evaluator.ts";
import { scalarBinary } from "./scalar-binary.ts";
import { selectInstant } from "./select.ts";
import { dropName } from "./labels.ts";
import { vectorScalar } from "./vector-scalar.ts";
import { setOperation } from "./vector-set.ts";
import { vectorVector } from "./vector-vector.ts";

async function* vector(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  switch (expr.kind) {
    case "paren":
      return yield* evaluateVector(expr.expr, context);
    case "invariant":
      return yield* repeat(expr.expr, context);
    case "selector":
      return yield* selectInstant(expr, context, false);
    case "unary":
      return yield* negate(expr.expr, expr.op, context);
    case "aggregate":
      return yield* aggregate(expr, context);
    case "call":
      return yield* callFunction(expr, context);
    case "binary": {
      if (expr.matching !== undefined && typeOf(expr.lhs) === "vector" && typeOf(expr.rhs) === "vector") {
        if (isSetOp(expr.op)) return yield* setOperation(expr, expr.op, context);
        if (isTrim(expr.op)) throw new ExecutionError(`operator ${expr.op} is not supported yet`);
        return yield* vectorVector(expr, expr.op, context);
      }
      return yield* vectorScalar(expr, context);
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
      if (expr.func === "pi") return values.fill(Math.PI);
      if (expr.func === "time") {
        for (let i = 0; i < values.length; i++) values[i] = stepTime(steps, i) / 1000;
        return values;
      }
      if (expr.func === "scalar") return onlyValue(expr.args[0]!, context);
      break;
    default:
      break;
  }
  throw new ExecutionError(`a ${expr.kind} cannot be evaluated as a scalar`);
}

/** `scalar(v)`: the value where exactly one series is present, else NaN. */
async function onlyValue(expr: Expr, context: EvalContext): Promise<Float64Array> {
  const { count } = context.steps;
  const values = new Float64Array(count).fill(NaN);
  const seen = new Uint8Array(count);
  for await (const tile of evaluateVector(expr, context)) {
    for (let s = 0; s < tile.labels.length; s++) {
      for (let i = 0; i < count; i++) {
        if (tile.present[s * count + i] === 0) continue;
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
  for await (const once of evaluateVector(expr, { ...context, steps: { ...context.steps, count: 1 } })) {
    const tile = createTile(once.labels.length, count);
    once.labels.forEach((labels, s) => {
      tile.labels.push(labels);
      if (once.present[s] === 0) return;
      tile.values.fill(once.values[s]!, s * count, (s + 1) * count);
      tile.present.fill(1, s * count, (s + 1) * count);
    });
    yield tile;
  }
}

async function* negate(expr: Expr, op: "+" | "-", context: EvalContext): AsyncGenerator<Tile> {
  for await (const tile of evaluateVector(expr, context)) {
    if (op === "-") {
      for (let s = 0; s < tile.labels.length; s++) tile.labels[s] = dropName(tile.labels[s]!);
      for (let i = 0; i < tile.values.length; i++) tile.values[i] = -tile.values[i]!;
    }
    yield tile;
  }
}

export const EVALUATOR: Evaluator = { vector, scalar };
