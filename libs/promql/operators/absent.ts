/** `absent` and `absent_over_time`: 1 where the argument has nothing. */
import { type Labels, METRIC_NAME, withLabel } from "#libs/model/labels.ts";
import type { Expr, MatrixSelector, Subquery } from "../parser/ast.ts";
import { ABSENT, constantTile, stepTime, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { evaluateVector } from "./evaluator.ts";
import { refusedBorders } from "./range-function.ts";
import { rangeSeries, shapeOf } from "./range-series.ts";
import { dropStale } from "./select-instant.ts";

/** What the selector's equality matchers say, of a name matched twice nothing (prometheus/promql/functions.go). */
function labelsOfAbsent(expr: Expr): Labels {
  const inner = expr.kind === "invariant" ? expr.expr : expr;
  const selector = inner.kind === "matrix" ? inner.selector : inner;
  if (selector.kind !== "selector") return [];
  let labels: Labels = [];
  const seen = new Set<string>();
  for (const { type, name, value } of selector.matchers) {
    if (name === METRIC_NAME) continue;
    const isFirst = type === "=" && !seen.has(name);
    labels = withLabel(labels, name, isFirst ? value : "");
    if (isFirst) seen.add(name);
  }
  return labels;
}

function everywhere(expr: Expr, steps: number): Tile {
  const tile = constantTile(new Float64Array(steps).fill(1));
  tile.labels[0] = labelsOfAbsent(expr);
  return tile;
}

export async function* absent(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const out = everywhere(expr, count);
  for await (const tile of evaluateVector(expr, context)) {
    for (let at = 0; at < tile.labels.length * count; at++) {
      if (tile.present[at] !== ABSENT) out.present[at % count] = ABSENT;
    }
  }
  yield out;
}

export async function* absentOverTime(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const { steps } = context;
  const range = expr as MatrixSelector | Subquery;
  const { rangeMs, offsetMs, fixedMs, borders } = shapeOf(range);
  if (borders !== "extrapolated") throw refusedBorders("absent_over_time", borders);
  const out = everywhere(expr, steps.count);
  for await (const { columns } of rangeSeries(range, "absent_over_time", context)) {
    dropStale(columns);
    let to = 0;
    for (let i = 0; i < steps.count; i++) {
      const end = (fixedMs ?? stepTime(steps, i)) - offsetMs;
      while (to < columns.length && columns.times[to]! <= end) to++;
      if (to > 0 && columns.times[to - 1]! > end - rangeMs) out.present[i] = ABSENT;
    }
  }
  yield out;
}
