/**
 * One write request against one tenant's head: what is stored, what is refused, and how Prometheus would answer.
 *
 * 1.0: series with invalid labels are dropped in silence (and counted); other refusals answer 400, but unlike
 * Prometheus the good samples of the request are kept. 2.0: every refusal is named, the rest is kept.
 */
import { zstdDecompressSync } from "node:zlib";
import { BadRequestError, LimitError, messageOf } from "#libs/kit/errors.ts";
import { SnappyDecoder } from "#libs/kit/snappy.ts";
import { formatG } from "#libs/model/float.ts";
import type { HistogramSample } from "#libs/model/histogram.ts";
import { reduceResolution, SCHEMA_KNOWN_MAX, SCHEMA_STORED_MAX } from "#libs/model/histogram-reduce.ts";
import { validateHistogram } from "#libs/model/histogram-validate.ts";
import { formatLabels, type Labels, labelValue, METRIC_NAME } from "#libs/model/labels.ts";
import { type Head, type Outcome, OUTCOME } from "#libs/tsdb/head/head.ts";
import { EXEMPLAR_OUTCOME } from "#libs/tsdb/head/exemplars.ts";
import { familyOf } from "#libs/tsdb/head/metric-metadata.ts";
import { METADATA_TYPES } from "#libs/tsdb/wal/records.ts";
import {
  type LabelLimits,
  ParsedWrite,
  parseV1,
  parseV2,
  readExemplar,
  readLabels,
  symbolText,
} from "./remote-write.ts";

export type WriteVersion = 1 | 2;

export interface WriteLimits extends LabelLimits {
  readonly requestBytesMax: number;
  /** Samples after this time, ms, are refused. */
  readonly latestTime: number;
  /** Whether start timestamps are kept. */
  readonly withStarts: boolean;
}

/** Refusals by reason, for the metric. */
export type RefusalReason =
  | "out_of_order"
  | "duplicate"
  | "out_of_bounds"
  | "too_old"
  | "deleted"
  | "too_far_in_future"
  | "labels"
  | "series_limit"
  | "invalid_histogram"
  | "exemplar"
  | "no_samples";

export interface WriteOutcome {
  /** Floats, as 2.0 counts them: late ones behind others of the request among them. */
  readonly samplesStored: number;
  readonly histogramsStored: number;
  readonly refused: ReadonlyMap<RefusalReason, number>;
  /** As 2.0 counts them: those that are not kept because exemplars are off or the same again are among them. */
  readonly exemplarsStored: number;
  /** Messages for the sender, in order; capped. */
  readonly errors: readonly string[];
  readonly isLimit: boolean;
}

const ERRORS_MAX = 10;
/** Further from 1970, ms, a start timestamp is none: chunks have differences of them, which numbers hold exactly up to 2^53. */
const START_MAX = 2 ** 51;
const parsed = new ParsedWrite();
const snappy = new SnappyDecoder();

/** Unpacks a body, valid until the next one. The size it claims is looked at before anything is allocated. */
export function decompress(body: Buffer, encoding: string, bytesMax: number): Buffer {
  if (encoding === "zstd") {
    try {
      return zstdDecompressSync(body, { maxOutputLength: bytesMax });
    } catch (cause) {
      throw new BadRequestError(`zstd: ${messageOf(cause)}`, { cause });
    }
  }
  return snappy.decode(body, bytesMax);
}

/** @throws BadRequestError for a body that is no message: nothing is stored then. UnavailableError when the disk refuses. */
export function applyWrite(head: Head, message: Buffer, version: WriteVersion, limits: WriteLimits): WriteOutcome {
  if (version === 1) parseV1(message, parsed);
  else parseV2(message, parsed);
  head.begin();
  const write = new Application(head, version, limits);
  const body = parsed.body;
  const extra = Buffer.from(parsed.extra.bytes.buffer, 0, parsed.extra.length);
  const bodyView = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const extraView = new DataView(extra.buffer, extra.byteOffset, extra.byteLength);
  let previous = -1;
  let from = 0;
  let histogramFrom = 0;
  let exemplarAt = 0;
  let metadataAt = 0;
  for (let i = 0; i < parsed.seriesCount; i++) {
    const first = from;
    const to = (from = parsed.sampleEnds[i]!);
    const histograms =
      histogramFrom === parsed.histogramEnds[i]
        ? NONE
        : parsed.histograms.slice(histogramFrom, parsed.histogramEnds[i]).map(checkHistogram);
    histogramFrom = parsed.histogramEnds[i]!;
    const inExtra = parsed.inExtra[i] === 1;
    const bytes = inExtra ? extra : body;
    const keyFrom = parsed.keyFrom[i]!;
    const keyTo = parsed.keyTo[i]!;
    const problem = parsed.broken.size === 0 ? undefined : parsed.broken.get(i);
    const isEmpty = to === first && histograms.length === 0;
    let slot =
      problem === undefined && !isEmpty ? head.lookup(inExtra ? extraView : bodyView, keyFrom, keyTo, previous) : -1;
    if (slot < 0) {
      slot = write.newSeries(readLabels(bytes, keyFrom, keyTo, limits), problem, first, to, histograms);
      if (slot < 0) continue;
    }
    previous = slot;
    write.floats(slot, first, to);
    for (const histogram of histograms) write.histogram(slot, histogram);
    if (parsed.exemplars.length > 0) exemplarAt = write.exemplars(slot, i, exemplarAt);
    if (parsed.seriesMetadata.length > 0) metadataAt = write.metadata(slot, i, metadataAt);
  }
  for (const { family, ...entry } of parsed.metadata) head.setMetadata(family, entry);
  head.commit();
  return write.outcome;
}

/** A histogram as it is stored, and what is wrong with it. */
interface CheckedHistogram extends HistogramSample {
  readonly fault: string | undefined;
}

const NONE: readonly CheckedHistogram[] = [];

function checkHistogram({ start, time, histogram }: HistogramSample): CheckedHistogram {
  const fault = validateHistogram(histogram);
  const { schema } = histogram;
  if (fault === undefined || schema <= SCHEMA_STORED_MAX || schema > SCHEMA_KNOWN_MAX)
    return { start, time, histogram, fault };
  // What else is wrong with it shows once the schema is one that is stored.
  const stored = { ...histogram, schema: SCHEMA_STORED_MAX };
  const other = validateHistogram(stored);
  if (other !== undefined) return { start, time, histogram, fault: other };
  return { start, time, histogram: reduceResolution(histogram, SCHEMA_STORED_MAX), fault: undefined };
}

/** A request on its way into the head. */
class Application {
  readonly #head: Head;
  readonly #version: WriteVersion;
  readonly #limits: WriteLimits;
  readonly #refused = new Map<RefusalReason, number>();
  readonly #errors: string[] = [];
  #isLimit = false;
  #samples = 0;
  #histograms = 0;
  #exemplars = 0;

  constructor(head: Head, version: WriteVersion, limits: WriteLimits) {
    this.#head = head;
    this.#version = version;
    this.#limits = limits;
  }

  get outcome(): WriteOutcome {
    return {
      exemplarsStored: this.#exemplars,
      samplesStored: this.#samples,
      histogramsStored: this.#histograms,
      refused: this.#refused,
      errors: this.#errors,
      isLimit: this.#isLimit,
    };
  }

  #refuse(reason: RefusalReason, count: number, text: () => string): void {
    this.#count(reason, count);
    if (this.#errors.length < ERRORS_MAX) this.#errors.push(text());
    else if (this.#errors.length === ERRORS_MAX) this.#errors.push("further errors are left out");
  }

  #count(reason: RefusalReason, count: number): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + count);
  }

  /**
   * The slot of a series that is not known by its bytes, -1 when nothing of it can be stored: then it must not come to
   * exist. `problem`: what the parser said, "" of a series without samples.
   */
  newSeries(
    labels: Labels | { readonly problem: string },
    problem: string | undefined,
    from: number,
    to: number,
    histograms: readonly CheckedHistogram[],
  ): number {
    const isValid = Array.isArray(labels);
    const count = to - from + histograms.length;
    const fault = problem || (isValid ? undefined : (labels as { problem: string }).problem);
    if (problem === "") {
      const text = `TimeSeries must contain at least one sample or histogram for series ${formatLabels(labels as Labels)}`;
      this.#refuse("no_samples", 1, () => fault ?? text);
      return -1;
    }
    if (fault !== undefined) {
      if (this.#version === 2) this.#refuse("labels", Math.max(1, count), () => fault);
      else this.#count("labels", Math.max(1, count));
      return -1;
    }
    const series = labels as Labels;
    if (count === 0) return -1;
    if (!this.#anyAcceptable(from, to, histograms)) {
      const describe = (): Labels => series;
      for (let k = from; k < to; k++) this.#refuseTime(parsed.times[k]!, describe);
      for (const { time, fault: problemOfIt } of histograms) {
        if (problemOfIt === undefined || !this.#isTakenAt(time)) this.#refuseTime(time, describe);
        else this.#refuse("invalid_histogram", 1, () => this.#withSeries(problemOfIt, series));
      }
      return -1;
    }
    try {
      return this.#head.getOrCreate(series);
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      this.#isLimit = true;
      this.#refuse("series_limit", count, () => error.message);
      return -1;
    }
  }

  #isTakenAt(time: number): boolean {
    return this.#isSane(time) && time >= this.#head.lowestTime;
  }

  #isSane(time: number): boolean {
    return time <= this.#limits.latestTime && time >= -Number.MAX_SAFE_INTEGER;
  }

  #anyAcceptable(from: number, to: number, histograms: readonly CheckedHistogram[]): boolean {
    for (let k = from; k < to; k++) if (this.#isTakenAt(parsed.times[k]!)) return true;
    return histograms.some(({ time, fault }) => fault === undefined && this.#isTakenAt(time));
  }

  /** What is kept of a start timestamp, 0: nothing. */
  #kept(start: number): number {
    return this.#version === 2 && this.#limits.withStarts && Math.abs(start) <= START_MAX ? start : 0;
  }

  floats(slot: number, from: number, to: number): void {
    const head = this.#head;
    const { starts } = parsed;
    for (let k = from; k < to; k++) {
      const time = parsed.times[k]!;
      if (!this.#isSane(time)) {
        this.#refuseTime(time, () => head.labels(slot));
        continue;
      }
      const start = starts === undefined ? 0 : this.#kept(starts[k] ?? 0);
      const outcome = head.append(slot, time, parsed.words[2 * k]!, parsed.words[2 * k + 1]!, start);
      if (outcome <= OUTCOME.SAME) this.#samples++;
      else if (this.#isSilent(outcome, slot)) {
        if (this.#version === 2) this.#samples++;
      } else this.#refuseOutcome(outcome, slot, time, () => this.#duplicateText(slot, k));
    }
  }

  #duplicateText(slot: number, k: number): string {
    const existing = this.#head.lastValue(slot);
    const shown = existing === undefined ? "is a histogram" : formatG(existing);
    return `duplicate sample for timestamp ${parsed.times[k]!}; overrides not allowed: existing ${shown}, new value ${formatG(parsed.values[k]!)}`;
  }

  histogram(slot: number, { start, time, histogram, fault }: CheckedHistogram): void {
    const head = this.#head;
    if (!this.#isSane(time)) this.#refuseTime(time, () => head.labels(slot));
    else if (fault !== undefined)
      this.#refuse("invalid_histogram", 1, () => this.#withSeries(fault, head.labels(slot)));
    else {
      const outcome = head.appendHistogram(slot, time, histogram, this.#kept(start));
      if (outcome <= OUTCOME.SAME) this.#histograms++;
      else if (this.#isSilent(outcome, slot)) {
        if (this.#version === 2) this.#histograms++;
      } else this.#refuseOutcome(outcome, slot, time, () => "duplicate sample for timestamp");
    }
  }

  /** Takes the exemplars of series `i` among those from `at` on. @returns where those of the next begin. */
  exemplars(slot: number, i: number, at: number): number {
    const head = this.#head;
    let next = at;
    for (; next < parsed.exemplars.length && parsed.exemplars[next]!.series <= i; next++) {
      const part = parsed.exemplars[next]!;
      if (part.series < i) continue; // of a series that was refused
      const exemplar = readExemplar(part, parsed, this.#version === 2);
      if (typeof exemplar === "string") {
        this.#count("exemplar", 1);
        if (this.#version === 2)
          this.#refuse(
            "exemplar",
            0,
            () => `parsing exemplar for series ${formatLabels(head.labels(slot))}: ${exemplar}`,
          );
        continue;
      }
      if (exemplar.time > this.#limits.latestTime) {
        this.#count("exemplar", 1);
        continue;
      }
      const outcome = head.appendExemplar(slot, exemplar);
      if (outcome === EXEMPLAR_OUTCOME.OUT_OF_ORDER || outcome === EXEMPLAR_OUTCOME.INVALID) {
        this.#count("exemplar", 1);
        // 1.0 answers samples only; labels that are too long are no error in either.
        if (this.#version === 2 && outcome === EXEMPLAR_OUTCOME.OUT_OF_ORDER)
          this.#refuse("exemplar", 0, () => this.#withSeries("out of order exemplar", head.labels(slot)));
      } else this.#exemplars++;
    }
    return next;
  }

  /** As `exemplars`, for metadata of series. */
  metadata(slot: number, i: number, at: number): number {
    let next = at;
    for (; next < parsed.seriesMetadata.length && parsed.seriesMetadata[next]!.series <= i; next++) {
      const { series, type, help, unit } = parsed.seriesMetadata[next]!;
      if (series < i || (type === 0 && help === 0 && unit === 0)) continue;
      const kind = METADATA_TYPES[type] ?? "unknown";
      const text = (ref: number): string => symbolText(parsed.body, parsed.symbols, ref);
      const family = familyOf(labelValue(this.#head.labels(slot), METRIC_NAME), kind);
      this.#head.setMetadata(family, { type: kind, unit: text(unit), help: text(help) });
    }
    return next;
  }

  /** A late sample behind one of the same request: Prometheus drops it without a word. */
  #isSilent(outcome: Outcome, slot: number): boolean {
    if (outcome !== OUTCOME.OUT_OF_ORDER && outcome !== OUTCOME.DUPLICATE) return false;
    if (!this.#head.isInCommit(slot)) return false;
    this.#count("out_of_order", 1);
    return true;
  }

  #refuseOutcome(outcome: Outcome, slot: number, time: number, duplicate: () => string): void {
    const labels = (): Labels => this.#head.labels(slot);
    if (outcome === OUTCOME.OUT_OF_BOUNDS) this.#refuseTime(time, labels);
    else if (outcome === OUTCOME.TOO_OLD)
      this.#refuse("too_old", 1, () => this.#withSeries("too old sample", labels()));
    else if (outcome === OUTCOME.DELETED)
      this.#refuse("deleted", 1, () =>
        this.#withSeries("late sample of a time that was deleted: it would be deleted with it", labels()),
      );
    else if (outcome === OUTCOME.OUT_OF_ORDER)
      this.#refuse("out_of_order", 1, () => this.#withSeries("out of order sample", labels()));
    else this.#refuse("duplicate", 1, () => this.#withSeries(duplicate(), labels()));
  }

  /** A time that cannot be stored, whatever the series. */
  #refuseTime(time: number, labels: () => Labels): void {
    const isFuture = time > this.#limits.latestTime;
    const reason = isFuture ? "too_far_in_future" : this.#head.takesLate ? "too_old" : "out_of_bounds";
    const text = isFuture
      ? "out of bounds: timestamp is too far in the future"
      : reason === "too_old"
        ? "too old sample"
        : "out of bounds";
    this.#refuse(reason, 1, () => this.#withSeries(text, labels()));
  }

  #withSeries(text: string, labels: Labels): string {
    return this.#version === 1 ? text : `${text} for series ${formatLabels(labels)}`;
  }
}
