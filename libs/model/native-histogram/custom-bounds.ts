/** Custom buckets of two histograms with different bounds: both are mapped to the bounds they share. */
import type { Span } from "../histogram.ts";
import { compensate } from "./kahan.ts";
import { compactSide, indicesOf, type Side } from "./layout.ts";

export function sameBounds(a: Float64Array, b: Float64Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The bounds in both, which ascend. */
export function sharedBounds(a: Float64Array, b: Float64Array): Float64Array {
  const shared = new Float64Array(Math.min(a.length, b.length));
  let length = 0;
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i]! === b[j]!) {
      shared[length++] = a[i]!;
      i++;
      j++;
    } else if (a[i]! < b[j]!) i++;
    else j++;
  }
  return shared.slice(0, length);
}

/**
 * The buckets of `a`, and of `b` times `sign`, over bounds that both have, without empty ones. Sums are compensated;
 * compensations of `a` are taken in and new ones come out.
 */
export function mapToBounds(
  bounds: Float64Array,
  a: Side,
  boundsA: Float64Array,
  b: Side,
  boundsB: Float64Array,
  sign: 1 | -1,
): Side {
  const counts = new Float64Array(bounds.length + 1);
  const compensations = new Float64Array(bounds.length + 1);
  const atA = targets(a.spans, boundsA, bounds);
  for (let i = 0; i < atA.length; i++) {
    compensate(counts, compensations, atA[i]!, a.counts[i]!);
    if (a.compensations !== undefined) compensate(counts, compensations, atA[i]!, a.compensations[i]!);
  }
  const atB = targets(b.spans, boundsB, bounds);
  for (let i = 0; i < atB.length; i++) compensate(counts, compensations, atB[i]!, sign * b.counts[i]!);
  return compactSide({ spans: [[0, counts.length]], counts, compensations }, 0);
}

/** For each bucket the one it falls into: the first whose bound is not below its own. */
function targets(spans: readonly Span[], bounds: Float64Array, shared: Float64Array): Int32Array {
  let target = 0;
  return indicesOf(spans).map((index) => {
    if (index >= bounds.length) return shared.length;
    while (target < shared.length && shared[target]! < bounds[index]!) target++;
    return target;
  });
}
