/**
 * Label sets by ids of strings, there for good. Series of a metric have the same names, so a list of names is there once:
 * 45 bytes a series instead of 86 (bench/figures.ts), and what is found out about a list, where a name is in it, holds for
 * all sets of it. In pages of words that stay where they are; an address is a place in them:
 *
 *   list of names:  count │ name id …             set:  address of the list │ value id …
 */
import { LimitError } from "#libs/kit/errors.ts";
import { finished, HashSlots, type HashSlotsImage, mixed } from "./hash-slots.ts";

const PAGE_BITS = 16;
const PAGE_WORDS = 1 << PAGE_BITS;
const PAGES_MAX = 2 ** (32 - PAGE_BITS);

export interface LabelSetsImage {
  readonly pages: readonly Uint32Array<ArrayBuffer>[];
  readonly end: number;
  readonly lists: HashSlotsImage;
  readonly addresses: Uint32Array<ArrayBuffer>;
}

export class LabelSets {
  #pages: Uint32Array<ArrayBuffer>[] = [];
  /** Words that are taken of the last page. */
  #end = PAGE_WORDS;
  /** Lists of names by their hash, and where they are. */
  readonly #lists = new HashSlots();
  #addresses = new Uint32Array(16);
  readonly #seed: number;

  /** `seed` keeps senders from making lists of one hash. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** For a head's image: views. */
  get image(): LabelSetsImage {
    const last = this.#pages.length - 1;
    return {
      pages: this.#pages.map((page, p) => (p === last ? page.subarray(0, this.#end) : page)),
      end: this.#end,
      lists: this.#lists.image,
      addresses: this.#addresses.subarray(0, this.#lists.count),
    };
  }

  /** Of new sets with the same seed. */
  takeImage({ pages, end, lists, addresses }: LabelSetsImage): void {
    const bytes = PAGE_WORDS * Uint32Array.BYTES_PER_ELEMENT;
    this.#pages = pages.map(({ buffer }) => new Uint32Array(buffer.transfer(Math.max(bytes, buffer.byteLength))));
    this.#end = end;
    this.#lists.takeImage(lists);
    this.#addresses = addresses;
  }

  /** Adds a set. @param ids name, value, name, value, … @returns its address. */
  add(ids: readonly number[]): number {
    const names = this.#namesOf(ids);
    const address = this.#allocate(1 + ids.length / 2);
    const page = this.#page(address);
    let at = offsetOf(address);
    page[at++] = names;
    for (let i = 1; i < ids.length; i += 2) page[at++] = ids[i]!;
    return address;
  }

  /** The list of the names in `ids`, added where there is none. */
  #namesOf(ids: readonly number[]): number {
    let hash = this.#seed ^ ids.length;
    for (let i = 0; i < ids.length; i += 2) hash = mixed(hash, ids[i]!);
    hash = finished(hash);
    const lists = this.#lists;
    for (let list = lists.first(hash); list >= 0; list = lists.next(hash))
      if (this.#hasNames(this.#addresses[list]!, ids)) return this.#addresses[list]!;
    const count = ids.length / 2;
    const address = this.#allocate(1 + count);
    const page = this.#page(address);
    const at = offsetOf(address);
    page[at] = count;
    for (let k = 0; k < count; k++) page[at + 1 + k] = ids[2 * k]!;
    const list = lists.add(hash);
    if (list === this.#addresses.length)
      this.#addresses = new Uint32Array(this.#addresses.buffer.transfer(2 * this.#addresses.byteLength));
    this.#addresses[list] = address;
    return address;
  }

  #hasNames(names: number, ids: readonly number[]): boolean {
    const page = this.#page(names);
    const at = offsetOf(names);
    const count = page[at]!;
    if (2 * count !== ids.length) return false;
    for (let k = 0; k < count; k++) if (page[at + 1 + k] !== ids[2 * k]) return false;
    return true;
  }

  #allocate(words: number): number {
    if (this.#end + words > PAGE_WORDS) {
      if (this.#pages.length === PAGES_MAX) throw new LimitError("the label sets of a head have reached 16 GiB");
      this.#pages.push(new Uint32Array(Math.max(PAGE_WORDS, words)));
      this.#end = 0;
    }
    const address = (((this.#pages.length - 1) << PAGE_BITS) | this.#end) >>> 0;
    this.#end += words;
    return address;
  }

  #page(address: number): Uint32Array {
    return this.#pages[address >>> PAGE_BITS]!;
  }

  /** The address of the list of its names. */
  names(set: number): number {
    return this.#page(set)[offsetOf(set)]!;
  }

  /** Labels of a list of names. */
  count(names: number): number {
    return this.#page(names)[offsetOf(names)]!;
  }

  name(names: number, k: number): number {
    return this.#page(names)[offsetOf(names) + 1 + k]!;
  }

  /** Where a name is in a list, or -1. */
  indexOf(names: number, name: number): number {
    const page = this.#page(names);
    const at = offsetOf(names) + 1;
    for (let k = 0, count = page[at - 1]!; k < count; k++) if (page[at + k] === name) return k;
    return -1;
  }

  /** The `k`-th value of a set. */
  value(set: number, k: number): number {
    return this.#page(set)[offsetOf(set) + 1 + k]!;
  }

  /** Order of two sets; `compare` orders ids that differ. */
  compare(a: number, b: number, compare: (a: number, b: number) => number): number {
    const x = this.names(a);
    const y = this.names(b);
    const countA = this.count(x);
    const countB = this.count(y);
    for (let k = 0; k < countA && k < countB; k++) {
      if (x !== y && this.name(x, k) !== this.name(y, k)) return compare(this.name(x, k), this.name(y, k));
      if (this.value(a, k) !== this.value(b, k)) return compare(this.value(a, k), this.value(b, k));
    }
    return countA - countB;
  }

  /** Name, value, name, value, …; `texts` of ids. */
  labels(set: number, texts: readonly string[]): string[] {
    const names = this.names(set);
    const out: string[] = [];
    for (let k = 0, count = this.count(names); k < count; k++)
      out.push(texts[this.name(names, k)]!, texts[this.value(set, k)]!);
    return out;
  }

  get bytes(): number {
    return this.#pages.reduce((sum, page) => sum + page.byteLength, this.#lists.bytes + this.#addresses.byteLength);
  }
}

/** In its page. */
function offsetOf(address: number): number {
  return address & (PAGE_WORDS - 1);
}
