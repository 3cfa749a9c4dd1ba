import fc from "fast-check";
import { expect, test } from "vitest";
import { type FullChunk, FullChunks } from "./full-chunks.ts";

const time = fc.oneof(
  fc.integer({ min: 1.7e12, max: 1.7e12 + 1e9 }),
  // 2^31 ms before the first and 2^32 from there on, what numbers hold, and what files may say.
  fc.constantFrom(
    0,
    1.7e12 - 2 ** 31,
    1.7e12 + 2 ** 31 - 1,
    1.7e12 + 2 ** 31,
    -(2 ** 53),
    2 ** 53,
    -(2 ** 63),
    2 ** 63,
  ),
);
const chunk = fc.record({
  mint: time,
  maxt: time,
  encoding: fc.nat(7),
  file: fc.oneof(fc.nat(999_999), fc.integer({ min: 990, max: 1250 })),
  offset: fc.nat(2 ** 28),
  length: fc.oneof(fc.nat(2 ** 29 - 1), fc.integer({ min: 2 ** 21 - 2, max: 2 ** 21 + 1 }), fc.nat(1000)),
});

test("chunks are kept as they are given, whatever their times, files and lengths", () => {
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 30 }), (chunks) => {
      const full = new FullChunks();
      const lists = [0, 0];
      chunks.forEach((added, k) => (lists[k % 2] = full.add(lists[k % 2]!, added)));
      const of = (list: number): FullChunk[] => chunks.filter((_, k) => k % 2 === list);
      for (const list of [0, 1]) {
        const kept = of(list);
        // A list is walked up to the first that ends too early.
        expect(full.overlapping(lists[list]!, -Infinity, Infinity)).toEqual(kept);
        expect(full.oldestMint(lists[list]!, -Infinity, 1)).toBe(kept[0]?.mint ?? 1);
      }
    }),
  );
});

test("chunks that overlap a range", () => {
  const full = new FullChunks();
  let list = 0;
  const at = (mint: number): FullChunk => ({ mint, maxt: mint + 9, encoding: 1, file: 1, offset: 8, length: 5 });
  for (let mint = 0; mint < 100_000; mint += 10) list = full.add(list, at(mint));
  expect(full.overlapping(list, 49_995, 50_010)).toEqual([at(49_990), at(50_000), at(50_010)]);
  expect(full.oldestMint(list, 99_985, -1)).toBe(99_980);
});
