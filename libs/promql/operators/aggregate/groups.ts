/** Finds the group of a series. */
import { type Labels, labelsKey, NO_LABELS } from "#libs/model/labels.ts";
import type { AggregateExpr, Expr } from "../../parser/ast.ts";
import type { Tile } from "../../tile.ts";
import { groupingNames, groupingOf } from "../labels.ts";

/** A store need not give the same arrays. */
const KNOWN_MAX = 1 << 16;

/** Whether few labels of the series of an expression are looked at. */
function picksLabels(expr: Expr): boolean {
  if (expr.kind === "selector") return expr.labels !== undefined;
  return expr.kind === "call" && expr.args.some((arg) => arg.kind === "matrix" && arg.selector.labels !== undefined);
}

export class Groups {
  /** By group. */
  readonly labels: Labels[] = [];
  readonly #names: ReadonlySet<string>;
  readonly #without: boolean;
  readonly #all: boolean;
  readonly #ids = new Map<string, number>();
  /** By array, where stores give equal label sets as the same one. */
  readonly #known: Map<Labels, number> | undefined;

  constructor(expr: AggregateExpr) {
    this.#names = groupingNames(expr.grouping, expr.without);
    this.#without = expr.without;
    this.#all = !expr.without && expr.grouping.length === 0;
    this.#known = picksLabels(expr.expr) ? new Map() : undefined;
  }

  idOf(labels: Labels): number {
    const known = this.#known?.get(labels);
    if (known !== undefined) return known;
    const id = this.#find(labels);
    if (this.#known !== undefined && this.#known.size < KNOWN_MAX) this.#known.set(labels, id);
    return id;
  }

  #find(labels: Labels): number {
    const grouping = this.#all ? NO_LABELS : groupingOf(labels, this.#names, this.#without);
    const key = labelsKey(grouping);
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.labels.length;
      this.#ids.set(key, id);
      this.labels.push(grouping);
    }
    return id;
  }

  /** The series of each group, as they come. */
  members(tile: Tile): number[][] {
    const members: number[][] = [];
    tile.labels.forEach((labels, s) => (members[this.idOf(labels)] ??= []).push(s));
    return members;
  }
}
