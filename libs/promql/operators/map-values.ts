/** Functions of one sample at a time. */
import { DATE_FUNCTIONS } from "../functions/dates.ts";
import { HISTOGRAM_FUNCTIONS, VALUE_FUNCTIONS } from "../functions/scalar-math.ts";
import type { CallExpr } from "../parser/ast.ts";
import { ABSENT, constantTile, FLOAT, HISTOGRAM, histogramAt, setFloat, stepTime, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { evaluateScalar, evaluateVector } from "./evaluator.ts";
import { selectInstant } from "./select-instant.ts";

/** Floats, with up to two scalars; histograms go. */
export async function* mapValues(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const apply = VALUE_FUNCTIONS.get(call.func)!;
  const fallback = call.func === "round" ? 1 : NaN;
  const scalarOf = async (i: number): Promise<Float64Array> =>
    call.args[i] === undefined ? new Float64Array(count).fill(fallback) : evaluateScalar(call.args[i]!, context);
  const first = await scalarOf(1);
  const second = await scalarOf(2);
  for await (const tile of evaluateVector(call.args[0]!, context)) {
    const { labels, values, present } = tile;
    for (let s = 0; s < labels.length; s++) {
      context.names.apply(tile, s);
      for (let i = 0; i < count; i++) {
        const at = s * count + i;
        if (present[at] !== FLOAT || (call.func === "clamp" && second[i]! < first[i]!)) present[at] = ABSENT;
        else values[at] = apply(values[at]!, first[i]!, second[i]!);
      }
    }
    yield tile;
  }
}

/** A number out of each histogram; floats go. */
export async function* mapHistograms(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const { apply, dropsNameOnly } = HISTOGRAM_FUNCTIONS.get(call.func)!;
  for await (const tile of evaluateVector(call.args[0]!, context)) {
    for (let s = 0; s < tile.labels.length; s++) {
      context.names.apply(tile, s, dropsNameOnly);
      for (let at = s * count; at < (s + 1) * count; at++) {
        if (tile.present[at] === HISTOGRAM) setFloat(tile, at, apply(histogramAt(tile, at)));
        else tile.present[at] = ABSENT;
      }
    }
    yield tile;
  }
}

/** Parts of a date, of each float or without an argument of the step itself. */
export async function* mapDates(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { steps } = context;
  const apply = DATE_FUNCTIONS.get(call.func)!;
  if (call.args.length === 0) {
    yield constantTile(Float64Array.from({ length: steps.count }, (_, i) => apply(stepTime(steps, i) / 1000)));
    return;
  }
  for await (const tile of evaluateVector(call.args[0]!, context)) {
    for (let s = 0; s < tile.labels.length; s++) context.names.apply(tile, s);
    for (let at = 0; at < tile.labels.length * steps.count; at++) {
      if (tile.present[at] === FLOAT) tile.values[at] = apply(tile.values[at]!);
      else tile.present[at] = ABSENT;
    }
    yield tile;
  }
}

/** `timestamp` and `start_timestamp`: of the sample itself for a bare selector, else of the step. */
export async function* timestamps(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { steps } = context;
  const isStart = call.func === "start_timestamp";
  // What is the same at every step is wrapped; the sample is the selector's all the same.
  const inner = call.args[0]!;
  if (inner.kind === "selector") {
    if (isStart && !context.useStartTimestamps) return;
    for await (const tile of selectInstant(inner, context, isStart ? "start" : "time")) {
      for (let s = 0; s < tile.labels.length; s++) context.names.apply(tile, s);
      yield tile;
    }
    return;
  }
  for await (const tile of evaluateVector(inner, context)) {
    if (isStart) continue; // results have none
    for (let s = 0; s < tile.labels.length; s++) {
      context.names.apply(tile, s);
      for (let i = 0; i < steps.count; i++) {
        const at = s * steps.count + i;
        if (tile.present[at] !== ABSENT) setFloat(tile, at, stepTime(steps, i) / 1000);
      }
    }
    yield tile;
  }
}
