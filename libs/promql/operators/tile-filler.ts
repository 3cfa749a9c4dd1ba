/**
 * Fills tiles row by row. One tile is filled again and again: 64 series × 61 steps are 35 KB, and a query over 20,000
 * series would leave 11 MB of them to the collector (bench/query-head.ts: 10 % of a sum by rate).
 */
import type { Labels } from "#libs/model/labels.ts";
import { createTile, FIRST_TILE_SERIES, type Tile, tileRows } from "../tile.ts";

export class TileFiller {
  readonly #steps: number;
  readonly #capacityMax: number;
  #capacity: number;
  #tile: Tile;
  #isTaken = false;

  constructor(steps: number) {
    this.#steps = steps;
    this.#capacityMax = tileRows(steps);
    this.#capacity = Math.min(FIRST_TILE_SERIES, this.#capacityMax);
    this.#tile = createTile(this.#capacity, steps);
  }

  /** The tile being filled. */
  get tile(): Tile {
    if (this.#isTaken && this.#capacity < this.#capacityMax) {
      this.#capacity = this.#capacityMax;
      this.#tile = createTile(this.#capacity, this.#steps);
      this.#isTaken = false;
    } else if (this.#isTaken) {
      const { values, present } = this.#tile;
      this.#tile = { labels: [], values, present: present.fill(0), histograms: undefined, nameless: undefined };
      this.#isTaken = false;
    }
    return this.#tile;
  }

  /** The next series' row. */
  get row(): number {
    return this.tile.labels.length;
  }

  /** Where it starts. */
  get from(): number {
    return this.tile.labels.length * this.#steps;
  }

  /** Keeps the row. @returns whether the tile is full. */
  keep(labels: Labels): boolean {
    return this.tile.labels.push(labels) === this.#capacity;
  }

  /** The tile, valid until the next is begun. */
  take(): Tile {
    this.#isTaken = true;
    return this.#tile;
  }

  get isEmpty(): boolean {
    return this.#isTaken || this.#tile.labels.length === 0;
  }
}
