/** A stored histogram of a finer schema than Prometheus keeps, with its buckets joined two by two. */
import { type Histogram, type Span } from "./histogram.ts";

/** The finest schema that is stored; up to 52 is known and reduced to it. */
export const SCHEMA_STORED_MAX = 8;
export const SCHEMA_KNOWN_MAX = 52;

/** The histogram in `schema`, which is coarser; there are as many counts as the spans say. */
export function reduceResolution(h: Histogram, schema: number): Histogram {
  const steps = h.schema - schema;
  if (h.isFloat) {
    const positive = join(h.positiveSpans, steps, (i, sum: number) => sum + h.positive[i]!, 0);
    const negative = join(h.negativeSpans, steps, (i, sum: number) => sum + h.negative[i]!, 0);
    return {
      ...h,
      schema,
      positiveSpans: positive.spans,
      negativeSpans: negative.spans,
      positive: Float64Array.from(positive.counts),
      negative: Float64Array.from(negative.counts),
    };
  }
  const positive = join(h.positiveSpans, steps, (i, sum: bigint) => sum + h.positive[i]!, 0n);
  const negative = join(h.negativeSpans, steps, (i, sum: bigint) => sum + h.negative[i]!, 0n);
  return {
    ...h,
    schema,
    positiveSpans: positive.spans,
    negativeSpans: negative.spans,
    positive: BigInt64Array.from(positive.counts),
    negative: BigInt64Array.from(negative.counts),
  };
}

function join<T>(
  spans: readonly Span[],
  steps: number,
  add: (i: number, sum: T) => T,
  zero: T,
): { spans: Span[]; counts: T[] } {
  const joined: [number, number][] = [];
  const counts: T[] = [];
  let index = 0;
  let i = 0;
  let last: number | undefined;
  let end = 0;
  for (const [offset, length] of spans) {
    index += offset;
    for (let k = 0; k < length; k++, index++, i++) {
      // The bucket that holds (2^((index-1)/2^schema), 2^(index/2^schema)].
      const target = Math.floor((index - 1) / 2 ** steps) + 1;
      if (target !== last) {
        const span = joined.at(-1);
        if (span !== undefined && target === end) span[1]++;
        else joined.push([target - end, 1]);
        counts.push(zero);
        last = target;
        end = target + 1;
      }
      counts[counts.length - 1] = add(i, counts.at(-1)!);
    }
  }
  return { spans: joined, counts };
}
