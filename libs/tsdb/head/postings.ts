/** Postings of a head: label pair → series slots, ascending because slots are given out in order. */
import { NO_POSTINGS, type Postings } from "../index/postings.ts";

/** Most pairs of a high-cardinality label have one series: those are a number, not a list. */
type List = number | { refs: Uint32Array; count: number };

const pairKey = (nameId: number, valueId: number): number => nameId * 4294967296 + valueId;

export class HeadPostings {
  readonly #lists = new Map<number, List>();
  readonly #values = new Map<number, number[]>();

  get pairCount(): number {
    return this.#lists.size;
  }

  add(nameId: number, valueId: number, slot: number): void {
    const key = pairKey(nameId, valueId);
    const list = this.#lists.get(key);
    if (list === undefined) {
      this.#lists.set(key, slot);
      const values = this.#values.get(nameId);
      if (values === undefined) this.#values.set(nameId, [valueId]);
      else values.push(valueId);
    } else if (typeof list === "number") {
      this.#lists.set(key, { refs: Uint32Array.of(list, slot, 0, 0), count: 2 });
    } else {
      if (list.count === list.refs.length) {
        const larger = new Uint32Array(list.count * 2);
        larger.set(list.refs);
        list.refs = larger;
      }
      list.refs[list.count++] = slot;
    }
  }

  of(nameId: number, valueId: number): Postings {
    const list = this.#lists.get(pairKey(nameId, valueId));
    if (list === undefined) return NO_POSTINGS;
    return typeof list === "number" ? Uint32Array.of(list) : list.refs.subarray(0, list.count);
  }

  nameIds(): Iterable<number> {
    return this.#values.keys();
  }

  valueIds(nameId: number): readonly number[] {
    return this.#values.get(nameId) ?? [];
  }
}
