/**
 * Postings of a head: label pair → series slots, ascending because slots are given out in order.
 *
 * Most values are those of one label name, so a pair is found by its value: three words for each, where a `Map` of
 * 500,000 takes 29 bytes an entry and leaves as much behind as it grows (bench/figures.ts).
 */
import { NO_POSTINGS, type Postings } from "../index/postings.ts";

/** Of a value id: its first name + 1, the list of that pair, the next value + 1 whose first name is the same. */
const WORDS = 3;
/** Most pairs of a high-cardinality label have one series: their list is its slot; others are this and an index. */
const LONG = 2 ** 31;

export interface PostingsImage {
  readonly names: Map<number, Name>;
  readonly values: Uint32Array<ArrayBuffer>;
  readonly long: readonly Uint32Array<ArrayBuffer>[];
  readonly pairCount: number;
}

interface Name {
  /** The newest value + 1 whose first name it is. */
  newest: number;
  /** Lists of its other values. */
  readonly others: Map<number, number>;
}

export class HeadPostings {
  #names = new Map<number, Name>();
  #values = new Uint32Array(WORDS * 1024);
  #long: { refs: Uint32Array<ArrayBuffer>; count: number }[] = [];
  #pairCount = 0;

  get pairCount(): number {
    return this.#pairCount;
  }

  /** For a head's image: views. */
  get image(): PostingsImage {
    const long = this.#long.map(({ refs, count }) => refs.subarray(0, count));
    return { names: this.#names, values: this.#values, long, pairCount: this.#pairCount };
  }

  takeImage({ names, values, long, pairCount }: PostingsImage): void {
    this.#names = names;
    this.#values = values;
    this.#long = long.map((refs) => ({ refs, count: refs.length }));
    this.#pairCount = pairCount;
  }

  add(nameId: number, valueId: number, slot: number): void {
    let name = this.#names.get(nameId);
    if (name === undefined) this.#names.set(nameId, (name = { newest: 0, others: new Map<number, number>() }));
    const w = WORDS * valueId;
    if (w >= this.#values.length) {
      const length = WORDS * Math.floor(1.5 * (valueId + 1));
      this.#values = new Uint32Array(this.#values.buffer.transfer(length * Uint32Array.BYTES_PER_ELEMENT));
    }
    const values = this.#values;
    if (values[w] === 0) {
      values[w] = nameId + 1;
      values[w + 1] = slot;
      values[w + 2] = name.newest;
      name.newest = valueId + 1;
      this.#pairCount++;
    } else if (values[w] === nameId + 1) {
      values[w + 1] = this.#added(values[w + 1]!, slot);
    } else {
      const list = name.others.get(valueId);
      if (list === undefined) this.#pairCount++;
      if (list === undefined || list < LONG) name.others.set(valueId, this.#added(list, slot));
      else this.#added(list, slot);
    }
  }

  /** @returns the list with one more slot. */
  #added(list: number | undefined, slot: number): number {
    if (list === undefined) return slot;
    if (list < LONG) return LONG + this.#long.push({ refs: Uint32Array.of(list, slot, 0, 0), count: 2 }) - 1;
    const long = this.#long[list - LONG]!;
    if (long.count === long.refs.length) {
      // Readers may have the old one.
      const larger = new Uint32Array(1.5 * long.count);
      larger.set(long.refs);
      long.refs = larger;
    }
    long.refs[long.count++] = slot;
    return list;
  }

  of(nameId: number, valueId: number): Postings {
    const w = WORDS * valueId;
    const list = this.#values[w] === nameId + 1 ? this.#values[w + 1] : this.#names.get(nameId)?.others.get(valueId);
    if (list === undefined) return NO_POSTINGS;
    if (list < LONG) return Uint32Array.of(list);
    const { refs, count } = this.#long[list - LONG]!;
    return refs.subarray(0, count);
  }

  hasName(nameId: number): boolean {
    return this.#names.has(nameId);
  }

  nameIds(): Iterable<number> {
    return this.#names.keys();
  }

  /** In any order. */
  valueIds(nameId: number): readonly number[] {
    const name = this.#names.get(nameId);
    if (name === undefined) return [];
    const ids = [...name.others.keys()];
    for (let next = name.newest; next !== 0; next = this.#values[WORDS * (next - 1) + 2]!) ids.push(next - 1);
    return ids;
  }

  /** Of the typed arrays. */
  get bytes(): number {
    return this.#long.reduce((sum, { refs }) => sum + refs.byteLength, this.#values.byteLength);
  }
}
