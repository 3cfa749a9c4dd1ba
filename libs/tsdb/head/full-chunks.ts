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

/**
 * 20 bytes a chunk, not 40: times are words from a base on, 50 days around the first chunk, and length, encoding and file,
 * counted from that of the first one on, share a word. What does not fit is told apart, and this is in place of mint.
 */
const FAR = 0xffffffff;
const LENGTH_BITS = 21;
const LENGTH_END = 1 << LENGTH_BITS;
const ENCODING_BITS = 3;
const FILE_SHIFT = LENGTH_BITS + ENCODING_BITS;
const FILES_END = 1 << (32 - FILE_SHIFT);
const WORDS = 5;
/** Chunks are in pages of so many: 300,000 of a start are never copied to a larger place (bench/figures.ts). */
const PAGE_BITS = 12;
const PAGE_BYTES = (4 * WORDS) << PAGE_BITS;
const PAGE_MASK = (1 << PAGE_BITS) - 1;

export interface FullChunksImage {
  readonly pages: Uint32Array<ArrayBuffer>[];
  readonly base: number;
  readonly firstFile: number;
  readonly far: Map<number, Far>;
  readonly count: number;
}

type Far = Pick<FullChunk, "mint" | "maxt" | "file" | "length">;

export class FullChunks {
  /** mint, maxt less mint, offset, length and encoding and file, list of those before. */
  #pages: Uint32Array<ArrayBuffer>[] = [];
  #base = 0;
  #firstFile = 0;
  #far = new Map<number, Far>();
  count = 0;

  /** For a head's image: views. */
  get image(): FullChunksImage {
    const pages = this.#pages.map((words, page) => words.subarray(0, WORDS * (this.count - (page << PAGE_BITS))));
    return { pages, base: this.#base, firstFile: this.#firstFile, far: this.#far, count: this.count };
  }

  takeImage({ pages, base, firstFile, far, count }: FullChunksImage): void {
    this.#pages = pages.map(({ buffer }) => new Uint32Array(buffer.transfer(PAGE_BYTES)));
    this.#base = base;
    this.#firstFile = firstFile;
    this.#far = far;
    this.count = count;
  }

  /** Adds a chunk in front of a list. @returns the list. */
  add(list: number, { mint, maxt, encoding, file, offset, length }: FullChunk): number {
    const k = this.count++;
    if (k === 0) {
      this.#base = mint - 2 ** 31;
      this.#firstFile = file;
    }
    const page = k >>> PAGE_BITS;
    if (page === this.#pages.length) this.#pages.push(new Uint32Array(WORDS << PAGE_BITS));
    const words = this.#pages[page]!;
    const w = WORDS * (k & PAGE_MASK);
    const from = mint - this.#base;
    const fileFrom = file - this.#firstFile;
    words[w] = from;
    words[w + 1] = maxt - mint;
    const hasTimes = words[w] === from && from !== FAR && words[w + 1] === maxt - mint;
    if (!hasTimes || length >= LENGTH_END || fileFrom < 0 || fileFrom >= FILES_END) {
      words[w] = FAR;
      this.#far.set(k, { mint, maxt, file, length });
    }
    words[w + 2] = offset;
    words[w + 3] = (length & (LENGTH_END - 1)) | (encoding << LENGTH_BITS) | (fileFrom << FILE_SHIFT);
    words[w + 4] = list;
    return k + 1;
  }

  /** Chunk `k` lies `by` bytes further on in its file. */
  move(k: number, by: number): void {
    this.#pages[k >>> PAGE_BITS]![WORDS * (k & PAGE_MASK) + 2]! += by;
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
    for (let i = list; i !== until; i = this.#word(i - 1, 4)) {
      const k = i - 1;
      if (this.maxt(k) < mint) break;
      if (this.mint(k) <= maxt) places[count++] = k;
    }
    return count;
  }

  /** mint of the oldest chunk of the list that reaches `from`; `otherwise` when there is none. */
  oldestMint(list: number, from: number, otherwise: number): number {
    let first = otherwise;
    for (let i = list; i !== 0 && this.maxt(i - 1) >= from; i = this.#word(i - 1, 4)) first = this.mint(i - 1);
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
    if (this.#word(k, 0) === FAR) return this.#far.get(k)!.file;
    return this.#firstFile + (this.#word(k, 3) >>> FILE_SHIFT);
  }

  offset(k: number): number {
    return this.#word(k, 2);
  }

  length(k: number): number {
    return this.#word(k, 0) === FAR ? this.#far.get(k)!.length : this.#word(k, 3) & (LENGTH_END - 1);
  }

  encoding(k: number): number {
    return (this.#word(k, 3) >>> LENGTH_BITS) & ((1 << ENCODING_BITS) - 1);
  }

  #word(k: number, column: number): number {
    return this.#pages[k >>> PAGE_BITS]![WORDS * (k & PAGE_MASK) + column]!;
  }

  get bytes(): number {
    return this.#pages.length * PAGE_BYTES;
  }
}
