/** XOR chunks whose times leave ±2^53 ms: the same stream as `xor.ts` reads, with 64-bit integers. Never hot. */
import { BitReader } from "./bits.ts";
import { readUvarint, readVarint } from "./varbit.ts";
import { ValueXor } from "./value-xor.ts";

/** Decodes as `decodeXor` does; times are rounded only where they are stored. */
export function decodeXorWide(
  bytes: Uint8Array,
  from: number,
  length: number,
  times: Float64Array,
  words: Int32Array,
  at: number,
  where: string,
): number {
  const reader = new BitReader(bytes, from, length, where);
  const count = reader.bits(16);
  const value = new ValueXor();
  let time = 0n;
  let delta = 0n;
  for (let i = 0; i < count; i++) {
    if (i === 0) {
      time = readVarint(reader);
      value.high = reader.bits(32) | 0;
      value.low = reader.bits(32) | 0;
    } else {
      delta = i === 1 ? readUvarint(reader) : delta + readDod(reader);
      time = BigInt.asIntN(64, time + delta);
      value.read(reader);
    }
    times[at + i] = Number(time);
    words[2 * (at + i)] = value.low;
    words[2 * (at + i) + 1] = value.high;
  }
  return at + count;
}

const DOD_WIDTHS = [0, 14, 17, 20] as const;

function readDod(reader: BitReader): bigint {
  const width = DOD_WIDTHS[reader.ones(4)];
  if (width === undefined) {
    const high = reader.bits(32);
    return (BigInt(high) << 32n) | BigInt(reader.bits(32));
  }
  const raw = reader.bits(width);
  return BigInt(width > 0 && raw > 2 ** (width - 1) ? raw - 2 ** width : raw);
}
