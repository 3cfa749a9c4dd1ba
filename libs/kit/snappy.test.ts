import fc from "fast-check";
import { compress } from "snappyjs";
import { expect, test } from "vitest";
import { BadRequestError } from "./errors.ts";
import { SnappyDecoder } from "./snappy.ts";

const decoder = new SnappyDecoder();
const text = fc
  .array(fc.oneof(fc.constantFrom("abc", "abcabcabc", "\u0000\u0000", "x"), fc.string()), { maxLength: 200 })
  .map((parts) => Buffer.from(parts.join("")));

test("undoes what snappyjs compresses", () => {
  fc.assert(
    fc.property(text, (plain) => {
      expect(Buffer.from(decoder.decode(compress(new Uint8Array(plain)), 1 << 20)).equals(plain)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("long runs and far copies", () => {
  const plain = Buffer.concat([
    Buffer.alloc(70_000, "ab"),
    Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7919) & 0xff)),
    Buffer.alloc(300, "z"),
  ]);
  expect(Buffer.from(decoder.decode(compress(new Uint8Array(plain)), 1 << 20)).equals(plain)).toBe(true);
});

test("hostile bytes are refused or give what they claim", () => {
  fc.assert(
    fc.property(
      text,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }),
      fc.nat(64),
      (plain, changes, cut) => {
        const packed = compress(new Uint8Array(plain));
        const bytes = packed.slice(0, Math.max(0, packed.length - cut));
        for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
        try {
          decoder.decode(bytes, 1 << 20);
        } catch (error) {
          expect(error).toBeInstanceOf(BadRequestError);
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test("a size above the limit is refused before memory is taken", () => {
  expect(() => decoder.decode(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f), 1000)).toThrow(
    "decoded size exceeds the 1000 bytes limit",
  );
  expect(() => decoder.decode(new Uint8Array(), 1000)).toThrow("s2: corrupt input");
});
