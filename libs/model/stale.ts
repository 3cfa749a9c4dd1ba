/**
 * The stale marker: bits 0x7ff0000000000002, a signalling NaN. It survives in typed arrays only, so it is tested
 * on the two 32-bit words of a value, never on the number. Machines we run on are little-endian.
 */
export const STALE_HI = 0x7ff00000;
export const STALE_LO = 2;

/** `words` is the Int32Array or Uint32Array over a Float64Array of values; `i` the index of the value. */
export function isStale(words: Int32Array | Uint32Array, i: number): boolean {
  return words[2 * i] === STALE_LO && words[2 * i + 1] === STALE_HI;
}

export function setStale(words: Int32Array | Uint32Array, i: number): void {
  words[2 * i] = STALE_LO;
  words[2 * i + 1] = STALE_HI;
}

/** Prometheus's ordinary NaN has another payload (…01) than V8's (…00). */
export const NORMAL_NAN_LO = 1;
export const NORMAL_NAN_HI = 0x7ff80000;
