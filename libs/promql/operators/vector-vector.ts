/**
 * Arithmetic and comparison between two vectors: rows are matched by label key once, values step by step.
 * Errors are Prometheus's, raised also for pairs that a comparison would then filter out.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import { formatLabels, type Labels, labelsKey, labelValue, withLabel } from "#libs/model/labels.ts";
import { type Expr, isComparison, isTrim, type VectorMatching } from "../parser/ast.ts";
import { ABSENT, createTile, FLOAT, HISTOGRAM, setFloat, setHistogram, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { combineElements, type Element, type ElementOp, type Note } from "./elements.ts";
import { collectVector } from "./evaluator.ts";
import { forEachInSlices } from "./in-slices.ts";
import { dropMetadata, groupingNames, groupingOf } from "./labels.ts";
import { compare, scalarBinary } from "./scalar-binary.ts";

const MANY_TO_ONE = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
const GROUPING_LABELS = "multiple matches for labels: grouping labels must ensure unique matches";
const SAME_LABELS = "vector cannot contain metrics with the same labelset";

export async function* vectorVector(
  expr: Expr & { kind: "binary" },
  op: ElementOp,
  context: EvalContext,
): AsyncGenerator<Tile> {
  const lhs = await collectVector(expr.lhs, context);
  const rhs = await collectVector(expr.rhs, context);
  const ids = new Map<string, number>();
  const left = await sideOf(lhs, expr.matching!, ids, context);
  const right = await sideOf(rhs, expr.matching!, ids, context);
  const match = new Match(expr, op, left, right, ids.size, context);
  await match.checkOneSide();
  await match.pairUp();
  await match.fillLeft();
  yield match.finish();
}

/** One side of the operation: rows, and the group each one matches by. */
interface Side {
  readonly tile: Tile;
  readonly groupOf: readonly number[];
  readonly rowsOf: readonly (readonly number[])[];
}

/** `ids` gives match groups their numbers. */
async function sideOf(
  tile: Tile,
  { on, labels }: VectorMatching,
  ids: Map<string, number>,
  { slices }: EvalContext,
): Promise<Side> {
  const names = groupingNames(labels, !on);
  const groupOf: number[] = [];
  const rowsOf: number[][] = [];
  const add = (s: number): void => {
    const key = labelsKey(groupingOf(tile.labels[s]!, names, !on));
    let group = ids.get(key);
    if (group === undefined) {
      group = ids.size;
      ids.set(key, group);
    }
    (rowsOf[group] ??= []).push(s);
    groupOf.push(group);
  };
  await forEachInSlices(tile.labels.length, add, slices);
  return { tile, groupOf, rowsOf };
}

class Match {
  readonly #expr: Expr & { kind: "binary" };
  readonly #op: ElementOp;
  readonly #matching: VectorMatching;
  readonly #names: ReadonlySet<string>;
  readonly #context: EvalContext;
  readonly #count: number;
  /** Whether the many side is on the right (group_right): values are swapped back when they are combined. */
  readonly #swapped: boolean;
  readonly #many: Side;
  readonly #one: Side;
  readonly #filters: boolean;
  // Output rows by labels: pairs of different steps may meet in one.
  readonly #rows = new Map<string, number>();
  #out: Tile;
  #capacity: number;
  /** By output cell: the group that filled it last, kept or not, + 1. */
  #filledBy: Int32Array;
  /** By group and step: whether a pair was made. */
  readonly #paired: Uint8Array;
  /** The last note of each step: Prometheus keeps no more. */
  readonly #notes: (Note | undefined)[] = [];

  constructor(
    expr: Expr & { kind: "binary" },
    op: ElementOp,
    left: Side,
    right: Side,
    groups: number,
    context: EvalContext,
  ) {
    this.#expr = expr;
    this.#op = op;
    this.#matching = expr.matching!;
    this.#context = context;
    this.#count = context.steps.count;
    const { on, labels, card } = this.#matching;
    this.#names = groupingNames(labels, !on);
    this.#swapped = card === "one-to-many";
    this.#many = this.#swapped ? right : left;
    this.#one = this.#swapped ? left : right;
    this.#filters = isComparison(op) && !expr.bool;
    this.#capacity = Math.max(1, this.#many.tile.labels.length);
    this.#out = createTile(this.#capacity, this.#count);
    this.#filledBy = new Int32Array(this.#capacity * this.#count);
    this.#paired = new Uint8Array(groups * this.#count);
  }

  #group(labels: Labels): Labels {
    return groupingOf(labels, this.#names, !this.#matching.on);
  }

  /** The one side may have one series a match group at each step where there is anything to match. */
  checkOneSide(): Promise<void> {
    const { tile, rowsOf } = this.#one;
    const count = this.#count;
    const fills = this.#matching.fillLeft !== undefined || this.#matching.fillRight !== undefined;
    const check = (id: number): void => {
      const rows = rowsOf[id];
      if (rows === undefined || rows.length < 2) return;
      for (let i = 0; i < count; i++) {
        const present = rows.filter((s) => tile.present[s * count + i] !== ABSENT);
        if (present.length < 2 || !(fills || this.#manyHasAny(i))) continue;
        const group = this.#group(tile.labels[present[0]!]!);
        const pair = [formatLabels(tile.labels[present[0]!]!), formatLabels(tile.labels[present[1]!]!)].sort();
        throw new ExecutionError(
          `found duplicate series for the match group ${formatLabels(group)} on the ${this.#swapped ? "left" : "right"} hand-side of the operation: [${pair.join(", ")}];many-to-many matching not allowed: matching labels must be unique on one side`,
        );
      }
    };
    return forEachInSlices(rowsOf.length, check, this.#context.slices);
  }

  #manyHasAny(i: number): boolean {
    const { tile } = this.#many;
    return tile.labels.some((_, m) => tile.present[m * this.#count + i] !== ABSENT);
  }

  /** Each series of the many side with its partner, or with what fills in for one. */
  pairUp(): Promise<void> {
    const { tile, groupOf } = this.#many;
    const one = this.#one;
    const count = this.#count;
    const fill = this.#matching.fillRight;
    const pair = (m: number): void => {
      const labels = tile.labels[m]!;
      const group = groupOf[m]!;
      const partners = one.rowsOf[group] ?? [];
      for (const o of partners) {
        const row = this.#row(this.#resultLabels(labels, one.tile.labels[o]!));
        for (let i = 0; i < count; i++) {
          if (tile.present[m * count + i] === ABSENT || one.tile.present[o * count + i] === ABSENT) continue;
          this.#pair(row, i, group, tile, m * count + i, one.tile, o * count + i);
        }
      }
      if (fill === undefined) return;
      const row = this.#row(this.#resultLabels(labels, this.#group(labels)));
      for (let i = 0; i < count; i++) {
        if (tile.present[m * count + i] === ABSENT) continue;
        if (partners.some((o) => one.tile.present[o * count + i] !== ABSENT)) continue;
        this.#combine(row, i, group, elementAt(tile, m * count + i), fill);
      }
    };
    return forEachInSlices(tile.labels.length, pair, this.#context.slices);
  }

  /** What the one side has and the many side lacks. */
  async fillLeft(): Promise<void> {
    const fill = this.#matching.fillLeft;
    if (fill === undefined) return;
    const { tile, groupOf } = this.#one;
    const count = this.#count;
    const fillFor = (o: number): void => {
      const labels = tile.labels[o]!;
      const group = groupOf[o]!;
      const row = this.#row(this.#resultLabels(this.#group(labels), labels));
      for (let i = 0; i < count; i++) {
        if (tile.present[o * count + i] === ABSENT || this.#paired[group * count + i] === 1) continue;
        this.#combine(row, i, group, fill, elementAt(tile, o * count + i));
      }
    };
    await forEachInSlices(tile.labels.length, fillFor, this.#context.slices);
  }

  #pair(row: number, i: number, group: number, many: Tile, manyAt: number, one: Tile, oneAt: number): void {
    if (many.present[manyAt] !== FLOAT || one.present[oneAt] !== FLOAT || isTrim(this.#op)) {
      this.#combine(row, i, group, elementAt(many, manyAt), elementAt(one, oneAt));
      return;
    }
    const left = this.#swapped ? one.values[oneAt]! : many.values[manyAt]!;
    const right = this.#swapped ? many.values[manyAt]! : one.values[oneAt]!;
    this.#floats(row, i, group, left, right);
  }

  #floats(row: number, i: number, group: number, left: number, right: number): void {
    const op = this.#op;
    if (isTrim(op)) return;
    if (this.#filters && isComparison(op)) this.#set(row, i, group, left, compare(op, left, right));
    else this.#set(row, i, group, scalarBinary(op, left, right), true);
  }

  #combine(row: number, i: number, group: number, many: Element, one: Element): void {
    const left = this.#swapped ? one : many;
    const right = this.#swapped ? many : one;
    if (typeof left === "number" && typeof right === "number" && !isTrim(this.#op)) {
      this.#floats(row, i, group, left, right);
      return;
    }
    const { value, keep, note } = combineElements(this.#op, left, right, this.#expr.span);
    if (note !== undefined) this.#notes[i] = note;
    if (value === undefined) return;
    if (this.#expr.bool) this.#set(row, i, group, keep ? 1 : 0, true);
    else this.#set(row, i, group, value, keep);
  }

  #set(row: number, i: number, group: number, value: Element, keep: boolean): void {
    const at = row * this.#count + i;
    const isOneToOne = this.#matching.card === "one-to-one";
    if (isOneToOne && this.#paired[group * this.#count + i] === 1) throw new ExecutionError(MANY_TO_ONE);
    if (!isOneToOne && this.#filledBy[at] === group + 1) throw new ExecutionError(GROUPING_LABELS);
    this.#paired[group * this.#count + i] = 1;
    this.#filledBy[at] = group + 1;
    if (!keep) return;
    if (this.#out.present[at] !== ABSENT) throw new ExecutionError(SAME_LABELS);
    if (typeof value === "number") setFloat(this.#out, at, value);
    else setHistogram(this.#out, at, value);
  }

  #resultLabels(many: Labels, one: Labels): Labels {
    const { card, on, labels: names, include } = this.#matching;
    // Arithmetic takes the name at once, also where removal is delayed.
    const keepsName = isComparison(this.#op) || isTrim(this.#op);
    const dropsName = !keepsName || (this.#expr.bool && !this.#context.names.delayed);
    let labels = dropsName ? dropMetadata(many) : many;
    if (card === "one-to-one") labels = groupingOf(labels, new Set(names), !on);
    for (const name of include) labels = withLabel(labels, name, labelValue(one, name));
    return labels;
  }

  #row(labels: Labels): number {
    const key = labelsKey(labels);
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = this.#out.labels.push(labels) - 1;
      this.#rows.set(key, row);
      if (row === this.#capacity) this.#grow();
    }
    return row;
  }

  #grow(): void {
    this.#capacity *= 2;
    const larger = createTile(this.#capacity, this.#count);
    larger.values.set(this.#out.values);
    larger.present.set(this.#out.present);
    if (this.#out.histograms !== undefined) this.#out.histograms.length = larger.present.length;
    this.#out = { ...larger, labels: this.#out.labels, histograms: this.#out.histograms };
    const filledBy = new Int32Array(this.#capacity * this.#count);
    filledBy.set(this.#filledBy);
    this.#filledBy = filledBy;
  }

  finish(): Tile {
    for (const note of this.#notes) note?.(this.#context.annotations);
    const out = this.#out;
    if (this.#expr.bool) out.labels.forEach((_, s) => this.#context.names.apply(out, s));
    return out;
  }
}

function elementAt(tile: Tile, at: number): Element {
  return tile.present[at] === HISTOGRAM ? tile.histograms![at]! : tile.values[at]!;
}
