/**
 * Spans say which buckets of one side there are; what is done to a layout is done to counts through positions: a new
 * layout comes with the place of each old bucket in it, and what happens to counts that meet there is the caller's.
 * Counts may have compensations of a Kahan sum beside them, as many. Nothing here writes to what it was given.
 */
import { bucketCount, NO_BOUNDS, NO_SPANS, type Span } from "../histogram.ts";
import { compensate } from "./kahan.ts";

/** One side of a histogram. */
export interface Side {
  readonly spans: readonly Span[];
  readonly counts: Float64Array;
  readonly compensations: Float64Array | undefined;
}

/** The index of each bucket, ascending. */
export function indicesOf(spans: readonly Span[]): Int32Array {
  const indices = new Int32Array(bucketCount(spans));
  let index = 0;
  let at = 0;
  for (const [offset, length] of spans) {
    index += offset;
    for (let i = 0; i < length; i++) indices[at++] = index++;
  }
  return indices;
}

export function sameSpans(a: readonly Span[], b: readonly Span[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i]![0] !== b[i]![0] || a[i]![1] !== b[i]![1]) return false;
  return true;
}

/** Collects spans bucket by bucket. */
class SpanList {
  readonly spans: [offset: number, length: number][] = [];
  #next = 0;

  /** Adds a bucket above the last one; directly above, it joins that one's span unless `apart`. */
  add(index: number, apart: boolean): void {
    if (this.spans.length > 0 && index === this.#next && !apart) this.spans.at(-1)![1]++;
    else this.spans.push([index - this.#next, 1]);
    this.#next = index + 1;
  }
}

/** `at[i]`: where old bucket `i` is in `spans`; `length` buckets in all. */
export interface Union {
  readonly spans: readonly Span[];
  readonly length: number;
  readonly atA: Int32Array;
  readonly atB: Int32Array;
}

/**
 * The buckets of `a` and of `b`, of `b` without the `skipB` lowest. `spans` are those of `a` themselves if that has
 * them all. Spans of `a` stay apart, as in Prometheus, so the layouts of sums are equal to its.
 */
export function unionOf(a: readonly Span[], b: readonly Span[], skipB: number): Union {
  const indicesA = indicesOf(a);
  const indicesB = indicesOf(b);
  const atA = new Int32Array(indicesA.length);
  const atB = new Int32Array(indicesB.length);
  const starts = spanStarts(a, indicesA.length);
  const list = new SpanList();
  let length = 0;
  // The last bucket is a span of its own that `a` does not have: the only one a span of `a` is joined to.
  let lone = false;
  let i = 0;
  let j = skipB;
  while (i < indicesA.length || j < indicesB.length) {
    const index = Math.min(indicesA[i] ?? Infinity, indicesB[j] ?? Infinity);
    if (index === indicesA[i]) {
      list.add(index, starts[i] === 1 && !lone);
      lone = false;
      if (index === indicesB[j]) atB[j++] = length;
      atA[i++] = length++;
    } else {
      const spanCount = list.spans.length;
      list.add(index, false);
      lone = list.spans.length > spanCount;
      atB[j++] = length++;
    }
  }
  return { spans: length === indicesA.length ? a : list.spans, length, atA, atB };
}

/** Marks the buckets that begin a span. */
function spanStarts(spans: readonly Span[], length: number): Uint8Array {
  const starts = new Uint8Array(length);
  let at = 0;
  for (const [, spanLength] of spans) {
    if (spanLength > 0) starts[at] = 1;
    at += spanLength;
  }
  return starts;
}

/**
 * The side in a schema lower by `steps`: counts that meet are added up in order, compensated if there are
 * compensations.
 */
export function reduceSide(side: Side, steps: number): Side {
  const indices = indicesOf(side.spans);
  const list = new SpanList();
  const counts = new Float64Array(indices.length);
  const compensations = side.compensations && new Float64Array(indices.length);
  let length = 0;
  let last: number | undefined;
  for (let i = 0; i < indices.length; i++) {
    const index = ((indices[i]! - 1) >> steps) + 1;
    if (index !== last) {
      list.add(index, false);
      last = index;
      counts[length] = side.counts[i]!;
      if (compensations !== undefined) compensations[length] = side.compensations![i]!;
      length++;
    } else if (compensations === undefined) {
      counts[length - 1]! += side.counts[i]!;
    } else {
      compensate(counts, compensations, length - 1, side.counts[i]!);
      compensate(counts, compensations, length - 1, side.compensations![i]!);
    }
  }
  return {
    spans: list.spans,
    counts: counts.subarray(0, length),
    compensations: compensations?.subarray(0, length),
  };
}

/**
 * The side without empty buckets and with as few spans as hold the rest; the `cleared` lowest count as empty. A bucket
 * with a compensation is not empty. The side itself if there is nothing to do.
 */
export function compactSide(side: Side, cleared: number): Side {
  const { spans, counts, compensations } = side;
  if (cleared === 0 && isCompact(side)) return side;
  const indices = indicesOf(spans);
  const list = new SpanList();
  const kept = new Float64Array(counts.length);
  const keptCompensations = compensations && new Float64Array(counts.length);
  let length = 0;
  for (let i = cleared; i < indices.length; i++) {
    if (counts[i] === 0 && (compensations === undefined || compensations[i] === 0)) continue;
    list.add(indices[i]!, false);
    if (keptCompensations !== undefined) keptCompensations[length] = compensations![i]!;
    kept[length++] = counts[i]!;
  }
  if (length === 0) {
    return { spans: NO_SPANS, counts: NO_BOUNDS, compensations: compensations && new Float64Array(0) };
  }
  return {
    spans: list.spans,
    counts: kept.subarray(0, length),
    compensations: keptCompensations?.subarray(0, length),
  };
}

function isCompact({ spans, counts, compensations }: Side): boolean {
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] === 0 && (compensations === undefined || compensations[i] === 0)) return false;
  }
  for (let i = 0; i < spans.length; i++) if (spans[i]![1] === 0 || (i > 0 && spans[i]![0] === 0)) return false;
  return true;
}
