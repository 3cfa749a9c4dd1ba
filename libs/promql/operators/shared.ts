/**
 * What stands in a query more than once: the first to evaluate it keeps copies of its tiles as they pass; the others
 * get copies of these, and its notes at their own positions. Nothing is kept of results that turn out large: then each
 * evaluates for itself, as without sharing (decisions/0007).
 */
import { RepeatableNotes } from "../annotations.ts";
import type { Expr, SharedExpr, Span } from "../parser/ast.ts";
import { childrenOf } from "../parser/walk.ts";
import type { Tile } from "../tile.ts";
import type { EvalContext, QueryBudget } from "./context.ts";
import { evaluateVector, histogramBytes } from "./evaluator.ts";

/** Of all shared results of a query, and no more than a part of what it may have in all. */
const SHARED_BYTES_MAX = 16 * 1024 * 1024;
const BUDGET_PARTS = 16;

/** A whole result. */
interface Kept {
  /** The subtree it is of. */
  readonly expr: Expr;
  readonly tiles: readonly Tile[];
  readonly notes: RepeatableNotes;
}

export class SharedResults {
  readonly kept = new Map<string, Kept>();
  readonly #budget: QueryBudget;
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(budget: QueryBudget) {
    this.#budget = budget;
    this.#bytesMax = Math.min(SHARED_BYTES_MAX, budget.bytesMax / BUDGET_PARTS);
  }

  /** Whether there is room for so many bytes more; then they are taken. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax || !this.#budget.tryHold(bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
    this.#budget.hold(0, -bytes);
  }
}

export async function* sharedResult(shared: SharedExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { steps, results, annotations } = context;
  const key = `${shared.id} ${steps.startMs} ${steps.stepMs} ${steps.count}`;
  const known = results.kept.get(key);
  if (known !== undefined) {
    known.notes.repeat(annotations, spansOf(known.expr, shared.expr));
    for (const tile of known.tiles) yield copyOf(tile, steps.count);
    return;
  }
  const notes = new RepeatableNotes(annotations);
  let tiles: Tile[] | undefined = [];
  let bytes = 0;
  for await (const tile of evaluateVector(shared.expr, { ...context, annotations: notes })) {
    if (tiles !== undefined) {
      const more = tileBytes(tile, steps.count);
      if (results.take(more)) {
        bytes += more;
        tiles.push(copyOf(tile, steps.count));
      } else {
        tiles = undefined;
        results.giveBack(bytes);
      }
    }
    yield tile;
  }
  if (tiles !== undefined) results.kept.set(key, { expr: shared.expr, tiles, notes });
}

/** Of what a copy has for itself; labels are not copied. */
function tileBytes(tile: Tile, steps: number): number {
  let bytes = tile.labels.length * (9 * steps + 8);
  for (let s = 0; s < tile.labels.length; s++) bytes += histogramBytes(tile, s, steps);
  return bytes;
}

function copyOf({ labels, values, present, histograms, nameless }: Tile, steps: number): Tile {
  const cells = labels.length * steps;
  return {
    labels: labels.slice(),
    values: values.slice(0, cells),
    present: present.slice(0, cells),
    histograms: histograms?.slice(0, cells),
    nameless: nameless && new Set(nameless),
  };
}

/** From spans of a subtree to those of an equal one. */
function spansOf(from: Expr, to: Expr): (span: Span) => Span {
  const spans = new Map<string, Span>();
  const walk = (a: Expr, b: Expr): void => {
    // Marks are not where they are in the other.
    if (a.kind === "shared") return walk(a.expr, b);
    if (b.kind === "shared") return walk(a, b.expr);
    spans.set(`${a.span.from}:${a.span.to}`, b.span);
    const others = childrenOf(b);
    childrenOf(a).forEach((child, i) => walk(child, others[i]!));
  };
  walk(from, to);
  return (span) => spans.get(`${span.from}:${span.to}`) ?? span;
}
