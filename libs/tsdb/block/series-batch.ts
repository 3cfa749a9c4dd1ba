/** Series of a block on their way into frames: entries in columns, symbols as those of the stream. */
import { EntryColumns } from "../index/series-entry.ts";
import type { SymbolTable } from "../index/symbols.ts";
import type { SeriesQuery } from "../select.ts";
import type { FrameBuilder } from "../series/frame.ts";
import { type Interval, isDeleted } from "./cut-chunks.ts";

/** Series whose chunks are fetched together. */
export class SeriesBatch {
  readonly entries = new EntryColumns();
  readonly refs: number[] = [];
  /** Where each series ends in the columns of `entries`. */
  readonly labelEnds: number[] = [];
  readonly chunkEnds: number[] = [];

  /**
   * Takes the entry that was decoded last into `entries`, with the chunks that reach into the range and are not deleted
   * as a whole; without any it is taken back. @returns whether there were any.
   */
  keep(ref: number, { mint, maxt }: SeriesQuery, deleted: readonly Interval[] | undefined): boolean {
    const { mints, maxts, segments, offsets, chunkCount } = this.entries;
    const first = this.chunkEnds.at(-1) ?? 0;
    let kept = first;
    for (let k = first; k < chunkCount; k++) {
      if (maxts[k]! < mint || mints[k]! > maxt) continue;
      if (deleted !== undefined && isDeleted({ mint: mints[k]!, maxt: maxts[k]! }, deleted)) continue;
      mints[kept] = mints[k]!;
      maxts[kept] = maxts[k]!;
      segments[kept] = segments[k]!;
      offsets[kept++] = offsets[k]!;
    }
    this.entries.chunkCount = kept;
    if (kept === first) {
      this.entries.labelCount = this.labelEnds.at(-1) ?? 0;
      return false;
    }
    this.refs.push(ref);
    this.labelEnds.push(this.entries.labelCount);
    this.chunkEnds.push(kept);
    return true;
  }

  clear(): void {
    this.entries.clear();
    this.refs.length = this.labelEnds.length = this.chunkEnds.length = 0;
  }
}

/** Symbols of a block as those of a stream of frames. */
export class StreamSymbols {
  readonly #symbols: SymbolTable;
  readonly #builder: FrameBuilder;
  readonly #ids = new Map<number, number>();
  /** By place among a series' labels, what the series before had there: mostly the same. */
  readonly #lastRefs: number[] = [];
  readonly #lastIds: number[] = [];
  #count = 0;

  constructor(symbols: SymbolTable, builder: FrameBuilder) {
    this.#symbols = symbols;
    this.#builder = builder;
  }

  /** Name or value number `i` of the series being added. */
  add(i: number, ref: number): void {
    if (this.#lastRefs[i] !== ref) {
      this.#lastRefs[i] = ref;
      this.#lastIds[i] = this.#idOf(ref);
    }
    this.#count = i + 1;
  }

  endSeries(): void {
    for (let i = 0; i < this.#count; i += 2) this.#builder.label(this.#lastIds[i]!, this.#lastIds[i + 1]!);
    this.#count = 0;
  }

  #idOf(ref: number): number {
    let id = this.#ids.get(ref);
    if (id === undefined) {
      id = this.#builder.newSymbol(this.#symbols.text(this.#symbols.ordinal(ref)));
      this.#ids.set(ref, id);
    }
    return id;
  }
}
