/**
 * The open chunk of a series whose samples are histograms, and when it ends: Prometheus's rules
 * (reference/prometheus.md §1.10), so that equal samples give equal chunks. An object per series, unlike floats:
 * a histogram has tens of numbers anyway.
 */
import { CUSTOM_SCHEMA, type Histogram, wordsOf } from "#libs/model/histogram.ts";
import { mergeSpans } from "../chunk/buckets.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { HistogramAppender } from "../chunk/histogram-append.ts";
import { chunkEndTime, rangeEnd } from "./chunk-end.ts";

const TARGET_BYTES = 1024;
const SAMPLES_MIN = 10;

export class OpenHistogram {
  readonly encoding: number;
  #appender: HistogramAppender;
  #mint = 0;
  #maxt = 0;
  #nextAt = 0;
  #endPredicted = false;
  #last: Histogram | undefined;

  constructor(encoding: number) {
    this.encoding = encoding;
    this.#appender = new HistogramAppender(encoding);
  }

  get mint(): number {
    return this.#mint;
  }

  /** The last sample as it was given. */
  get last(): Histogram | undefined {
    return this.#last;
  }

  get count(): number {
    return this.#appender.chunk?.count ?? 0;
  }

  /** The open chunk; valid until the next append. */
  bytes(): Uint8Array {
    return this.#appender.chunk!.bytes();
  }

  /** Appends a sample later than the last. @returns the chunk that ended before it, if one did. */
  append(start: number, time: number, histogram: Histogram, rangeMs: number): Chunk | undefined {
    this.#last = histogram;
    const open = this.#appender.chunk;
    if (open === undefined) {
      this.#append(start, time, histogram, rangeMs);
      return undefined;
    }
    const ended = { mint: this.#mint, maxt: this.#maxt, encoding: this.encoding, data: this.bytes() };
    if (this.#isFull(time, open.count, ended.data.length, rangeMs)) {
      const before = this.#appender;
      this.#appender = new HistogramAppender(this.encoding);
      this.#endPredicted = false;
      this.#append(start, time, histogram, rangeMs, before);
      return ended;
    }
    if (this.#appender.append(start, time, histogram) === "new chunk") {
      // The prediction made for the ended chunk stays: so does Prometheus's.
      this.#begin(time, rangeMs);
      return ended;
    }
    this.#maxt = time;
    return undefined;
  }

  #append(start: number, time: number, histogram: Histogram, rangeMs: number, before?: HistogramAppender): void {
    this.#appender.append(start, time, histogram, before);
    this.#begin(time, rangeMs);
  }

  #begin(time: number, rangeMs: number): void {
    this.#mint = time;
    this.#maxt = time;
    this.#nextAt = rangeEnd(time, rangeMs);
  }

  #isFull(time: number, count: number, bytes: number, rangeMs: number): boolean {
    const hardEnd = this.#endPredicted ? rangeEnd(this.#mint, rangeMs) : this.#nextAt;
    if (!this.#endPredicted && bytes >= TARGET_BYTES / 4) {
      this.#nextAt = chunkEndTime(this.#mint, this.#maxt, this.#nextAt, TARGET_BYTES / bytes);
      this.#endPredicted = true;
    }
    const wanted = time >= this.#nextAt || bytes >= 2 * TARGET_BYTES;
    return wanted && (count >= SAMPLES_MIN || time >= hardEnd);
  }
}

/** Whether two samples are the same; what their hints say does not count. */
export function equalHistograms(a: Histogram, b: Histogram): boolean {
  if (a.isFloat !== b.isFloat || a.schema !== b.schema || a.zeroThreshold !== b.zeroThreshold) return false;
  if (!sameBits(a.sum, b.sum)) return false;
  if (a.isFloat ? !sameBits(a.totals, (b as typeof a).totals) : !sameCounts(a, b as typeof a)) return false;
  if (a.schema === CUSTOM_SCHEMA && !sameBits(a.customValues, b.customValues)) return false;
  const spans = (h: Histogram): string =>
    JSON.stringify([mergeSpans(h.positiveSpans, []), mergeSpans(h.negativeSpans, [])]);
  return spans(a) === spans(b) && sameBits(a.positive, b.positive) && sameBits(a.negative, b.negative);
}

function sameCounts(a: Histogram & { isFloat: false }, b: Histogram & { isFloat: false }): boolean {
  return a.count === b.count && a.zeroCount === b.zeroCount;
}

function sameBits(a: Float64Array | BigInt64Array, b: Float64Array | BigInt64Array): boolean {
  const x = wordsOf(a as Float64Array);
  const y = wordsOf(b as Float64Array);
  return x.length === y.length && x.every((word, i) => word === y[i]);
}
