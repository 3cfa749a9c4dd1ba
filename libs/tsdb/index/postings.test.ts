import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { intersect, type Postings, readPostings, subtract, union } from "./postings.ts";
import { ValueColumn } from "./value-column.ts";

const MAX_REF = 2 ** 32 - 1;
const refs = (...list: number[]): Postings => Uint32Array.from(list);
const sorted = fc.uniqueArray(fc.nat(64)).map((list) => refs(...list).sort());

describe("intersect", () => {
  const check = (what: string, a: Postings, b: Postings, want: Postings): void =>
    test(what, () => expect(intersect(a, b)).toEqual(want));

  check("an empty list empties the result", refs(1, 2), refs(), refs());
  check("what is in both is kept", refs(1, 3, 5, 7), refs(3, 4, 5), refs(3, 5));
  check("refs above 2^31 stay unsigned", refs(MAX_REF), refs(0, MAX_REF), refs(MAX_REF));
});

// The definitions of sets are the model: the galloping code agrees with them on any input.
test("intersect, subtract and union equal the operations on sets", () => {
  fc.assert(
    fc.property(sorted, sorted, sorted, (a, b, c) => {
      expect(intersect(a, b)).toEqual(a.filter((ref) => b.includes(ref)));
      expect(subtract(a, b)).toEqual(a.filter((ref) => !b.includes(ref)));
      expect(Array.from(union([a, b, c]))).toEqual([...new Set([...a, ...b, ...c])].sort((x, y) => x - y));
    }),
  );
});

test("refs far apart and refs close by have the same union, up to the largest ref", () => {
  const far = refs(1, 2 ** 31, MAX_REF);
  expect(union([far, refs(1, 5)])).toEqual(refs(1, 5, 2 ** 31, MAX_REF));
  expect(union([refs(MAX_REF - 64, MAX_REF), refs(MAX_REF - 31)])).toEqual(refs(MAX_REF - 64, MAX_REF - 31, MAX_REF));
});

test("a column tells the values of the series selected", () => {
  const column = new ValueColumn(refs(10, 20, 30, 40), [refs(10, 40), refs(20), refs(99)]);
  expect(Array.from(column.valuesOf(refs(10, 20, 30, 40)))).toEqual([0, 1]);
  expect(Array.from(column.valuesOf(refs(20)))).toEqual([1]);
  expect(Array.from(column.valuesOf(refs(30)))).toEqual([]);
  expect(Array.from(column.valuesOf(refs(30, 40)))).toEqual([0]);
});

describe("readPostings", () => {
  const withoutChecksum = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
  const bytes = (hex: string): Uint8Array => {
    const out = new ByteWriter();
    out.raw(withoutChecksum(hex));
    out.crc(4);
    return out.bytes;
  };

  test("reads two refs", () => {
    expect(readPostings(bytes("0000000c 00000002 00000005 00000009"), 0, "index")).toEqual(refs(5, 9));
  });

  const rejects = (what: string, hex: string, want: CorruptionError): void =>
    test(`rejects ${what}`, () => expect(() => readPostings(bytes(hex), 0, "index")).toThrow(want));

  rejects(
    "a count that disagrees with the length",
    "0000000c 00000003 00000005 00000009",
    new CorruptionError("index", 0, "postings of 12 bytes claim 3 refs"),
  );
  rejects(
    "a ref that repeats",
    "0000000c 00000002 00000005 00000005",
    new CorruptionError("index", 12, "postings do not ascend"),
  );
  rejects("a list cut short", "0000000c 00000002 00000005", new CorruptionError("index", 0, "postings cut short"));

  test("rejects a wrong checksum", () => {
    const damaged = withoutChecksum("0000000c 00000002 00000005 00000009 00000000");
    expect(() => readPostings(damaged, 0, "index")).toThrow(new CorruptionError("index", 0, "postings: checksum"));
  });
});
