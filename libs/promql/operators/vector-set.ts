/** `and`, `or`, `unless`: by match labels, step by step. */
import { labelsKey } from "#libs/model/labels.ts";
import type { Expr, SetOp } from "../parser/ast.ts";
import { ABSENT, copyRow, createTile, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectVector } from "./evaluator.ts";
import { forEachInSlices, mergeInSlices } from "./in-slices.ts";
import { groupingNames, groupingOf } from "./labels.ts";

export async function* setOperation(
  expr: Expr & { kind: "binary" },
  op: SetOp,
  context: EvalContext,
): AsyncGenerator<Tile> {
  const { slices } = context;
  const { count } = context.steps;
  const { on, labels } = expr.matching!;
  const names = groupingNames(labels, !on);
  const left = await collectVector(expr.lhs, context);
  const right = await collectVector(expr.rhs, context);
  const keysOf = async (tile: Tile): Promise<string[]> => {
    const keys: string[] = [];
    const add = (s: number): void => void keys.push(labelsKey(groupingOf(tile.labels[s]!, names, !on)));
    await forEachInSlices(tile.labels.length, add, slices);
    return keys;
  };
  /** Match key → which steps have a series with it. */
  const presence = async (tile: Tile, keys: readonly string[]): Promise<Map<string, Uint8Array>> => {
    const byKey = new Map<string, Uint8Array>();
    const add = (s: number): void => {
      const key = keys[s]!;
      let steps = byKey.get(key);
      if (steps === undefined) {
        steps = new Uint8Array(count);
        byKey.set(key, steps);
      }
      for (let i = 0; i < count; i++) if (tile.present[s * count + i] !== ABSENT) steps[i] = 1;
    };
    await forEachInSlices(keys.length, add, slices);
    return byKey;
  };
  const leftKeys = await keysOf(left);
  const rightKeys = await keysOf(right);
  if (op === "or") {
    await hide(right, rightKeys, await presence(left, leftKeys), 1, context);
    // At an instant Prometheus looks for equal label sets only once names are gone.
    if (context.names.delayed && count === 1) {
      yield left;
      yield right;
      return;
    }
    yield mergeInSlices(await appended(left, right, context), count, slices);
    return;
  }
  await hide(left, leftKeys, await presence(right, rightKeys), op === "and" ? 0 : 1, context);
  yield left;
}

/** The series of both. */
async function appended(left: Tile, right: Tile, { steps: { count }, slices }: EvalContext): Promise<Tile> {
  const out = createTile(left.labels.length + right.labels.length, count);
  for (const tile of [left, right]) {
    const append = (s: number): void => copyRow(tile, s, out, out.labels.push(tile.labels[s]!) - 1, count);
    await forEachInSlices(tile.labels.length, append, slices);
  }
  return out;
}

/** Removes the values of `tile` at steps where the other side's presence is `when`. */
function hide(
  tile: Tile,
  keys: readonly string[],
  other: ReadonlyMap<string, Uint8Array>,
  when: 0 | 1,
  { steps: { count }, slices }: EvalContext,
): Promise<void> {
  const hideIn = (s: number): void => {
    const steps = other.get(keys[s]!);
    for (let i = 0; i < count; i++) if ((steps?.[i] ?? 0) === when) tile.present[s * count + i] = ABSENT;
  };
  return forEachInSlices(keys.length, hideIn, slices);
}
