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

export class FullChunks {
  /** mint and maxt of each. */
  #times = new Float64Array(1024);
  /** File, offset, length and encoding, list of those before. */
  #words = new Uint32Array(2048);
  count = 0;

  /** Adds a chunk in front of a list. @returns the list. */
  add(list: number, { mint, maxt, encoding, file, offset, length }: FullChunk): number {
    if ((this.count + 1) * 2 > this.#times.length) {
      const times = new Float64Array(this.#times.length * 2);
      times.set(this.#times);
      const words = new Uint32Array(times.length * 2);
      words.set(this.#words);
      this.#times = times;
      this.#words = words;
    }
    const k = this.count++;
    this.#times[2 * k] = mint;
    this.#times[2 * k + 1] = maxt;
    this.#words[4 * k] = file;
    this.#words[4 * k + 1] = offset;
    this.#words[4 * k + 2] = length | (encoding << LENGTH_BITS);
    this.#words[4 * k + 3] = list;
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
    for (let i = list; i !== until; i = this.#words[4 * i - 1]!) {
      const k = i - 1;
      if (this.maxt(k) < mint) break;
      if (this.mint(k) <= maxt) places[count++] = k;
    }
    return count;
  }

  /** mint of the oldest chunk of the list that reaches `from`; `otherwise` when there is none. */
  oldestMint(list: number, from: number, otherwise: number): number {
    let first = otherwise;
    for (let i = list; i !== 0 && this.maxt(i - 1) >= from; i = this.#words[4 * i - 1]!) first = this.mint(i - 1);
    return first;
  }

  mint(k: number): number {
    return this.#times[2 * k]!;
  }

  maxt(k: number): number {
    return this.#times[2 * k + 1]!;
  }

  file(k: number): number {
    return this.#words[4 * k]!;
  }

  offset(k: number): number {
    return this.#words[4 * k + 1]!;
  }

  length(k: number): number {
    return this.#words[4 * k + 2]! & LENGTH_MASK;
  }

  encoding(k: number): number {
    return this.#words[4 * k + 2]! >>> LENGTH_BITS;
  }

  get bytes(): number {
    return this.#times.byteLength + this.#words.byteLength;
  }
}
