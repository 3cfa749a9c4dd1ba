import fc from "fast-check";
import { expect, test } from "vitest";
import { HeadPostings } from "./postings.ts";

// Few ids, so that lists are long and names share values; 5000 is behind the first memory.
const id = fc.oneof(fc.nat(3), fc.constantFrom(1023, 1024, 5000));

test("equals a Map of lists", () => {
  const series = fc.uniqueArray(fc.tuple(id, id), { maxLength: 8, selector: ([name]) => name });
  fc.assert(
    fc.property(fc.array(series, { maxLength: 40 }), (all) => {
      const postings = new HeadPostings();
      const model = new Map<string, number[]>();
      const taken: [list: Uint32Array, copy: number[]][] = [];
      all.forEach((pairs, slot) => {
        for (const [name, value] of pairs) {
          postings.add(name, value, slot);
          const key = `${name},${value}`;
          model.set(key, [...(model.get(key) ?? []), slot]);
          const list = postings.of(name, value);
          taken.push([list, Array.from(list)]);
        }
      });
      const pairsOf = (name: number): number[] =>
        [...model.keys()].map((key) => key.split(",").map(Number)).flatMap(([n, v]) => (n === name ? [v!] : []));
      const names = new Set([...model.keys()].map((key) => Number(key.split(",")[0])));
      expect(postings.pairCount).toBe(model.size);
      expect(new Set(postings.nameIds())).toEqual(names);
      for (const name of [0, 1, 2, 3, 1023, 1024, 5000, 9999]) {
        expect([...postings.valueIds(name)].sort((a, b) => a - b)).toEqual(pairsOf(name).sort((a, b) => a - b));
        for (const value of [0, 1, 2, 3, 1023, 1024, 5000, 9999])
          expect(Array.from(postings.of(name, value))).toEqual(model.get(`${name},${value}`) ?? []);
      }
      // What readers have been given stays as it was.
      for (const [list, copy] of taken) expect(Array.from(list)).toEqual(copy);
    }),
  );
});
