/**
 * Functions of Go's package math that V8's Math lacks or answers with another last digit. Algorithms and constants are
 * FreeBSD's e_log.c and e_exp.c, in the order in which Go (amd64) does the operations.
 */

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

const LN2_HI = 6.9314718036912381649e-1;
const LN2_LO = 1.90821492927058770002e-10;

/** 2^exponent for exponents of normal floats: -1022 to 1023. */
function powerOf2(exponent: number): number {
  words[0] = 0;
  words[1] = (exponent + 1023) << 20;
  return float[0]!;
}

/** fraction × 2^exponent, rounded once. `fraction` is finite and of a magnitude in [0.5, 2), or 0. */
export function ldexp(fraction: number, exponent: number): number {
  if (exponent > 1023) return fraction * powerOf2(1023) * powerOf2(Math.min(exponent - 1023, 1023));
  if (exponent >= -1022) return fraction * powerOf2(exponent);
  // The first product is exact where the second is not 0.
  return fraction * powerOf2(Math.max(exponent + 1022, -1022)) * powerOf2(-1022);
}

/** Go's math.Log2: of a power of two exact. */
export function log2(x: number): number {
  if (!(x > 0) || x === Infinity) return x === 0 ? -Infinity : x > 0 ? x : NaN;
  float[0] = x;
  let exponent = (words[1]! >>> 20) - 1022;
  if (exponent === -1022) {
    float[0] = x * 2 ** 52;
    exponent = (words[1]! >>> 20) - 1022 - 52;
  }
  words[1] = (words[1]! & 0xfffff) | (1022 << 20);
  const fraction = float[0];
  return fraction === 0.5 ? exponent - 1 : naturalLog(fraction) * Math.LOG2E + exponent;
}

/** ln of x in [0.5, 1). */
function naturalLog(x: number): number {
  const halve = x <= Math.SQRT1_2;
  const k = halve ? -1 : 0;
  const f = (halve ? x * 2 : x) - 1;
  const s = f / (2 + f);
  const s2 = s * s;
  const s4 = s2 * s2;
  const odd =
    s2 *
    (6.66666666666673513e-1 +
      s4 * (2.857142874366239149e-1 + s4 * (1.818357216161805012e-1 + s4 * 1.479819860511658591e-1)));
  const even = s4 * (3.999999999940941908e-1 + s4 * (2.222219843214978396e-1 + s4 * 1.531383769920937332e-1));
  const half = 0.5 * f * f;
  return k * LN2_HI - (half - (s * (half + (odd + even)) + k * LN2_LO) - f);
}

/** Go's math.Exp2. */
export function exp2(x: number): number {
  if (Number.isNaN(x)) return NaN;
  if (x > 1023.9999999999999) return Infinity;
  if (x < -1074) return 0;
  const k = Math.trunc(x > 0 ? x + 0.5 : x - 0.5);
  const t = x - k;
  const high = t * LN2_HI;
  const low = -t * LN2_LO;
  const r = high - low;
  const r2 = r * r;
  const c =
    r -
    r2 *
      (1.66666666666666657415e-1 +
        r2 *
          (-2.77777777770155933842e-3 +
            r2 * (6.61375632143793436117e-5 + r2 * (-1.6533902205465251539e-6 + r2 * 4.13813679705723846039e-8))));
  return ldexp(1 - (low - (r * c) / (2 - c) - high), k);
}
