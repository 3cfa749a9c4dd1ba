/**
 * One write request against one tenant's head: what is stored, what is refused, and how Prometheus would answer.
 *
 * 1.0: series with invalid labels are dropped in silence (and counted); other refusals answer 400, but unlike
 * Prometheus the good samples of the request are kept. 2.0: every refusal is named, the rest is kept.
 */
import { zstdDecompressSync } from "node:zlib";
import { BadRequestError, LimitError, messageOf } from "#libs/kit/errors.ts";
import { SnappyDecoder } from "#libs/kit/snappy.ts";
import { formatValue } from "#libs/model/float.ts";
import { formatLabels, type Labels } from "#libs/model/labels.ts";
import { type Head, OUTCOME } from "#libs/tsdb/head/head.ts";
import { type LabelLimits, type MetadataEntry, ParsedWrite, parseV1, parseV2, readLabels } from "./remote-write.ts";

export type WriteVersion = 1 | 2;

export interface WriteLimits extends LabelLimits {
  readonly requestBytesMax: number;
  /** Samples after this time, ms, are refused. */
  readonly latestTime: number;
}

/** Refusals by reason, for the metric. */
export type RefusalReason =
  | "out_of_order"
  | "duplicate"
  | "out_of_bounds"
  | "too_far_in_future"
  | "labels"
  | "series_limit"
  | "native_histogram"
  | "no_samples";

export interface WriteOutcome {
  readonly samplesStored: number;
  readonly refused: ReadonlyMap<RefusalReason, number>;
  readonly exemplarsDropped: number;
  /** Messages for the sender, in order; capped. */
  readonly errors: readonly string[];
  readonly isLimit: boolean;
  readonly metadata: readonly MetadataEntry[];
}

const ERRORS_MAX = 10;
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
  const refused = new Map<RefusalReason, number>();
  const errors: string[] = [];
  let isLimit = false;
  let stored = 0;
  const refuse = (reason: RefusalReason, count: number, text: () => string): void => {
    if (count === 0) return;
    refused.set(reason, (refused.get(reason) ?? 0) + count);
    if (errors.length < ERRORS_MAX) errors.push(text());
    else if (errors.length === ERRORS_MAX) errors.push("further errors are left out");
  };
  const body = parsed.body;
  const extra = Buffer.from(parsed.extra.bytes.buffer, 0, parsed.extra.length);
  const bodyView = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const extraView = new DataView(extra.buffer, extra.byteOffset, extra.byteLength);
  let previous = -1;
  let from = 0;
  for (let i = 0; i < parsed.seriesCount; i++) {
    const to = parsed.sampleEnds[i]!;
    const samples = to - from;
    const first = from;
    from = to;
    const histograms = parsed.histograms[i]!;
    const inExtra = parsed.inExtra[i] === 1;
    const bytes = inExtra ? extra : body;
    const keyFrom = parsed.keyFrom[i]!;
    const keyTo = parsed.keyTo[i]!;
    let problem = parsed.broken.size === 0 ? undefined : parsed.broken.get(i);
    // A series of which nothing is stored must not come to exist.
    let slot =
      problem === undefined && samples > 0
        ? head.lookup(bytes, inExtra ? extraView : bodyView, keyFrom, keyTo, previous)
        : -1;
    if (slot < 0 || histograms > 0) {
      const labels = readLabels(bytes, keyFrom, keyTo, limits);
      const valid = Array.isArray(labels);
      if (problem === undefined && !valid) problem = (labels as { problem: string }).problem;
      if (problem === "") {
        problem = valid
          ? `TimeSeries must contain at least one sample or histogram for series ${formatLabels(labels as Labels)}`
          : (labels as { problem: string }).problem;
        refuse("no_samples", 1, () => problem!);
        continue;
      }
      if (problem !== undefined) {
        if (version === 2) refuse("labels", Math.max(1, samples + histograms), () => problem!);
        else refused.set("labels", (refused.get("labels") ?? 0) + Math.max(1, samples + histograms));
        continue;
      }
      refuse(
        "native_histogram",
        histograms,
        () =>
          `native histograms are not supported yet, ${histograms} refused for series ${formatLabels(labels as Labels)}`,
      );
      if (samples === 0) continue;
      if (slot < 0) {
        if (!anyAcceptable(head, first, to, limits.latestTime)) {
          refuseNew(labels as Labels, first, to, version, limits.latestTime, refuse);
          continue;
        }
        try {
          slot = head.getOrCreate(labels as Labels);
        } catch (error) {
          if (!(error instanceof LimitError)) throw error;
          isLimit = true;
          refuse("series_limit", samples, () => error.message);
          continue;
        }
      }
    }
    previous = slot;
    for (let k = first; k < to; k++) {
      const time = parsed.times[k]!;
      if (!(time <= limits.latestTime && time >= -Number.MAX_SAFE_INTEGER)) {
        refuse(time > 0 ? "too_far_in_future" : "out_of_bounds", 1, () =>
          withSeries("out of bounds", head.labels(slot), version),
        );
        continue;
      }
      const outcome = head.append(slot, time, parsed.words[2 * k]!, parsed.words[2 * k + 1]!);
      if (outcome === OUTCOME.STORED || outcome === OUTCOME.SAME) {
        stored++;
        continue;
      }
      // A late sample behind one of the same request: Prometheus drops it without a word.
      if (outcome !== OUTCOME.OUT_OF_BOUNDS && head.isInCommit(slot)) {
        refused.set("out_of_order", (refused.get("out_of_order") ?? 0) + 1);
        if (version === 2) stored++;
        continue;
      }
      const k2 = k;
      if (outcome === OUTCOME.OUT_OF_ORDER)
        refuse("out_of_order", 1, () => withSeries("out of order sample", head.labels(slot), version));
      else if (outcome === OUTCOME.OUT_OF_BOUNDS)
        refuse("out_of_bounds", 1, () => withSeries("out of bounds", head.labels(slot), version));
      else {
        refuse("duplicate", 1, () => {
          const text = `duplicate sample for timestamp ${time}; overrides not allowed: existing ${formatValue(head.lastValue(slot) ?? 0)}, new value ${formatValue(parsed.values[k2]!)}`;
          return withSeries(text, head.labels(slot), version);
        });
      }
    }
  }
  head.commit();
  return {
    samplesStored: stored,
    refused,
    exemplarsDropped: parsed.exemplarCount,
    errors,
    isLimit,
    metadata: parsed.metadata,
  };
}

function withSeries(text: string, labels: Labels, version: WriteVersion): string {
  return version === 1 ? text : `${text} for series ${formatLabels(labels)}`;
}

function anyAcceptable(head: Head, from: number, to: number, latestTime: number): boolean {
  for (let k = from; k < to; k++) {
    const time = parsed.times[k]!;
    if (time <= latestTime && time >= head.lowestTime && time >= -Number.MAX_SAFE_INTEGER) return true;
  }
  return false;
}

function refuseNew(
  labels: Labels,
  from: number,
  to: number,
  version: WriteVersion,
  latestTime: number,
  refuse: (reason: RefusalReason, count: number, text: () => string) => void,
): void {
  for (let k = from; k < to; k++) {
    refuse(parsed.times[k]! > latestTime ? "too_far_in_future" : "out_of_bounds", 1, () =>
      withSeries("out of bounds", labels, version),
    );
  }
}
