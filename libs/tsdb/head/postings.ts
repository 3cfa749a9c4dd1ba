/** Postings of a head: label pair → series slots, ascending because slots are given out in order. */
import { NO_POSTINGS, type Postings } from "../index/postings.ts";

/** Most pairs of a high-cardinality label have one series: those are a number, not a list. */
type List = number | { refs: Uint32Array; count: number };

/** By name, then by value: keys are small integers, which a `Map` finds three times as fast as large ones. */
export class HeadPostings {
  readonly #names = new Map<number, Map<number, List>>();
  #pairCount = 0;

  get pairCount(): number {
    return this.#pairCount;
  }

  add(nameId: number, valueId: number, slot: number): void {
    let values = this.#names.get(nameId);
    if (values === undefined) this.#names.set(nameId, (values = new Map<number, List>()));
    const list = values.get(valueId);
    if (list === undefined) {
      values.set(valueId, slot);
      this.#pairCount++;
    } else if (typeof list === "number") values.set(valueId, { refs: Uint32Array.of(list, slot, 0, 0), count: 2 });
    else {
      if (list.count === list.refs.length) {
        const larger = new Uint32Array(list.count * 2);
        larger.set(list.refs);
        list.refs = larger;
      }
      list.refs[list.count++] = slot;
    }
  }

  of(nameId: number, valueId: number): Postings {
    const list = this.#names.get(nameId)?.get(valueId);
    if (list === undefined) return NO_POSTINGS;
    return typeof list === "number" ? Uint32Array.of(list) : list.refs.subarray(0, list.count);
  }

  nameIds(): Iterable<number> {
    return this.#names.keys();
  }

  valueIds(nameId: number): readonly number[] {
    return [...(this.#names.get(nameId)?.keys() ?? [])];
  }
}
