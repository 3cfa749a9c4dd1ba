/**
 * XOR chunks (encoding 1): Gorilla's compression as Prometheus writes it.
 * Format: prometheus/tsdb/docs/format/chunks.md; Pelkonen et al., "Gorilla", VLDB 2015.
 *
 *   u16 count │ varint t0, f64 v0 │ uvarint t1-t0, xor v1 │ (delta-of-delta, xor)*
 *
 * 32-bit operations on a DataView: 11 ns a sample where a port on BigInt took 218 (bench/codec.ts). Values pass as
 * two words, never as a number, so that NaN payloads (the stale marker) keep their bits.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { decodeXorWide } from "./xor-wide.ts";

/** No window of meaningful bits yet: the next changed value writes one. */
export const NO_WINDOW = 0xff;

/**
 * A chunk being written. The owner keeps at least `XOR_SAMPLE_BYTES_MAX` bytes free from `bitAt` on; bytes from
 * `bitAt` on may hold anything.
 */
export interface XorState {
  bytes: Uint8Array;
  /** Bit position in `bytes` after the last sample. */
  bitAt: number;
  count: number;
  time: number;
  delta: number;
  /** What rounding took from `delta`; of a meaning only while `delta` is beyond 2^53. */
  deltaRest: number;
  valueLow: number;
  valueHigh: number;
  leading: number;
  trailing: number;
}

/** A chunk without samples, to be written into `bytes` from their start. */
export function emptyXorState(bytes: Uint8Array): XorState {
  return {
    bytes,
    bitAt: XOR_HEADER_BYTES * 8,
    count: 0,
    time: 0,
    delta: 0,
    deltaRest: 0,
    valueLow: 0,
    valueHigh: 0,
    leading: NO_WINDOW,
    trailing: 0,
  };
}

/** Most bytes one sample can take: 4 + 64 bits of time, 2 + 5 + 6 + 64 of value, rounded up. */
export const XOR_SAMPLE_BYTES_MAX = 24;
export const XOR_HEADER_BYTES = 2;

/** Appends a sample. `state.count` is not written into the chunk's header: the owner does, when others may read. */
export function appendXor(state: XorState, time: number, low: number, high: number): void {
  const { bytes } = state;
  let at = state.bitAt;
  if (state.count === 0) {
    at = putVarint(bytes, at, time);
    at = putBits(bytes, at, high >>> 0, 32);
    at = putBits(bytes, at, low >>> 0, 32);
    state.leading = NO_WINDOW;
    state.trailing = 0;
  } else {
    const delta = time - state.time;
    if (delta + state.delta > Number.MAX_SAFE_INTEGER) at = putWideDelta(state, at, time);
    else if (state.count === 1) at = putUvarint(bytes, at, delta);
    else {
      const dod = delta - state.delta;
      if (dod === 0) at = putBits(bytes, at, 0, 1);
      else if (dod >= -8191 && dod <= 8192) {
        at = putBits(bytes, at, 0b10, 2);
        at = putBits(bytes, at, dod & 0x3fff, 14);
      } else if (dod >= -65535 && dod <= 65536) {
        at = putBits(bytes, at, 0b110, 3);
        at = putBits(bytes, at, dod & 0x1ffff, 17);
      } else if (dod >= -524287 && dod <= 524288) {
        at = putBits(bytes, at, 0b1110, 4);
        at = putBits(bytes, at, dod & 0xfffff, 20);
      } else {
        at = putBits(bytes, at, 0b1111, 4);
        at = putBits(bytes, at, Math.floor(dod / 4294967296) >>> 0, 32);
        at = putBits(bytes, at, dod >>> 0, 32);
      }
    }
    state.delta = delta;
    at = putXor(state, at, low ^ state.valueLow, high ^ state.valueHigh);
  }
  state.bitAt = at;
  state.time = time;
  state.valueLow = low;
  state.valueHigh = high;
  state.count++;
}

/** Writes the time of a sample behind the first where a delta is beyond 2^53 ms, in 64-bit integers. Never hot. */
function putWideDelta(state: XorState, from: number, time: number): number {
  const delta = BigInt(time) - BigInt(state.time);
  const before = BigInt(state.delta) + (state.delta > Number.MAX_SAFE_INTEGER ? BigInt(state.deltaRest) : 0n);
  state.deltaRest = Number(delta - BigInt(Number(delta)));
  if (state.count === 1) return putWideUvarint(state.bytes, from, delta);
  // Two deltas of 2^53 and more that differ little would fit a shorter form.
  const dod = BigInt.asIntN(64, delta - before);
  const form = DOD_FORMS.find(({ width }) => dod > -(1n << BigInt(width - 1)) && dod <= 1n << BigInt(width - 1));
  if (dod === 0n) return putBits(state.bytes, from, 0, 1);
  if (form !== undefined) {
    const at = putBits(state.bytes, from, form.prefix, form.prefixWidth);
    return putBits(state.bytes, at, Number(dod & ((1n << BigInt(form.width)) - 1n)), form.width);
  }
  let at = putBits(state.bytes, from, 0b1111, 4);
  at = putBits(state.bytes, at, Number(BigInt.asUintN(32, dod >> 32n)), 32);
  return putBits(state.bytes, at, Number(BigInt.asUintN(32, dod)), 32);
}

const DOD_FORMS = [
  { prefix: 0b10, prefixWidth: 2, width: 14 },
  { prefix: 0b110, prefixWidth: 3, width: 17 },
  { prefix: 0b1110, prefixWidth: 4, width: 20 },
] as const;

function putWideUvarint(bytes: Uint8Array, from: number, value: bigint): number {
  let at = from;
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) at = putBits(bytes, at, Number(rest & 0x7fn) | 0x80, 8);
  return putBits(bytes, at, Number(rest), 8);
}

/**
 * Makes `state` write on as an appender of Prometheus that is opened on a stored chunk does: where no window was
 * written yet it takes all 64 bits for one. Values are the same either way, bytes are not.
 */
export function reopenXor(state: XorState): void {
  if (state.count > 0 && state.leading === NO_WINDOW) state.leading = 0;
}

function putXor(state: XorState, from: number, low: number, high: number): number {
  const { bytes } = state;
  if (low === 0 && high === 0) return putBits(bytes, from, 0, 1);
  let leading = high !== 0 ? Math.clz32(high) : 32 + Math.clz32(low);
  const trailing = low !== 0 ? 31 - Math.clz32(low & -low) : 63 - Math.clz32(high & -high);
  // Five bits hold the leading zeros.
  if (leading > 31) leading = 31;
  if (state.leading !== NO_WINDOW && leading >= state.leading && trailing >= state.trailing) {
    const at = putBits(bytes, from, 0b10, 2);
    return putShifted(bytes, at, low, high, state.trailing, 64 - state.leading - state.trailing);
  }
  state.leading = leading;
  state.trailing = trailing;
  const significant = 64 - leading - trailing;
  // 64 significant bits are stored as 0.
  const at = putBits(bytes, from, (0b11 << 11) | (leading << 6) | (significant & 63), 13);
  return putShifted(bytes, at, low, high, trailing, significant);
}

function putShifted(bytes: Uint8Array, at: number, low: number, high: number, shift: number, width: number): number {
  let lowBits: number;
  let highBits: number;
  if (shift >= 32) {
    lowBits = high >>> (shift - 32);
    highBits = 0;
  } else if (shift === 0) {
    lowBits = low;
    highBits = high;
  } else {
    lowBits = (low >>> shift) | (high << (32 - shift));
    highBits = high >>> shift;
  }
  if (width <= 32) return putBits(bytes, at, lowBits >>> 0, width);
  return putBits(bytes, putBits(bytes, at, highBits >>> 0, width - 32), lowBits >>> 0, 32);
}

/** Writes the low `width` (≤ 32) bits of `value`, most significant first; bits after them become zero. */
function putBits(bytes: Uint8Array, at: number, value: number, width: number): number {
  let left = width;
  let index = at >>> 3;
  const used = at & 7;
  if (used !== 0) {
    const room = 8 - used;
    const kept = bytes[index]! & (0xff00 >>> used);
    if (left <= room) {
      const masked = left === 32 ? value : value & ((1 << left) - 1);
      bytes[index] = kept | (masked << (room - left));
      return at + width;
    }
    left -= room;
    bytes[index] = kept | ((value >>> left) & (0xff >>> used));
    index++;
  }
  while (left >= 8) {
    left -= 8;
    bytes[index++] = value >>> left;
  }
  if (left > 0) bytes[index] = value << (8 - left);
  return at + width;
}

function putUvarint(bytes: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest >= 0x80) {
    at = putBits(bytes, at, (rest % 128) | 0x80, 8);
    rest = Math.floor(rest / 128);
  }
  return putBits(bytes, at, rest, 8);
}

function putVarint(bytes: Uint8Array, at: number, value: number): number {
  if (!Number.isSafeInteger(2 * value)) {
    const wide = BigInt(value);
    return putWideUvarint(bytes, at, wide >= 0n ? wide << 1n : ~(wide << 1n));
  }
  return putUvarint(bytes, at, value >= 0 ? value * 2 : -value * 2 - 1);
}

/** Samples a chunk says it holds; what is there is only known after decoding. */
export function xorCount(bytes: Uint8Array, from: number): number {
  return (bytes[from]! << 8) | bytes[from + 1]!;
}

/** Bytes that must be readable behind a chunk given to `decodeXor`. */
export const DECODE_SLACK = 8;

/**
 * Where `decodeXor` stood after the last sample of the chunk it was called with last, so that the chunk can be written on:
 * bits used, and what `XorState` names. `bits` is -1 for a chunk whose times need more than a number.
 */
export const decodedEnd = { bits: -1, delta: 0, leading: NO_WINDOW, trailing: 0 };

/**
 * Decodes the chunk `[from, from + length)` into `times` and `values` (as `words`, two a value) from index `at` on;
 * the caller has made room for `xorCount` samples. The view must reach `DECODE_SLACK` bytes past the chunk.
 *
 * @returns the index after the last sample.
 * @throws CorruptionError when the samples claimed do not fit the bytes; `where` is what the error names.
 */
export function decodeXor(
  view: DataView,
  from: number,
  length: number,
  times: Float64Array,
  words: Int32Array,
  at: number,
  where: string,
): number {
  if (length < XOR_HEADER_BYTES) throw new CorruptionError(where, from, `a chunk of ${length} bytes`);
  const count = view.getUint16(from);
  const end = at + count;
  decodedEnd.bits = -1;
  if (count === 0) return at;
  const bitEnd = (from + length) * 8;
  let bit = (from + 2) * 8;

  // First sample: zigzag varint and 64 bits.
  let time = 0;
  let scale = 1;
  let byte = 0x80;
  for (let i = 0; byte >= 0x80; i++) {
    if (i === 10 || bit >= bitEnd) throw new CorruptionError(where, bit >>> 3, "first timestamp");
    byte = view.getUint8(bit >>> 3);
    time += (byte & 0x7f) * scale;
    scale *= 128;
    bit += 8;
  }
  if (!Number.isSafeInteger(time)) return decodeXorWide(bytesOf(view), from, length, times, words, at, where);
  time = time % 2 === 0 ? time / 2 : -(time + 1) / 2;
  if (bit + 64 > bitEnd) throw new CorruptionError(where, bit >>> 3, "first value");
  let high = view.getInt32(bit >>> 3);
  let low = view.getInt32((bit >>> 3) + 4);
  bit += 64;
  times[at] = time;
  words[2 * at] = low;
  words[2 * at + 1] = high;

  let delta = 0;
  let leading = NO_WINDOW;
  let trailing = 0;
  let significant = 64;
  for (let i = at + 1; i < end; i++) {
    if (bit >= bitEnd) throw new CorruptionError(where, bit >>> 3, `${count} samples claimed, ${i - at} there`);
    /** The bits behind the time, as far as they are at hand: 13 are needed. */
    let next: number;
    if (i === at + 1) {
      delta = 0;
      scale = 1;
      for (let k = 0; ; k++) {
        if (k === 10 || bit >= bitEnd) throw new CorruptionError(where, bit >>> 3, "second timestamp");
        const index = bit >>> 3;
        byte = (view.getUint16(index) >>> (8 - (bit & 7))) & 0xff;
        delta += (byte & 0x7f) * scale;
        scale *= 128;
        bit += 8;
        if (byte < 0x80) break;
      }
      if (!Number.isSafeInteger(delta)) return decodeXorWide(bytesOf(view), from, length, times, words, at, where);
      next = peek32(view, bit);
    } else {
      // Five bytes from `bit` on always hold the prefix and up to 20 bits behind it.
      const shift = bit & 7;
      const index = bit >>> 3;
      const head = (view.getInt32(index) << shift) | ((view.getUint8(index + 4) << shift) >>> 8);
      if (head >>> 30 !== 3) {
        // 0, or 10 and 14 bits: which of them is as good as random, so nothing branches.
        const isChanged = head >> 31;
        delta += (8192 - ((8192 - (head >>> 16)) & 0x3fff)) & isChanged;
        const used = 1 + (isChanged & 15);
        bit += used;
        next = head << used;
      } else if ((head & 0x20000000) === 0) {
        let dod = (head >>> 12) & 0x1ffff;
        if (dod > 65536) dod -= 131072;
        delta += dod;
        bit += 20;
        next = peek32(view, bit);
      } else if ((head & 0x10000000) === 0) {
        let dod = (head >>> 8) & 0xfffff;
        if (dod > 524288) dod -= 1048576;
        delta += dod;
        bit += 24;
        next = peek32(view, bit);
      } else {
        if (bit + 68 > bitEnd) throw new CorruptionError(where, index, "64-bit delta of delta");
        delta += peek32(view, bit + 4) * 4294967296 + (peek32(view, bit + 36) >>> 0);
        if (!Number.isSafeInteger(delta)) return decodeXorWide(bytesOf(view), from, length, times, words, at, where);
        bit += 68;
        next = peek32(view, bit);
      }
    }
    time += delta;
    times[i] = time;

    if (next >= 0) bit += 1;
    else {
      if ((next & 0x40000000) === 0) bit += 2;
      else {
        leading = (next >>> 25) & 31;
        significant = (next >>> 19) & 63;
        if (significant === 0) significant = 64;
        trailing = 64 - leading - significant;
        if (trailing < 0) throw new CorruptionError(where, bit >>> 3, `a window of ${leading} + ${significant} bits`);
        bit += 13;
      }
      if (bit + significant > bitEnd) throw new CorruptionError(where, bit >>> 3, "a value past the end");
      if (significant <= 32) {
        const x = peek32(view, bit) >>> (32 - significant);
        if (trailing >= 32) high ^= x << (trailing - 32);
        else {
          low ^= x << trailing;
          if (trailing > 0) high ^= x >>> (32 - trailing);
        }
      } else {
        const upper = peek32(view, bit) >>> (64 - significant);
        const lower = peek32(view, bit + significant - 32);
        low ^= lower << trailing;
        high ^= trailing > 0 ? (upper << trailing) | (lower >>> (32 - trailing)) : upper;
      }
      bit += significant;
    }
    words[2 * i] = low;
    words[2 * i + 1] = high;
  }
  if (bit > bitEnd) throw new CorruptionError(where, bitEnd >>> 3, `${count} samples do not fit ${length} bytes`);
  decodedEnd.bits = bit - from * 8;
  decodedEnd.delta = delta;
  decodedEnd.leading = leading;
  decodedEnd.trailing = trailing;
  return end;
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** 32 bits from bit position `bit` on. */
function peek32(view: DataView, bit: number): number {
  const shift = bit & 7;
  const index = bit >>> 3;
  return (view.getInt32(index) << shift) | ((view.getUint8(index + 4) << shift) >>> 8);
}
