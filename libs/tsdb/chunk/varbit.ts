/**
 * Integers of histogram chunks and start timestamps: a unary prefix chooses the width
 * (reference/prometheus.md §1.5, "varbit_int / varbit_uint").
 *
 *   0 │ 10 + 3 bits │ 110 + 6 │ 1110 + 9 │ 4 ones + 12 │ 5 + 18 │ 6 + 25 │ 7 + 56 │ 8 ones, no zero + 64
 *
 * Signed values of n bits reach from -(2^(n-1) - 1) to 2^(n-1): one more up than two's complement, one less down.
 * Also the byte-wise varints of first timestamps, which here need not start at a byte.
 */
import type { BitReader, BitWriter } from "./bits.ts";

const WIDTHS = [0, 3, 6, 9, 12, 18, 25, 56, 64] as const;
const TWO_32 = 4294967296;

/** A signed integer, exact. @throws CorruptionError past the end. */
export function readVarbitInt(reader: BitReader): bigint {
  const width = WIDTHS[reader.ones(8)]!;
  if (width <= 25) return BigInt(signedOf(reader.bits(width), width));
  const raw = readWide(reader, width);
  if (width === 64) return BigInt.asIntN(64, raw);
  return raw > 1n << 55n ? raw - (1n << 56n) : raw;
}

/** The same as a number, rounded outside ±2^53. */
export function readVarbitIntNumber(reader: BitReader): number {
  const width = WIDTHS[reader.ones(8)]!;
  if (width <= 25) return signedOf(reader.bits(width), width);
  const high = reader.bits(width - 32);
  const low = reader.bits(32);
  if (width === 64) return (high | 0) * TWO_32 + low;
  const wraps = high > 0x80_0000 || (high === 0x80_0000 && low > 0);
  return (wraps ? high - 0x100_0000 : high) * TWO_32 + low;
}

/** An unsigned integer, exact. @throws CorruptionError past the end. */
export function readVarbitUint(reader: BitReader): bigint {
  const width = WIDTHS[reader.ones(8)]!;
  return width <= 25 ? BigInt(reader.bits(width)) : readWide(reader, width);
}

/** Writes the low 64 bits of `value`, taken as signed. */
export function writeVarbitInt(writer: BitWriter, value: bigint): void {
  const signed = BigInt.asIntN(64, value);
  if (signed >= -0xff_ffffn && signed <= 0x100_0000n) {
    writeVarbitIntNumber(writer, Number(signed));
  } else if (signed > -(1n << 55n) && signed <= 1n << 55n) writeWide(writer, signed, 7);
  else writeWide(writer, signed, 8);
}

/** The same for a number within ±2^53. */
export function writeVarbitIntNumber(writer: BitWriter, value: number): void {
  for (let ones = 0; ones <= 6; ones++) {
    const width = WIDTHS[ones]!;
    const top = width === 0 ? 0 : 2 ** (width - 1);
    if (value <= top && (value === 0 || value > -top)) {
      putPrefix(writer, ones);
      writer.put(value, width);
      return;
    }
  }
  // 2^53 fits the 56 bits.
  putPrefix(writer, 7);
  writer.put(Math.floor(value / TWO_32), 24);
  writer.put(value % TWO_32, 32);
}

/** Writes the low 64 bits of `value`, taken as unsigned. */
export function writeVarbitUint(writer: BitWriter, value: bigint): void {
  const unsigned = BigInt.asUintN(64, value);
  for (let ones = 0; ones <= 6; ones++) {
    const width = WIDTHS[ones]!;
    if (unsigned >> BigInt(width) !== 0n) continue;
    putPrefix(writer, ones);
    writer.put(Number(unsigned), width);
    return;
  }
  writeWide(writer, unsigned, unsigned >> 56n === 0n ? 7 : 8);
}

/** A zigzag varint of bytes that need not be aligned, as 64 bits signed. @throws CorruptionError after 10 bytes. */
export function readVarint(reader: BitReader): bigint {
  const raw = readUvarint(reader);
  return BigInt.asIntN(64, (raw & 1n) === 0n ? raw >> 1n : ~(raw >> 1n));
}

export function readUvarint(reader: BitReader): bigint {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = reader.bits(8);
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  return reader.fail("a varint of more than 10 bytes");
}

export function writeVarint(writer: BitWriter, value: bigint): void {
  const signed = BigInt.asIntN(64, value);
  writeUvarint(writer, signed >= 0n ? signed << 1n : ~(signed << 1n));
}

export function writeUvarint(writer: BitWriter, value: bigint): void {
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) writer.put(Number(rest & 0x7fn) | 0x80, 8);
  writer.put(Number(rest), 8);
}

function signedOf(raw: number, width: number): number {
  // `>` and not `>=`: the top value itself is positive.
  return width > 0 && raw > 2 ** (width - 1) ? raw - 2 ** width : raw;
}

function putPrefix(writer: BitWriter, ones: number): void {
  if (ones === 8) writer.put(0xff, 8);
  else writer.put(((1 << ones) - 1) << 1, ones + 1);
}

function readWide(reader: BitReader, width: number): bigint {
  const high = reader.bits(width - 32);
  return (BigInt(high) << 32n) | BigInt(reader.bits(32));
}

function writeWide(writer: BitWriter, value: bigint, ones: 7 | 8): void {
  putPrefix(writer, ones);
  writer.put(Number(BigInt.asUintN(32, value >> 32n)), WIDTHS[ones] - 32);
  writer.put(Number(BigInt.asUintN(32, value)), 32);
}
