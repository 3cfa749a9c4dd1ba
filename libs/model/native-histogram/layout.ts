/**
 * Spans say which buckets of one side there are. Two layouts are walked together in stretches, so what is done to counts
 * is done in plain loops. Nothing here writes to what it was given.
 */
import { bucketCount, NO_BOUNDS, NO_SPANS, type Span } from "../histogram.ts";
import { compensate } from "./kahan.ts";

/** One side of a histogram; beside counts of a Kahan sum what was lost of each. */
export interface Side {
  readonly spans: readonly Span[];
  readonly counts: Float64Array;
  readonly compensations: Float64Array | undefined;
}

export function sameSpans(a: readonly Span[], b: readonly Span[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i]![0] !== b[i]![0] || a[i]![1] !== b[i]![1]) return false;
  return true;
}

/** A position among the buckets of spans, which moves by what is asked for, either way. */
export class BucketCursor {
  readonly #spans: readonly Span[];
  #span = 0;
  /** Position and index of the first bucket of the span. */
  #at = 0;
  #index: number;

  constructor(spans: readonly Span[]) {
    this.#spans = spans;
    this.#index = spans[0]?.[0] ?? 0;
  }

  /** The index of bucket `at` of those there are. */
  indexOf(at: number): number {
    const spans = this.#spans;
    while (at >= this.#at + spans[this.#span]![1] && this.#span + 1 < spans.length) {
      this.#at += spans[this.#span]![1];
      this.#index += spans[this.#span]![1] + spans[++this.#span]![0];
    }
    while (at < this.#at) {
      const [gap] = spans[this.#span]!;
      this.#at -= spans[--this.#span]![1];
      this.#index -= gap + spans[this.#span]![1];
    }
    return this.#index + at - this.#at;
  }
}

/** Buckets that follow on each other and are all in `a`, in `b` or in both: from position `i` or `j`, -1 in neither. */
export interface Stretch {
  readonly index: number;
  readonly length: number;
  readonly i: number;
  readonly j: number;
  /** Begins with a span of `a`. */
  readonly beginsSpan: boolean;
}

/** All buckets of `a` and, without the `skip` lowest, of `b`, ascending. */
export function stretchesOf(a: readonly Span[], b: readonly Span[], skip: number): Stretch[] {
  const stretches: Stretch[] = [];
  const inA = new Walk(a);
  const inB = new Walk(b);
  while (inB.at < skip && inB.left > 0) inB.take(Math.min(inB.left, skip - inB.at));
  while (inA.left > 0 || inB.left > 0) {
    // How far the one is behind the other.
    const ahead = inA.left === 0 ? -Infinity : inB.left === 0 ? Infinity : inB.index - inA.index;
    const length = Math.min(
      ahead >= 0 ? inA.left : Infinity,
      ahead <= 0 ? inB.left : Infinity,
      ahead === 0 ? Infinity : Math.abs(ahead),
    );
    stretches.push({
      index: ahead >= 0 ? inA.index : inB.index,
      length,
      i: ahead >= 0 ? inA.at : -1,
      j: ahead <= 0 ? inB.at : -1,
      beginsSpan: ahead >= 0 && inA.beginsSpan,
    });
    if (ahead >= 0) inA.take(length);
    if (ahead <= 0) inB.take(length);
  }
  return stretches;
}

/** Goes over spans: `left` buckets of one are ahead, from bucket `index`, which is the `at`th; 0 at the end. */
class Walk {
  index = 0;
  at = 0;
  left = 0;
  beginsSpan = false;
  readonly #spans: readonly Span[];
  #next = 0;

  constructor(spans: readonly Span[]) {
    this.#spans = spans;
    this.take(0);
  }

  take(count: number): void {
    this.index += count;
    this.at += count;
    this.left -= count;
    this.beginsSpan = false;
    while (this.left === 0 && this.#next < this.#spans.length) {
      const [offset, length] = this.#spans[this.#next++]!;
      this.index += offset;
      this.left = length;
      this.beginsSpan = true;
    }
  }
}

export function lengthOf(stretches: readonly Stretch[]): number {
  return stretches.reduce((sum, { length }) => sum + length, 0);
}

/** Spans that hold all stretches. Those of `a` stay apart, as in Prometheus, so that sums have its layouts. */
export function spansOf(stretches: readonly Stretch[]): readonly Span[] {
  const list = new SpanList();
  // The last bucket is alone and not in `a`: only such a one is joined by a span of `a` above it.
  let lone = false;
  for (const { index, length, i, beginsSpan } of stretches) {
    const joined = list.add(index, length, beginsSpan && !lone);
    lone = i < 0 && length === 1 && !joined;
  }
  return list.spans;
}

/** Collects spans, ascending. */
class SpanList {
  readonly spans: [offset: number, length: number][] = [];
  #next = 0;

  /** Directly above the last bucket, unless they are to be `apart`, buckets join its span. @returns whether they did. */
  add(index: number, length: number, apart: boolean): boolean {
    const joins = this.spans.length > 0 && index === this.#next && !apart;
    if (joins) this.spans.at(-1)![1] += length;
    else this.spans.push([index - this.#next, length]);
    this.#next = index + length;
    return joins;
  }
}

/**
 * The side in a schema lower by `steps`. Counts that meet are added up in order, compensated if there are compensations.
 */
export function reduceSide(side: Side, steps: number): Side {
  const { spans, counts, compensations } = side;
  const list = new SpanList();
  const sums = new Float64Array(counts.length);
  const lost = compensations && new Float64Array(counts.length);
  let length = 0;
  let last: number | undefined;
  let index = 0;
  let i = 0;
  for (const [offset, spanLength] of spans) {
    index += offset;
    for (const end = i + spanLength; i < end; i++, index++) {
      const target = ((index - 1) >> steps) + 1;
      if (target !== last) {
        list.add(target, 1, false);
        last = target;
        sums[length] = counts[i]!;
        if (lost !== undefined) lost[length] = compensations![i]!;
        length++;
      } else if (lost === undefined) {
        sums[length - 1]! += counts[i]!;
      } else {
        compensate(sums, lost, length - 1, counts[i]!);
        compensate(sums, lost, length - 1, compensations![i]!);
      }
    }
  }
  return { spans: list.spans, counts: sums.subarray(0, length), compensations: lost?.subarray(0, length) };
}

/**
 * The side without empty buckets and with as few spans as hold the rest; the `cleared` lowest count as empty. A bucket
 * with a compensation is not empty. The side itself if there is nothing to do.
 */
export function compactSide(side: Side, cleared: number): Side {
  const { spans, counts, compensations } = side;
  let populated = 0;
  for (let i = cleared; i < counts.length; i++) if (!isEmpty(side, i)) populated++;
  if (populated === counts.length && !spans.some(([offset, length], i) => length === 0 || (i > 0 && offset === 0))) {
    return side;
  }
  if (populated === 0) return { spans: NO_SPANS, counts: NO_BOUNDS, compensations: compensations && NO_BOUNDS };
  const list = new SpanList();
  const kept = new Float64Array(populated);
  const keptLost = compensations && new Float64Array(populated);
  let at = 0;
  let index = 0;
  let i = 0;
  for (const [offset, spanLength] of spans) {
    index += offset;
    for (const end = i + spanLength; i < end; i++, index++) {
      if (i < cleared || isEmpty(side, i)) continue;
      list.add(index, 1, false);
      if (keptLost !== undefined) keptLost[at] = compensations![i]!;
      kept[at++] = counts[i]!;
    }
  }
  return { spans: list.spans, counts: kept, compensations: keptLost };
}

function isEmpty({ counts, compensations }: Side, i: number): boolean {
  return counts[i] === 0 && (compensations === undefined || compensations[i] === 0);
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
