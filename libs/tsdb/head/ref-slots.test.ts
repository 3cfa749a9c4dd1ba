import fc from "fast-check";
import { expect, test } from "vitest";
import { RefSlots } from "./ref-slots.ts";

// Around the first ref, at the border of the array, and far away.
const ref = fc.oneof(
  fc.integer({ min: 1000, max: 1050 }),
  fc.integer({ min: 1000 + (1 << 20) - 3, max: 1000 + (1 << 20) + 3 }),
  fc.constantFrom(0, 1, 2 ** 32, 2 ** 52),
);

test("equals a Map", () => {
  const step = fc.record({ ref, slot: fc.nat(10), deletes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const slots = new RefSlots();
      const model = new Map<number, number>();
      for (const { ref: at, slot, deletes } of steps) {
        if (deletes) {
          slots.delete(at);
          model.delete(at);
        } else {
          slots.set(at, slot);
          model.set(at, slot);
        }
        for (const { ref: other } of steps) expect(slots.get(other)).toBe(model.get(other) ?? -1);
      }
    }),
    { numRuns: 50 },
  );
});
