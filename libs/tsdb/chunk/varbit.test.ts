import { expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { BitReader, BitWriter } from "./bits.ts";
import {
  readUvarint,
  readVarbitInt,
  readVarbitIntNumber,
  readVarbitUint,
  readVarint,
  writeUvarint,
  writeVarbitInt,
  writeVarbitIntNumber,
  writeVarbitUint,
  writeVarint,
} from "./varbit.ts";

type Write = (writer: BitWriter, value: bigint) => void;
type Read = (reader: BitReader) => bigint;

/** Bits that a value takes; it is read back behind a bit that shifts it. */
function bitsOf(write: Write, read: Read, value: bigint): number {
  const writer = new BitWriter();
  writer.put(1, 1);
  write(writer, value);
  const bytes = writer.written();
  const reader = new BitReader(bytes, 0, bytes.length, "test");
  reader.bit();
  expect(read(reader)).toBe(value);
  expect(reader.at).toBe(writer.at);
  return writer.at - 1;
}

// Signed: of n bits from -(2^(n-1) - 1) to 2^(n-1). Prefix and bits.
const SIGNED: readonly [value: bigint, bits: number][] = [
  [0n, 1],
  [1n, 5],
  [4n, 5],
  [5n, 9],
  [-3n, 5],
  [-4n, 9],
  [32n, 9],
  [33n, 13],
  [-31n, 9],
  [-32n, 13],
  [256n, 13],
  [257n, 17],
  [-255n, 13],
  [-256n, 17],
  [2048n, 17],
  [2049n, 24],
  [-2047n, 17],
  [-2048n, 24],
  [131_072n, 24],
  [131_073n, 32],
  [-131_071n, 24],
  [-131_072n, 32],
  [16_777_216n, 32],
  [16_777_217n, 64],
  [-16_777_215n, 32],
  [-16_777_216n, 64],
  [2n ** 55n, 64],
  [2n ** 55n + 1n, 72],
  [1n - 2n ** 55n, 64],
  [-(2n ** 55n), 72],
  [2n ** 63n - 1n, 72],
  [-(2n ** 63n), 72],
];

test.each(SIGNED)("varbit_int %s takes %s bits", (value, bits) => {
  expect(bitsOf(writeVarbitInt, readVarbitInt, value)).toBe(bits);
});

test.each(SIGNED.filter(([value]) => Number.isSafeInteger(Number(value))))(
  "varbit_int %s takes %s bits as a number, too",
  (value, bits) => {
    const write: Write = (writer, v) => writeVarbitIntNumber(writer, Number(v));
    expect(bitsOf(write, (reader) => BigInt(readVarbitIntNumber(reader)), value)).toBe(bits);
  },
);

test.each([
  [0n, 1],
  [1n, 5],
  [7n, 5],
  [8n, 9],
  [63n, 9],
  [64n, 13],
  [511n, 13],
  [512n, 17],
  [4095n, 17],
  [4096n, 24],
  [262_143n, 24],
  [262_144n, 32],
  [33_554_431n, 32],
  [33_554_432n, 64],
  [2n ** 56n - 1n, 64],
  [2n ** 56n, 72],
  [2n ** 64n - 1n, 72],
] as const)("varbit_uint %s takes %s bits", (value, bits) => {
  expect(bitsOf(writeVarbitUint, readVarbitUint, value)).toBe(bits);
});

test.each([
  [0n, 8],
  [-1n, 8],
  [63n, 8],
  [64n, 16],
  [-64n, 8],
  [-65n, 16],
  [2n ** 63n - 1n, 80],
  [-(2n ** 63n), 80],
] as const)("varint %s takes %s bits", (value, bits) => {
  expect(bitsOf(writeVarint, readVarint, value)).toBe(bits);
});

test.each([
  [127n, 8],
  [128n, 16],
  [2n ** 64n - 1n, 80],
] as const)("uvarint %s takes %s bits", (value, bits) => {
  expect(bitsOf(writeUvarint, readUvarint, value)).toBe(bits);
});

test("a varint of 11 bytes is refused", () => {
  const bytes = new Uint8Array(11).fill(0x80);
  expect(() => readUvarint(new BitReader(bytes, 0, 11, "chunk"))).toThrow(
    new CorruptionError("chunk", 10, "a varint of more than 10 bytes"),
  );
});

test("an integer that the bytes end in is refused, whatever its width", () => {
  for (const first of [0b1100_0000, 0b1111_1110, 0b1111_1111]) {
    const reader = new BitReader(Uint8Array.of(first), 0, 1, "chunk");
    expect(() => readVarbitInt(reader)).toThrow(
      new CorruptionError("chunk", first >= 0xfe ? 1 : 0, "the chunk ends inside a sample"),
    );
  }
});
