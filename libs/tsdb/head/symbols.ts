/** Interned label names and values of a head, with their rank in UTF-8 order for sorting series. */
import type { Slices } from "#libs/kit/slices.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { countingFrom, mergeSorted, sortSliced } from "./sort-sliced.ts";

export class HeadSymbols {
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  /** Ids in order of their texts; covers the first `#sorted.length` ids. */
  #sorted: Uint32Array = new Uint32Array(0);
  #ranks: Uint32Array = new Uint32Array(0);

  get count(): number {
    return this.#texts.length;
  }

  id(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.#texts.length;
      this.#texts.push(text);
      this.#ids.set(text, id);
    }
    return id;
  }

  find(text: string): number | undefined {
    return this.#ids.get(text);
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
