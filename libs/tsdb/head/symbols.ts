/**
 * Interned label names and values of a head, with their rank in UTF-8 order for sorting series. Found by a hash of our
 * own: a `Map` of 500,000 takes 29 bytes an entry, this 13, and leaves as much behind as it grows (bench/figures.ts).
 */
import type { Slices } from "#libs/kit/slices.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { finished, HashSlots, type HashSlotsImage, mixed } from "./hash-slots.ts";
import { countingFrom, mergeSorted, sortSliced } from "./sort-sliced.ts";

export interface SymbolsImage {
  readonly ids: HashSlotsImage;
  readonly texts: string[];
}

export class HeadSymbols {
  readonly #ids = new HashSlots();
  readonly #seed: number;
  #texts: string[] = [];
  /** Ids in order of their texts; covers the first `#sorted.length` ids. */
  #sorted: Uint32Array = new Uint32Array(0);
  #ranks: Uint32Array = new Uint32Array(0);

  get count(): number {
    return this.#texts.length;
  }

  /** `seed` keeps senders from making texts of one hash. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** For a head's image: views. */
  get image(): SymbolsImage {
    return { ids: this.#ids.image, texts: this.#texts };
  }

  /** Of symbols with the same seed. */
  takeImage({ ids, texts }: SymbolsImage): void {
    this.#ids.takeImage(ids);
    this.#texts = texts;
  }

  id(text: string): number {
    const hash = this.#hashOf(text);
    const known = this.#find(text, hash);
    if (known >= 0) return known;
    this.#texts.push(text);
    return this.#ids.add(hash);
  }

  find(text: string): number | undefined {
    const id = this.#find(text, this.#hashOf(text));
    return id < 0 ? undefined : id;
  }

  #find(text: string, hash: number): number {
    const ids = this.#ids;
    for (let id = ids.first(hash); id >= 0; id = ids.next(hash)) if (this.#texts[id] === text) return id;
    return -1;
  }

  /** As `KeyTable.hashOf`, of UTF-16. */
  #hashOf(text: string): number {
    let hash = this.#seed ^ text.length;
    for (let i = 0; i < text.length; i++) hash = mixed(hash, text.charCodeAt(i));
    return finished(hash);
  }

  /** By id; only grows. */
  get texts(): readonly string[] {
    return this.#texts;
  }

  text(id: number): string {
    return this.#texts[id]!;
  }

  /** Whether `ranks` costs nothing. */
  get isRanked(): boolean {
    return this.#sorted.length === this.#texts.length;
  }

  compare(a: number, b: number): number {
    return a === b ? 0 : compareUtf8(this.#texts[a]!, this.#texts[b]!);
  }

  /** `ranks[id]` orders the ids there were at the call as their texts. New ones are sorted and merged in, by slices. */
  async ranks(slices: Slices): Promise<Uint32Array> {
    await this.sorted(slices);
    return this.#ranks;
  }

  /** Ids in the order of their texts. */
  async sorted(slices: Slices): Promise<Uint32Array> {
    if (this.isRanked) return this.#sorted;
    const known = this.#sorted;
    const fresh = countingFrom(known.length, this.#texts.length);
    const compare = (a: number, b: number): number => this.compare(a, b);
    const sorted = await mergeSorted(known, await sortSliced(fresh, compare, slices), compare, slices);
    const ranks = new Uint32Array(sorted.length);
    for (let rank = 0; rank < sorted.length; rank++) ranks[sorted[rank]!] = rank;
    // Another call may have gone further meanwhile.
    if (sorted.length > this.#sorted.length) {
      this.#sorted = sorted;
      this.#ranks = ranks;
    }
    return this.#sorted;
  }
}
