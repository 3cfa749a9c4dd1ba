/**
 * Full chunks found at the start, by series ref, waiting for their series: columns and a linked list, no object each,
 * which half a million chunks would feel.
 */
import { RefSlots } from "./ref-slots.ts";
import type { FullChunk } from "./full-chunks.ts";

const COLUMNS = 6;
const START = 1 << 14;

export class ChunkList {
  /** mint, maxt, encoding, file, offset, length of each. */
  #rows = new Float64Array(START * COLUMNS);
  #next = new Int32Array(START);
  /** Of the first chunk of a series: the last one. */
  #last = new Int32Array(START);
  #count = 0;
  readonly #first = new RefSlots();

  /** Adds a chunk behind those of the series; one that begins before the last ends is left out. */
  add(ref: number, mint: number, maxt: number, encoding: number, file: number, offset: number, length: number): void {
    const first = this.#first.get(ref);
    const last = first < 0 ? -1 : this.#last[first]!;
    if (last >= 0 && this.#rows[last * COLUMNS + 1]! >= mint) return;
    const i = this.#count++;
    if (i === this.#next.length) this.#grow();
    const at = i * COLUMNS;
    this.#rows[at] = mint;
    this.#rows[at + 1] = maxt;
    this.#rows[at + 2] = encoding;
    this.#rows[at + 3] = file;
    this.#rows[at + 4] = offset;
    this.#rows[at + 5] = length;
    this.#next[i] = -1;
    if (first < 0) this.#first.set(ref, i);
    else this.#next[last] = i;
    this.#last[first < 0 ? i : first] = i;
  }

  #grow(): void {
    const rows = new Float64Array(this.#rows.length * 2);
    rows.set(this.#rows);
    const next = new Int32Array(this.#next.length * 2);
    next.set(this.#next);
    const last = new Int32Array(next.length);
    last.set(this.#last);
    this.#rows = rows;
    this.#next = next;
    this.#last = last;
  }

  /** Hands out the chunks of a series, ascending, once. */
  take(ref: number, onChunk: (chunk: FullChunk) => void): void {
    const first = this.#first.get(ref);
    if (first < 0) return;
    this.#first.delete(ref);
    const rows = this.#rows;
    for (let i = first; i >= 0; i = this.#next[i]!) {
      const at = i * COLUMNS;
      onChunk({
        mint: rows[at]!,
        maxt: rows[at + 1]!,
        encoding: rows[at + 2]!,
        file: rows[at + 3]!,
        offset: rows[at + 4]!,
        length: rows[at + 5]!,
      });
    }
  }
}
