/**
 * Where the full chunks of a head's series lie in `chunks_head`: columns, and for each series a linked list from its
 * newest chunk to its oldest. A list is a number, its newest chunk's place plus one, 0 when it is empty: who has read
 * it sees the chunks of that moment.
 */
export interface FullChunk {
  readonly mint: number;
  readonly maxt: number;
  readonly encoding: number;
  readonly file: number;
  /** Of the data. */
  readonly offset: number;
  readonly length: number;
}

/** Length and encoding share a word. */
const LENGTH_BITS = 29;
const LENGTH_MASK = (1 << LENGTH_BITS) - 1;
/** Columns are pages of so many chunks: 300,000 of a start are never copied to a larger place (bench/figures.ts). */
const PAGE_BITS = 12;
const PAGE_MASK = (1 << PAGE_BITS) - 1;

export class FullChunks {
  /** mint and maxt of each. */
  readonly #times: Float64Array[] = [];
  /** File, offset, length and encoding, list of those before. */
  readonly #words: Uint32Array[] = [];
  count = 0;

  /** Adds a chunk in front of a list. @returns the list. */
  add(list: number, { mint, maxt, encoding, file, offset, length }: FullChunk): number {
    const k = this.count++;
    const page = k >>> PAGE_BITS;
    const at = k & PAGE_MASK;
    if (page === this.#times.length) {
      this.#times.push(new Float64Array(2 << PAGE_BITS));
      this.#words.push(new Uint32Array(4 << PAGE_BITS));
    }
    const times = this.#times[page]!;
    const words = this.#words[page]!;
    times[2 * at] = mint;
    times[2 * at + 1] = maxt;
    words[4 * at] = file;
    words[4 * at + 1] = offset;
    words[4 * at + 2] = length | (encoding << LENGTH_BITS);
    words[4 * at + 3] = list;
    return k + 1;
  }

  /** Chunks of the list that overlap [mint, maxt], oldest first; up to the list `until`, 0 for all. */
  overlapping(list: number, mint: number, maxt: number, until = 0): FullChunk[] {
    const places: number[] = [];
    const count = this.places(list, mint, maxt, places, until);
    return Array.from({ length: count }, (_, n) => this.#at(places[count - 1 - n]!));
  }

  #at(k: number): FullChunk {
    return {
      mint: this.mint(k),
      maxt: this.maxt(k),
      encoding: this.encoding(k),
      file: this.file(k),
      offset: this.offset(k),
      length: this.length(k),
    };
  }

  /** The same as places for `mint` and its like, newest first, put into `places`. @returns how many. */
  places(list: number, mint: number, maxt: number, places: number[], until = 0): number {
    let count = 0;
    for (let i = list; i !== until; i = this.#word(i - 1, 3)) {
      const k = i - 1;
      if (this.maxt(k) < mint) break;
      if (this.mint(k) <= maxt) places[count++] = k;
    }
    return count;
  }

  /** mint of the oldest chunk of the list that reaches `from`; `otherwise` when there is none. */
  oldestMint(list: number, from: number, otherwise: number): number {
    let first = otherwise;
    for (let i = list; i !== 0 && this.maxt(i - 1) >= from; i = this.#word(i - 1, 3)) first = this.mint(i - 1);
    return first;
  }

  mint(k: number): number {
    return this.#times[k >>> PAGE_BITS]![2 * (k & PAGE_MASK)]!;
  }

  maxt(k: number): number {
    return this.#times[k >>> PAGE_BITS]![2 * (k & PAGE_MASK) + 1]!;
  }

  file(k: number): number {
    return this.#word(k, 0);
  }

  offset(k: number): number {
    return this.#word(k, 1);
  }

  length(k: number): number {
    return this.#word(k, 2) & LENGTH_MASK;
  }

  encoding(k: number): number {
    return this.#word(k, 2) >>> LENGTH_BITS;
  }

  #word(k: number, column: number): number {
    return this.#words[k >>> PAGE_BITS]![4 * (k & PAGE_MASK) + column]!;
  }

  get bytes(): number {
    return this.#times.length * (32 << PAGE_BITS);
  }
}
