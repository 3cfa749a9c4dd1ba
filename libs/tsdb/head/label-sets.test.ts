import fc from "fast-check";
import { expect, test } from "vitest";
import { LabelSets } from "./label-sets.ts";

const TEXTS = Array.from({ length: 3000 }, (_, id) => `t${id}`);
/** Few ids, so that many have the same names; some sets are longer than a page of 65,536 words. */
const labels = fc.oneof(
  { weight: 30, arbitrary: fc.array(fc.nat(3), { maxLength: 6 }) },
  { weight: 1, arbitrary: fc.array(fc.nat(2999), { minLength: 20, maxLength: 30 }) },
);

test("sets are what was added, also after an image, and compare as their ids", () => {
  fc.assert(
    fc.property(fc.array(labels, { maxLength: 40 }), fc.integer(), fc.boolean(), (all, seed, isLong) => {
      const sets = new LabelSets(seed);
      const want = all.map((ids) => (ids.length % 2 === 0 ? ids : ids.slice(1)));
      if (isLong)
        want.splice(
          3,
          0,
          Array.from({ length: 140_000 }, (_, i) => i % 3000),
        );
      const half = Math.floor(want.length / 2);
      const added = want.slice(0, half).map((ids) => sets.add(ids));
      const again = new LabelSets(seed);
      again.takeImage(structuredClone(sets.image));
      for (const [i, ids] of want.slice(half).entries()) {
        added.push(sets.add(ids));
        expect(again.add(ids)).toBe(added[half + i]);
      }
      for (const [i, ids] of want.entries()) {
        for (const table of [sets, again]) expect(table.labels(added[i]!, TEXTS)).toEqual(ids.map((id) => TEXTS[id]));
        const names = sets.names(added[i]!);
        expect(sets.count(names)).toBe(ids.length / 2);
        for (let id = 0; id < 4; id++)
          expect(sets.indexOf(names, id)).toBe(ids.filter((_, k) => k % 2 === 0).indexOf(id));
        for (const [j, others] of want.entries()) {
          const same = names === sets.names(added[j]!);
          expect(same).toBe(namesOf(ids) === namesOf(others));
          const by = (a: number, b: number): number => a - b;
          expect(Math.sign(sets.compare(added[i]!, added[j]!, by))).toBe(Math.sign(compareIds(ids, others)));
        }
      }
    }),
    { numRuns: 50 },
  );
});

function namesOf(ids: readonly number[]): string {
  return ids.filter((_, k) => k % 2 === 0).join();
}

function compareIds(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
