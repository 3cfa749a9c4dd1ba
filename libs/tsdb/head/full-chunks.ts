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
/** Times are words from a base on, 50 days around the first chunk; of others this is in place of mint: 24 bytes a chunk, not 32. */
const FAR = 0xffffffff;
const WORDS = 6;
/** Chunks are in pages of so many: 300,000 of a start are never copied to a larger place (bench/figures.ts). */
const PAGE_BITS = 12;
const PAGE_BYTES = (4 * WORDS) << PAGE_BITS;
const PAGE_MASK = (1 << PAGE_BITS) - 1;

export interface FullChunksImage {
  readonly pages: Uint32Array<ArrayBuffer>[];
  readonly base: number;
  readonly far: Map<number, { readonly mint: number; readonly maxt: number }>;
  readonly count: number;
}

export class FullChunks {
  /** mint, maxt less mint, file, offset, length and encoding, list of those before. */
  #pages: Uint32Array<ArrayBuffer>[] = [];
  #base = 0;
  #far = new Map<number, { readonly mint: number; readonly maxt: number }>();
  count = 0;

  /** For a head's image: views. */
  get image(): FullChunksImage {
    const pages = this.#pages.map((words, page) => words.subarray(0, WORDS * (this.count - (page << PAGE_BITS))));
    return { pages, base: this.#base, far: this.#far, count: this.count };
  }

  takeImage({ pages, base, far, count }: FullChunksImage): void {
    this.#pages = pages.map(({ buffer }) => new Uint32Array(buffer.transfer(PAGE_BYTES)));
    this.#base = base;
    this.#far = far;
    this.count = count;
  }

  /** Adds a chunk in front of a list. @returns the list. */
  add(list: number, { mint, maxt, encoding, file, offset, length }: FullChunk): number {
    const k = this.count++;
    if (k === 0) this.#base = mint - 2 ** 31;
    const page = k >>> PAGE_BITS;
    if (page === this.#pages.length) this.#pages.push(new Uint32Array(WORDS << PAGE_BITS));
    const words = this.#pages[page]!;
    const w = WORDS * (k & PAGE_MASK);
    words[w] = mint - this.#base;
    words[w + 1] = maxt - mint;
    if (words[w] === FAR || this.#base + words[w]! !== mint || this.#base + words[w]! + words[w + 1]! !== maxt) {
      words[w] = FAR;
      this.#far.set(k, { mint, maxt });
    }
    words[w + 2] = file;
    words[w + 3] = offset;
    words[w + 4] = length | (encoding << LENGTH_BITS);
    words[w + 5] = list;
    return k + 1;
  }

  /** Chunk `k` lies `by` bytes further on in its file. */
  move(k: number, by: number): void {
    this.#pages[k >>> PAGE_BITS]![WORDS * (k & PAGE_MASK) + 3]! += by;
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
    for (let i = list; i !== until; i = this.#word(i - 1, 5)) {
      const k = i - 1;
      if (this.maxt(k) < mint) break;
      if (this.mint(k) <= maxt) places[count++] = k;
    }
    return count;
  }

  /** mint of the oldest chunk of the list that reaches `from`; `otherwise` when there is none. */
  oldestMint(list: number, from: number, otherwise: number): number {
    let first = otherwise;
    for (let i = list; i !== 0 && this.maxt(i - 1) >= from; i = this.#word(i - 1, 5)) first = this.mint(i - 1);
    return first;
  }

  mint(k: number): number {
    const from = this.#word(k, 0);
    return from === FAR ? this.#far.get(k)!.mint : this.#base + from;
  }

  maxt(k: number): number {
    const from = this.#word(k, 0);
    return from === FAR ? this.#far.get(k)!.maxt : this.#base + from + this.#word(k, 1);
  }

  file(k: number): number {
    return this.#word(k, 2);
  }

  offset(k: number): number {
    return this.#word(k, 3);
  }

  length(k: number): number {
    return this.#word(k, 4) & LENGTH_MASK;
  }

  encoding(k: number): number {
    return this.#word(k, 4) >>> LENGTH_BITS;
  }

  #word(k: number, column: number): number {
    return this.#pages[k >>> PAGE_BITS]![WORDS * (k & PAGE_MASK) + column]!;
  }

  get bytes(): number {
    return this.#pages.length * PAGE_BYTES;
  }
}
