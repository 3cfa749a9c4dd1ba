/**
 * How operators evaluate their inputs: through the context, so that which code answers which node is known in one
 * place (evaluate.ts) and operators do not depend on each other.
 */
import { samplesInHistogram } from "#libs/model/native-histogram/scale.ts";
import type { Expr } from "../parser/ast.ts";
import { copyRow, createTile, FIRST_TILE_SERIES, HISTOGRAM, hasAny, releaseTile, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";

/**
 * The series of a vector expression, tile by tile; rows without any value may be among them. A tile is the caller's to
 * change, and valid until the next is asked for.
 */
export function evaluateVector(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  return context.evaluator.vector(expr, context);
}

/** A scalar expression at every step. */
export function evaluateScalar(expr: Expr, context: EvalContext): Promise<Float64Array> {
  return context.evaluator.scalar(expr, context);
}

/** All series of a vector expression in one tile, held until the query ends; rows without a value left out. */
export function collectVector(expr: Expr, context: EvalContext): Promise<Tile> {
  return collectTiles(evaluateVector(expr, context), context);
}

export async function collectTiles(tiles: AsyncIterable<Tile>, context: EvalContext): Promise<Tile> {
  const { count } = context.steps;
  let capacity = FIRST_TILE_SERIES;
  let all = createTile(capacity, count);
  context.budget.hold(0, all.values.byteLength + all.present.byteLength);
  for await (const tile of tiles) {
    if (context.slices.due) await context.slices.breathe();
    for (let s = 0; s < tile.labels.length; s++) {
      if (!hasAny(tile, s, count)) continue;
      const row = all.labels.length;
      if (row === capacity) {
        capacity *= 2;
        context.budget.hold(0, all.values.byteLength + all.present.byteLength);
        all = widened(all, capacity, count);
      }
      all.labels.push(tile.labels[s]!);
      copyRow(tile, s, all, row, count);
      context.budget.hold(count, histogramBytes(tile, s, count));
    }
  }
  return all;
}

/** Of the histograms of series `s`; what holds them costs a few words more. */
export function histogramBytes(tile: Tile, s: number, count: number): number {
  if (tile.histograms === undefined) return 0;
  let samples = 0;
  for (let at = s * count; at < (s + 1) * count; at++) {
    if (tile.present[at] === HISTOGRAM) samples += samplesInHistogram(tile.histograms[at]!);
  }
  return 16 * samples;
}

/** Takes over what is in the tile, which is not to be used any more. */
function widened(tile: Tile, capacity: number, steps: number): Tile {
  const larger = createTile(capacity, steps);
  larger.values.set(tile.values);
  larger.present.set(tile.present);
  releaseTile(tile);
  if (tile.histograms !== undefined) tile.histograms.length = capacity * steps;
  return { ...larger, labels: tile.labels, histograms: tile.histograms, nameless: tile.nameless };
}
