import { compareUtf8 } from "#libs/kit/utf8.ts";
import type { Labels } from "#libs/model/labels.ts";
import { seriesCount, type SeriesFrame } from "#libs/tsdb/series/frame.ts";

/** Adds labels to the series of a stream that have none of these names; chunks stay where they are. */
export class LabelAdder {
  readonly #added: Labels;
  /** By symbol id of the stream: how many of the added names sort before it, plus one; 0 is not known yet. */
  #ranks = new Uint16Array(256);
  readonly #symbols: string[] = [];
  #isFirst = true;

  constructor(added: Labels) {
    this.#added = added;
  }

  add(frame: SeriesFrame): SeriesFrame {
    const count = this.#added.length;
    // The added strings are the first symbols of the new stream.
    const symbols = this.#isFirst ? [...this.#added, ...frame.symbols] : frame.symbols;
    this.#isFirst = false;
    for (const symbol of frame.symbols) this.#symbols.push(symbol);
    const series = seriesCount(frame);
    const labels = new Uint32Array(frame.labels.length + series * count);
    const labelEnds = new Uint32Array(series);
    let to = 0;
    for (let s = 0, from = 0; s < series; s++) {
      let placed = 0;
      for (const end = frame.labelEnds[s]!; from < end; from += 2) {
        const before = 2 * this.#rank(frame.labels[from]!);
        while (placed < before) labels[to++] = placed++;
        labels[to++] = frame.labels[from]! + count;
        labels[to++] = frame.labels[from + 1]! + count;
      }
      while (placed < count) labels[to++] = placed++;
      labelEnds[s] = to;
    }
    return { ...frame, symbols, labels, labelEnds };
  }

  #rank(id: number): number {
    const known = this.#ranks[id] ?? 0;
    if (known > 0) return known - 1;
    if (id >= this.#ranks.length) {
      const larger = new Uint16Array(2 * id);
      larger.set(this.#ranks);
      this.#ranks = larger;
    }
    const name = this.#symbols[id]!;
    let rank = 0;
    while (2 * rank < this.#added.length && compareUtf8(this.#added[2 * rank]!, name) < 0) rank++;
    this.#ranks[id] = rank + 1;
    return rank;
  }
}
