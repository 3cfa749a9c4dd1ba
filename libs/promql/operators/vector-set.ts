/** `and`, `or`, `unless`: by match labels, step by step. */
import { labelsKey } from "#libs/model/labels.ts";
import type { Expr, SetOp } from "../parser/ast.ts";
import { ABSENT, copyRow, createTile, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectVector } from "./evaluator.ts";
import { groupingNames, groupingOf, mergeEqual } from "./labels.ts";

export async function* setOperation(
  expr: Expr & { kind: "binary" },
  op: SetOp,
  context: EvalContext,
): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const { on, labels } = expr.matching!;
  const names = groupingNames(labels, !on);
  const left = await collectVector(expr.lhs, context);
  const right = await collectVector(expr.rhs, context);
  const keys = (tile: Tile): string[] => tile.labels.map((set) => labelsKey(groupingOf(set, names, !on)));
  /** Match key → which steps have a series with it. */
  const presence = (tile: Tile, sets: readonly string[]): Map<string, Uint8Array> => {
    const byKey = new Map<string, Uint8Array>();
    sets.forEach((key, s) => {
      let steps = byKey.get(key);
      if (steps === undefined) {
        steps = new Uint8Array(count);
        byKey.set(key, steps);
      }
      for (let i = 0; i < count; i++) if (tile.present[s * count + i] !== ABSENT) steps[i] = 1;
    });
    return byKey;
  };
  const leftKeys = keys(left);
  const rightKeys = keys(right);
  if (op === "or") {
    hide(right, rightKeys, presence(left, leftKeys), count, 1);
    // At an instant Prometheus looks for equal label sets only once names are gone.
    if (context.names.delayed && count === 1) {
      yield left;
      yield right;
      return;
    }
    yield mergeEqual(appended(left, right, count), count);
    return;
  }
  hide(left, leftKeys, presence(right, rightKeys), count, op === "and" ? 0 : 1);
  yield left;
}

/** The series of both. */
function appended(left: Tile, right: Tile, count: number): Tile {
  const out = createTile(left.labels.length + right.labels.length, count);
  for (const tile of [left, right]) {
    tile.labels.forEach((labels, s) => copyRow(tile, s, out, out.labels.push(labels) - 1, count));
  }
  return out;
}

/** Removes the values of `tile` at steps where the other side's presence is `when`. */
function hide(
  tile: Tile,
  keys: readonly string[],
  other: ReadonlyMap<string, Uint8Array>,
  count: number,
  when: 0 | 1,
): void {
  keys.forEach((key, s) => {
    const steps = other.get(key);
    for (let i = 0; i < count; i++) if ((steps?.[i] ?? 0) === when) tile.present[s * count + i] = ABSENT;
  });
}
