/** Interned label names and values of a head, with their rank in UTF-8 order for sorting series. */
import { compareUtf8 } from "#libs/kit/utf8.ts";

export class HeadSymbols {
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  /** Ids in order of their texts; covers the first `#sorted.length` ids. */
  #sorted: number[] = [];
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

  text(id: number): string {
    return this.#texts[id]!;
  }

  /** `ranks[id]` orders ids as their texts. New symbols are sorted and merged in: linear for few new ones. */
  ranks(): Uint32Array {
    if (this.#sorted.length === this.#texts.length) return this.#ranks;
    const fresh: number[] = [];
    for (let id = this.#sorted.length; id < this.#texts.length; id++) fresh.push(id);
    const compare = (a: number, b: number): number => compareUtf8(this.#texts[a]!, this.#texts[b]!);
    fresh.sort(compare);
    const merged: number[] = [];
    let i = 0;
    for (const id of fresh) {
      while (i < this.#sorted.length && compare(this.#sorted[i]!, id) < 0) merged.push(this.#sorted[i++]!);
      merged.push(id);
    }
    while (i < this.#sorted.length) merged.push(this.#sorted[i++]!);
    this.#sorted = merged;
    this.#ranks = new Uint32Array(merged.length);
    merged.forEach((id, rank) => (this.#ranks[id] = rank));
    return this.#ranks;
  }

  /** Ids in the order of their texts. */
  sorted(): readonly number[] {
    this.ranks();
    return this.#sorted;
  }
}
