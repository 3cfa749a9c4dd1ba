import { expect, test } from "vitest";
import { Slices } from "#libs/kit/slices.ts";
import { HashSlots } from "./hash-slots.ts";
import { HeadSymbols } from "./symbols.ts";

test("a text has one id, whatever else is there", async () => {
  const symbols = new HeadSymbols(7);
  const texts = ["", "\0", "\0\0", "a", "ä", "\u{1F600}", "\uFFFD", "x".repeat(5000), `${"x".repeat(4999)}y`];
  for (let i = 0; i < 50_000; i++) texts.push(String(i));
  expect(symbols.find("a")).toBeUndefined();
  texts.forEach((text, id) => expect(symbols.id(text)).toBe(id));
  // Not the same string, the same text.
  texts.forEach((text, id) => expect(symbols.find(Buffer.from(text).toString())).toBe(id));
  for (let i = 50_000; i < 51_000; i++) expect(symbols.find(String(i))).toBeUndefined();
  expect(symbols.count).toBe(texts.length);
  const sorted = await symbols.sorted(new Slices(10));
  const inOrder = texts.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  expect(Array.from(sorted, (id) => symbols.text(id))).toEqual(inOrder);
});

test("slots of equal hashes are all found", () => {
  const slots = new HashSlots();
  const hashes = Array.from({ length: 3000 }, (_, i) => [0, 0xffffffff, i, 0x80000000 + (i & 7)][i % 4]!);
  hashes.forEach((hash, slot) => expect(slots.add(hash)).toBe(slot));
  for (const hash of [...new Set(hashes), 12_345]) {
    const found: number[] = [];
    for (let slot = slots.first(hash); slot >= 0; slot = slots.next(hash)) found.push(slot);
    expect(found.toSorted((a, b) => a - b)).toEqual(hashes.flatMap((own, slot) => (own === hash ? [slot] : [])));
  }
  hashes.forEach((hash, slot) => expect(slots.hashOf(slot)).toBe(hash));
});
