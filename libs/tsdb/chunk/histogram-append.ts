/**
 * Appends histograms to the chunk of a series and decides, as Prometheus does (reference/prometheus.md §1.5), whether
 * the chunk goes on, is written anew with more buckets, or ends.
 *
 *   counters: end at resets, at data behind a stale marker, and when schema, zero threshold or bounds change
 *   gauges:   the same but for resets; a chunk holds either counters or gauges
 *   buckets the sample adds widen the chunk, empty buckets it lacks widen the sample
 */
import {
  CUSTOM_SCHEMA,
  type Histogram,
  isStaleHistogram,
  RESET_HINT,
  type ResetHint,
  type Span,
  wordsOf,
} from "#libs/model/histogram.ts";
import { type BucketComparison, compareBuckets, mergeSpans, moveCounts } from "./buckets.ts";
import { readHistograms } from "./histogram-decode.ts";
import { HistogramChunk } from "./histogram-encode.ts";
import { EMPTY_LAYOUT, type HistogramLayout } from "./histogram-layout.ts";

export type AppendOutcome = "appended" | "recoded" | "new chunk";

export class HistogramAppender {
  readonly #encoding: number;
  #chunk: HistogramChunk | undefined;
  /** The last sample, with the buckets of its chunk. */
  #last: Histogram | undefined;

  constructor(encoding: number) {
    this.#encoding = encoding;
  }

  /** The open chunk, undefined before the first append. Another one after "recoded" and "new chunk". */
  get chunk(): HistogramChunk | undefined {
    return this.#chunk;
  }

  /**
   * Appends a sample; `start` 0 is unknown. Times ascend; there are as many counts as the spans say. After "new chunk"
   * the chunk that was open before is whole: the caller has kept it. `before` is the appender of the series' chunk
   * before, if there is one: it tells whether a first sample is a reset.
   */
  append(start: number, time: number, histogram: Histogram, before?: HistogramAppender): AppendOutcome {
    const chunk = this.#chunk;
    if (chunk === undefined) {
      this.#open(start, time, histogram, firstHint(histogram, before));
      return "appended";
    }
    const decision = this.#decide(histogram);
    if (!decision.goesOn || chunk.count === chunk.countMax) {
      this.#open(
        start,
        time,
        histogram,
        histogram.counterResetHint === RESET_HINT.GAUGE ? RESET_HINT.GAUGE : decision.hint,
      );
      return "new chunk";
    }
    if (decision.layout === undefined) {
      this.#put(chunk, start, time, histogram);
      return "appended";
    }
    const wider = new HistogramChunk(this.#encoding, chunk.hint, decision.layout);
    const bytes = chunk.bytes();
    for (const sample of readHistograms(this.#encoding, bytes, 0, bytes.length, "chunk to widen")) {
      wider.append(sample.start, sample.time, layOut(sample.histogram, decision.layout));
    }
    this.#chunk = wider;
    this.#put(wider, start, time, histogram);
    return "recoded";
  }

  /** What a counter sample says of the counter since the last one of this appender. */
  hintFor(histogram: Histogram): ResetHint {
    return this.#decide(histogram).hint;
  }

  #open(start: number, time: number, histogram: Histogram, hint: ResetHint): void {
    const layout = isStaleHistogram(histogram) ? EMPTY_LAYOUT : layoutOf(histogram);
    this.#chunk = new HistogramChunk(this.#encoding, hint, layout);
    this.#put(this.#chunk, start, time, histogram);
  }

  #put(chunk: HistogramChunk, start: number, time: number, histogram: Histogram): void {
    const laidOut = layOut(histogram, chunk.layout);
    chunk.append(start, time, laidOut);
    this.#last = laidOut;
  }

  #decide(histogram: Histogram): Decision {
    const chunk = this.#chunk;
    const last = this.#last;
    if (chunk === undefined || last === undefined) return { goesOn: true, hint: RESET_HINT.UNKNOWN };
    const gauge = histogram.counterResetHint === RESET_HINT.GAUGE;
    if (chunk.hint === RESET_HINT.GAUGE && !gauge) return histogram.isFloat ? ENDS : GAUGE_ENDS;
    if (gauge && chunk.hint !== RESET_HINT.GAUGE) return ENDS;
    if (histogram.counterResetHint === RESET_HINT.RESET) return RESETS;
    if (isStaleHistogram(histogram)) return GOES_ON;
    if (isStaleHistogram(last)) return ENDS;
    return gauge ? decideGauge(chunk.layout, last, histogram) : decideCounter(chunk.layout, last, histogram);
  }
}

interface Decision {
  readonly goesOn: boolean;
  /** Of the next chunk if this one ends. */
  readonly hint: ResetHint;
  /** What the chunk is to be written anew with. */
  readonly layout?: HistogramLayout;
}

const GOES_ON: Decision = { goesOn: true, hint: RESET_HINT.NOT_RESET };
const RESETS: Decision = { goesOn: false, hint: RESET_HINT.RESET };
const ENDS: Decision = { goesOn: false, hint: RESET_HINT.UNKNOWN };
/** A counter of integers behind a gauge. */
const GAUGE_ENDS: Decision = { goesOn: false, hint: RESET_HINT.NOT_RESET };

function firstHint(histogram: Histogram, before: HistogramAppender | undefined): ResetHint {
  const hint = histogram.counterResetHint;
  if (hint === RESET_HINT.GAUGE || hint === RESET_HINT.RESET) return hint;
  // Integers and floats say nothing about each other.
  if (before?.chunk === undefined || before.chunk.isFloat !== histogram.isFloat) return RESET_HINT.UNKNOWN;
  const known = before.hintFor(histogram);
  // Of floats Prometheus asks for resets only: whatever else ended the chunk before, the next one says there was none.
  return histogram.isFloat && known === RESET_HINT.UNKNOWN ? RESET_HINT.NOT_RESET : known;
}

function decideCounter(layout: HistogramLayout, last: Histogram, next: Histogram): Decision {
  const [count, zeroCount] = totalsOf(next);
  const [lastCount, lastZeroCount] = totalsOf(last);
  if (count < lastCount) return RESETS;
  if (!sameScale(layout, next)) return ENDS;
  if (!sameBounds(layout, next)) return RESETS;
  // Only now: zero counts of different thresholds say nothing about each other.
  if (zeroCount < lastZeroCount) return RESETS;
  const { positive, negative } = compare(layout, last, next);
  if (positive.reset || negative.reset) return RESETS;
  if (!positive.added && !negative.added) return GOES_ON;
  const positiveSpans = widened(layout.positiveSpans, next.positiveSpans, positive);
  const negativeSpans = widened(layout.negativeSpans, next.negativeSpans, negative);
  return { ...GOES_ON, layout: { ...layout, positiveSpans, negativeSpans } };
}

function decideGauge(layout: HistogramLayout, last: Histogram, next: Histogram): Decision {
  if (!sameScale(layout, next) || !sameBounds(layout, next)) return ENDS;
  const { positive, negative } = compare(layout, last, next);
  if (!positive.added && !negative.added) return GOES_ON;
  const missing = positive.missing || negative.missing;
  const positiveSpans = missing ? mergeSpans(layout.positiveSpans, next.positiveSpans) : next.positiveSpans;
  const negativeSpans = missing ? mergeSpans(layout.negativeSpans, next.negativeSpans) : next.negativeSpans;
  return { ...GOES_ON, layout: { ...layout, positiveSpans, negativeSpans } };
}

/** The sample's own spans, however they are cut, where they name every bucket of the chunk. */
function widened(chunk: readonly Span[], sample: readonly Span[], { missing }: BucketComparison): readonly Span[] {
  return missing ? mergeSpans(chunk, sample) : sample;
}

function compare(
  layout: HistogramLayout,
  last: Histogram,
  next: Histogram,
): { positive: BucketComparison; negative: BucketComparison } {
  return {
    positive: compareBuckets(layout.positiveSpans, last.positive, next.positiveSpans, next.positive),
    negative: compareBuckets(layout.negativeSpans, last.negative, next.negativeSpans, next.negative),
  };
}

function totalsOf(histogram: Histogram): [number | bigint, number | bigint] {
  if (histogram.isFloat) return [histogram.totals[0]!, histogram.totals[1]!];
  return [histogram.count, histogram.zeroCount];
}

function sameScale(layout: HistogramLayout, { schema, zeroThreshold }: Histogram): boolean {
  return layout.schema === schema && layout.zeroThreshold === zeroThreshold;
}

function sameBounds(layout: HistogramLayout, { schema, customValues }: Histogram): boolean {
  if (schema !== CUSTOM_SCHEMA) return true;
  const words = wordsOf(customValues);
  const expected = wordsOf(layout.customValues);
  return words.length === expected.length && words.every((word, i) => word === expected[i]);
}

function layoutOf(histogram: Histogram): HistogramLayout {
  const { schema, zeroThreshold, positiveSpans, negativeSpans, customValues } = histogram;
  return { schema, zeroThreshold, positiveSpans, negativeSpans, customValues };
}

/** The histogram with the buckets of the layout, which names all of its own. A stale marker is left as it is. */
function layOut(histogram: Histogram, { positiveSpans, negativeSpans }: HistogramLayout): Histogram {
  if (isStaleHistogram(histogram)) return histogram;
  const spans = { positiveSpans, negativeSpans };
  if (histogram.isFloat) {
    const positive = moveCounts(histogram.positiveSpans, histogram.positive, positiveSpans);
    const negative = moveCounts(histogram.negativeSpans, histogram.negative, negativeSpans);
    return { ...histogram, ...spans, positive, negative };
  }
  const positive = moveCounts(histogram.positiveSpans, histogram.positive, positiveSpans);
  const negative = moveCounts(histogram.negativeSpans, histogram.negative, negativeSpans);
  return { ...histogram, ...spans, positive, negative };
}
