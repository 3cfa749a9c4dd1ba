/** Where observations lie within a bucket, as far as one can guess. */
import { log2 } from "../go-math.ts";

/**
 * The part of a bucket at or below `value`, which lies inside it: linear in custom and zero buckets, else linear in the
 * logarithm. The bucket has finite bounds.
 */
export function fractionBelow(lower: number, upper: number, value: number, linear: boolean): number {
  if (linear) return (value - lower) / (upper - lower);
  const logLower = log2(Math.abs(lower));
  const logUpper = log2(Math.abs(upper));
  const logValue = log2(Math.abs(value));
  return value > 0 ? (logValue - logLower) / (logUpper - logLower) : 1 - (logValue - logUpper) / (logLower - logUpper);
}
