/** CRC-32C against its definition, bit by bit. */
import { expect, test } from "vitest";
import { crc32c, crc32cOf } from "./crc32c.ts";

function byBits(bytes: Uint8Array, from: number, to: number): number {
  let crc = -1;
  for (const byte of bytes.subarray(from, to)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

test("of any length, at any place, in one piece or two", () => {
  const whole = Uint8Array.from({ length: 100 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
  const bytes = whole.subarray(3);
  for (let from = 0; from < 9; from++) {
    for (let to = from; to <= bytes.length; to++) {
      const want = byBits(bytes, from, to);
      expect(crc32c(bytes, from, to)).toBe(want);
      expect(crc32cOf(new DataView(whole.buffer), from + 3, to + 3)).toBe(want);
      const middle = (from + to) >>> 1;
      expect(crc32c(bytes, middle, to, crc32c(bytes, from, middle))).toBe(want);
    }
  }
  expect(crc32c(Buffer.from("123456789"), 0, 9)).toBe(0xe3069283);
});
