/**
 * `decodeXor` (../xor.ts) for what nearly all chunks are, in AssemblyScript: 64-bit words make it a third cheaper. What
 * is rare (a gap of nine minutes, far times) and what is broken is left to that one, which also knows what to say.
 *
 * Compiled by `npm run generate`; the memory is the caller's (libs/model/kernel-memory.ts), with the chunk from 0 on.
 */

/** 64 bits from bit position `bit` on, of words that have been swapped. */
function peek(bit: u32): u64 {
  const at: usize = (bit >> 6) << 3;
  const shift = u64(bit & 63);
  return (load<u64>(at) << shift) | ((load<u64>(at, 8) >> 1) >> (63 - shift));
}

/** Where `uvarint` stopped. */
let bitAfter: u32 = 0;

/** Up to ten bytes; what does not fit 64 bits is cut off. */
function uvarint(from: u32): u64 {
  let value: u64 = 0;
  let bit = from;
  for (let shift: u64 = 0; shift < 70; shift += 7) {
    const byte = peek(bit) >> 56;
    bit += 8;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  bitAfter = bit;
  return value;
}

/** The upper `width` bits of `bits`, as deltas of deltas have them: from -2^(width-1) + 1 to 2^(width-1). */
function signed(bits: u64, width: u64): i64 {
  const largest = u64(1) << (width - 1);
  return i64(largest) - i64((largest - (bits >> (64 - width))) & (2 * largest - 1));
}

/**
 * Decodes the chunk in bytes [0, length) to doubles at `times` and `values`, for which its samples have room.
 * @returns how many samples; -1: to be decoded by the other. Bytes up to `length + 16` are swapped.
 */
export function decodeXor(length: u32, times: usize, values: usize): i32 {
  for (let at: usize = 0; at < length + 8; at += 8) store<u64>(at, bswap<u64>(load<u64>(at)));
  const count = u32(peek(0) >> 48);
  const bitEnd = length * 8;
  const zigzag = uvarint(16);
  let time = i64(zigzag >> 1) ^ -i64(zigzag & 1);
  let value = peek(bitAfter);
  store<f64>(times, f64(time));
  store<u64>(values, value);
  if (count === 1) return bitAfter + 64 <= bitEnd ? 1 : -1;
  let delta = i64(uvarint(bitAfter + 64));
  let bit = bitAfter;
  // So far from 2^53 that no sum gets there.
  if (time >= i64(1) << 52 || time <= -(i64(1) << 52) || u64(delta) >= u64(1) << 32) return -1;

  let significant: u64 = 64;
  let trailing: u64 = 0;
  let word = peek(bit);
  let i: u32 = 1;
  while (true) {
    // `word` starts with the value of sample i.
    time += delta;
    if (i64(word) >= 0) bit += 1;
    else {
      if (word >> 62 === 2) bit += 2;
      else {
        const leading = (word >> 57) & 31;
        significant = (word >> 51) & 63;
        if (significant === 0) significant = 64;
        if (leading + significant > 64) return -1;
        trailing = 64 - leading - significant;
        bit += 13;
      }
      value ^= (peek(bit) >> (64 - significant)) << trailing;
      bit += u32(significant);
    }
    store<f64>(times + (i << 3), f64(time));
    store<u64>(values + (i << 3), value);
    i++;
    if (bit >= bitEnd || i === count) break;

    word = peek(bit);
    // Two zero bits are a sample as long after the last as that was after the one before, with its value.
    const run = min(u32(clz(word | 1)) >> 1, count - i);
    if (run > 0) {
      for (const stop = i + run; i < stop; i++) {
        time += delta;
        store<f64>(times + (i << 3), f64(time));
        store<u64>(values + (i << 3), value);
      }
      bit += 2 * run;
      if (bit >= bitEnd || i === count) break;
      word = peek(bit);
    }
    if (i64(word) >= 0) {
      bit += 1;
      word <<= 1;
    } else if (word >> 62 === 2) {
      delta += signed(word << 2, 14);
      bit += 16;
      word <<= 16;
    } else if (word >> 61 === 6) {
      delta += signed(word << 3, 17);
      bit += 20;
      word <<= 20;
    } else if (word >> 60 === 14) {
      delta += signed(word << 4, 20);
      bit += 24;
      word <<= 24;
    } else return -1;
  }
  return i === count && bit <= bitEnd ? i32(count) : -1;
}
