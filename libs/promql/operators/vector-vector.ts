/**
 * Arithmetic and comparison between two vectors: rows are matched by label key once, values step by step.
 * Errors are Prometheus's, raised also for pairs that a comparison would then filter out.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import { formatLabels, keepLabels, type Labels, labelsKey, labelValue, withLabel } from "#libs/model/labels.ts";
import { type ArithmeticOp, type ComparisonOp, type Expr, isComparison, type VectorMatching } from "../parser/ast.ts";
import { createTile, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectVector } from "./evaluator.ts";
import { dropName, groupingNames, groupingOf } from "./labels.ts";
import { compare, scalarBinary } from "./scalar-binary.ts";

export async function* vectorVector(
  expr: Expr & { kind: "binary" },
  op: ArithmeticOp | ComparisonOp,
  context: EvalContext,
): AsyncGenerator<Tile> {
  const matching = expr.matching!;
  const { count } = context.steps;
  // The "one" side is on the right, unless group_right swaps them; values are swapped back below.
  const swapped = matching.card === "one-to-many";
  const lhs = await collectVector(expr.lhs, context);
  const rhs = await collectVector(expr.rhs, context);
  const many = swapped ? rhs : lhs;
  const one = swapped ? lhs : rhs;
  const names = groupingNames(matching.labels, !matching.on);
  const keyOf = (labels: Labels): string => labelsKey(groupingOf(labels, names, !matching.on));
  const oneRows = rowsByKey(one, keyOf);
  const out = new RowSink(many.labels.length, count);
  const usedOnce = new Map<string, Uint8Array>();
  checkOneSide(one, oneRows, many, matching, names, swapped, count);

  many.labels.forEach((labels, m) => {
    const key = keyOf(labels);
    const candidates = oneRows.get(key);
    if (candidates === undefined) return;
    for (const o of candidates) {
      const resultLabels = resultOf(labels, one.labels[o]!, matching, names, op, expr.bool);
      const row = out.row(resultLabels);
      for (let i = 0; i < count; i++) {
        const at = m * count + i;
        if (many.present[at] === 0 || one.present[o * count + i] === 0) continue;
        const manyValue = many.values[at]!;
        const oneValue = one.values[o * count + i]!;
        const left = swapped ? oneValue : manyValue;
        const right = swapped ? manyValue : oneValue;
        if (matching.card === "one-to-one") {
          let used = usedOnce.get(key);
          if (used === undefined) {
            used = new Uint8Array(count);
            usedOnce.set(key, used);
          }
          if (used[i] === 1) {
            throw new ExecutionError(
              "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            );
          }
          used[i] = 1;
        }
        let keep = true;
        let value: number;
        if (isComparison(op) && !expr.bool) {
          keep = compare(op, left, right);
          value = left;
        } else value = scalarBinary(op, left, right);
        out.set(row, i, value, keep, matching.card !== "one-to-one");
      }
    }
  });
  yield out.tile();
}

function rowsByKey(tile: Tile, keyOf: (labels: Labels) => string): Map<string, number[]> {
  const rows = new Map<string, number[]>();
  tile.labels.forEach((labels, s) => {
    const key = keyOf(labels);
    const list = rows.get(key);
    if (list === undefined) rows.set(key, [s]);
    else list.push(s);
  });
  return rows;
}

/** The one side may have one series a match group at each step where the other side has any series at all. */
function checkOneSide(
  one: Tile,
  rows: ReadonlyMap<string, number[]>,
  many: Tile,
  matching: VectorMatching,
  names: ReadonlySet<string>,
  swapped: boolean,
  count: number,
): void {
  if (many.labels.length === 0) return;
  for (const list of rows.values()) {
    if (list.length < 2) continue;
    for (let i = 0; i < count; i++) {
      const present = list.filter((s) => one.present[s * count + i] === 1);
      if (present.length < 2) continue;
      if (!many.labels.some((_, m) => many.present[m * count + i] === 1)) continue;
      const group = groupingOf(one.labels[present[0]!]!, names, !matching.on);
      const pair = [formatLabels(one.labels[present[0]!]!), formatLabels(one.labels[present[1]!]!)].sort();
      throw new ExecutionError(
        `found duplicate series for the match group ${formatLabels(group)} on the ${swapped ? "left" : "right"} hand-side of the operation: [${pair.join(", ")}];many-to-many matching not allowed: matching labels must be unique on one side`,
      );
    }
  }
}

function resultOf(
  many: Labels,
  one: Labels,
  matching: VectorMatching,
  names: ReadonlySet<string>,
  op: ArithmeticOp | ComparisonOp,
  bool: boolean,
): Labels {
  let labels = isComparison(op) && !bool ? many : dropName(many);
  if (matching.card === "one-to-one") {
    labels = matching.on ? keepLabels(labels, names) : groupingOf(labels, new Set(matching.labels), true);
  }
  for (const name of matching.include) labels = withLabel(labels, name, labelValue(one, name));
  return labels;
}

/** Output rows by labels: pairs of different steps may meet in one row. */
class RowSink {
  readonly #count: number;
  readonly #rows = new Map<string, number>();
  readonly #labels: Labels[] = [];
  #values: Float64Array;
  #present: Uint8Array;
  /** Steps at which a pair was seen, kept or not. */
  #matched: Uint8Array;

  constructor(capacity: number, count: number) {
    this.#count = count;
    const size = Math.max(1, capacity) * count;
    this.#values = new Float64Array(size);
    this.#present = new Uint8Array(size);
    this.#matched = new Uint8Array(size);
  }

  row(labels: Labels): number {
    const key = labelsKey(labels);
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = this.#labels.length;
      this.#rows.set(key, row);
      this.#labels.push(labels);
      if ((row + 1) * this.#count > this.#values.length) this.#grow();
    }
    return row;
  }

  #grow(): void {
    const size = this.#values.length * 2;
    const values = new Float64Array(size);
    const present = new Uint8Array(size);
    const matched = new Uint8Array(size);
    values.set(this.#values);
    present.set(this.#present);
    matched.set(this.#matched);
    this.#values = values;
    this.#present = present;
    this.#matched = matched;
  }

  set(row: number, step: number, value: number, keep: boolean, grouped: boolean): void {
    const at = row * this.#count + step;
    if (this.#matched[at] === 1) {
      throw new ExecutionError(
        grouped
          ? "multiple matches for labels: grouping labels must ensure unique matches"
          : "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
      );
    }
    this.#matched[at] = 1;
    if (!keep) return;
    this.#values[at] = value;
    this.#present[at] = 1;
  }

  tile(): Tile {
    return this.#labels.length === 0
      ? createTile(0, this.#count)
      : { labels: this.#labels, values: this.#values, present: this.#present, histograms: undefined };
  }
}
