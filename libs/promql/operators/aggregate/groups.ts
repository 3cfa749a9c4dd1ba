/** Finds the group of a series. */
import { type Labels, labelsKey, NO_LABELS } from "#libs/model/labels.ts";
import type { AggregateExpr } from "../../parser/ast.ts";
import type { Tile } from "../../tile.ts";
import { groupingNames, groupingOf } from "../labels.ts";

export class Groups {
  /** By group. */
  readonly labels: Labels[] = [];
  readonly #names: ReadonlySet<string>;
  readonly #without: boolean;
  readonly #all: boolean;
  readonly #ids = new Map<string, number>();

  constructor(expr: AggregateExpr) {
    this.#names = groupingNames(expr.grouping, expr.without);
    this.#without = expr.without;
    this.#all = !expr.without && expr.grouping.length === 0;
  }

  idOf(labels: Labels): number {
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
