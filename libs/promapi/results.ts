/** Query results as the HTTP API's JSON. */
import type { Slices } from "#libs/kit/slices.ts";
import { formatPlain } from "#libs/model/float.ts";
import { quoteGo } from "#libs/model/labels.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { listBuckets } from "#libs/model/native-histogram/bounds.ts";
import type { Analysis } from "#libs/promql/explain.ts";
import type { QueryResult, QueryValue, RawSeries } from "#libs/promql/engine.ts";
import { ABSENT, FLOAT, HISTOGRAM, histogramAt, type Steps, stepTime, type Tile } from "#libs/promql/tile.ts";
import { formatScalarTimestamp, formatTimestamp, JsonWriter, type Texts, textsOf } from "./json-writer.ts";

const NOTES_SHOWN_MAX = 10;

export interface ResultOptions {
  /** Most series; 0 is all. More adds a warning. */
  readonly limit: number;
  /** The parameter: "" for none. */
  readonly stats: string;
  readonly analysis: boolean;
}

/** Of 11,000 points each they take some milliseconds. */
const SERIES_BETWEEN_TURNS = 16;
const COMMA = 0x2c;
const CLOSE = 0x5d;
const BRACE = 0x7d;

/** The whole body of a successful `query` or `query_range`. */
export async function writeResult(
  result: QueryResult,
  options: ResultOptions,
  slices: Slices,
): Promise<Uint8Array<ArrayBuffer>> {
  const out = new JsonWriter();
  const warnings = shown(result.warnings, "warning");
  out.raw('{"status":"success","data":{"resultType":"');
  for (const _ of writeValue(out, result.value, options, warnings)) if (slices.due) await slices.breathe();
  if (options.stats !== "") {
    out.raw(',"stats":');
    out.value(statsOf(result));
    if (options.stats !== "true" && options.stats !== "all") {
      const refused = "is deprecated and will be rejected in the next major release";
      warnings.push(`value ${quoteGo(options.stats)} for parameter "stats" ${refused}, use "true" or "all"`);
    }
  }
  if (options.analysis && result.analysis !== undefined) {
    out.raw(',"analysis":');
    out.value(analysisOf(result.analysis));
  }
  out.raw("}");
  writeNotes(out, warnings, shown(result.infos, "info"));
  out.raw("}");
  return out.finish();
}

/** More than ten are counted only, as Prometheus does. */
function shown(texts: readonly string[], kind: string): string[] {
  if (texts.length <= NOTES_SHOWN_MAX) return [...texts];
  return [...texts.slice(0, NOTES_SHOWN_MAX), `${texts.length - NOTES_SHOWN_MAX} more ${kind} annotations omitted`];
}

/** Yields now and then, with whole series written. */
function* writeValue(
  out: JsonWriter,
  value: QueryValue,
  options: ResultOptions,
  warnings: string[],
): Generator<undefined> {
  switch (value.type) {
    case "scalar":
      out.raw(`scalar","result":[${formatScalarTimestamp(value.timeMs)},"${formatPlain(value.value)}"]`);
      break;
    case "string":
      out.raw(`string","result":[${formatScalarTimestamp(value.timeMs)},`);
      out.value(value.value);
      out.raw("]");
      break;
    case "vector":
      out.raw('vector","result":[');
      yield* writeVector(out, value.tile, value.timeMs, options, warnings);
      out.raw("]");
      break;
    case "matrix":
      out.raw('matrix","result":[');
      yield* writeMatrix(out, value.tile, value.steps, options, warnings);
      out.raw("]");
      break;
    case "raw":
      out.raw('matrix","result":[');
      yield* writeRaw(out, value.series, options, warnings);
      out.raw("]");
      break;
  }
}

function* writeVector(
  out: JsonWriter,
  tile: Tile,
  timeMs: number,
  options: ResultOptions,
  warnings: string[],
): Generator<undefined> {
  const stamp = formatTimestamp(timeMs);
  let written = 0;
  for (let s = 0; s < tile.labels.length; s++) {
    if (s % SERIES_BETWEEN_TURNS === 0) yield;
    if (tile.present[s] === ABSENT) continue;
    if (truncate(options, written, warnings)) return;
    out.raw(written++ === 0 ? '{"metric":' : ',{"metric":');
    out.labels(tile.labels[s]!);
    if (tile.present[s] === FLOAT) {
      out.raw(`,"value":[${stamp},`);
      out.sampleValue(tile.values[s]!);
    } else {
      out.raw(`,"histogram":[${stamp},`);
      writeHistogram(out, histogramAt(tile, s));
    }
    out.raw("]}");
  }
}

/** `[1700000000.123,"0.12345"],` */
const POINT_BYTES = 26;

function* writeMatrix(
  out: JsonWriter,
  tile: Tile,
  steps: Steps,
  options: ResultOptions,
  warnings: string[],
): Generator<undefined> {
  const stamps = textsOf(Array.from({ length: steps.count }, (_, i) => `[${formatTimestamp(stepTime(steps, i))},`));
  out.expect(tile.labels.length * steps.count * POINT_BYTES);
  let written = 0;
  for (let s = 0; s < tile.labels.length; s++) {
    if (s % SERIES_BETWEEN_TURNS === 0) yield;
    if (truncate(options, written, warnings)) return;
    out.raw(written++ === 0 ? '{"metric":' : ',{"metric":');
    out.labels(tile.labels[s]!);
    const from = s * steps.count;
    if (hasFloats(tile.present, from, from + steps.count)) {
      out.raw(',"values":[');
      out.floats(stamps, tile.present, tile.values, from);
      out.char(CLOSE);
    }
    if (tile.histograms !== undefined) writeHistograms(out, tile, from, stamps);
    out.char(BRACE);
  }
}

function hasFloats(present: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (present[i] === FLOAT) return true;
  return false;
}

/** The points that are histograms, if there are any: `,"histograms":[[t,{…}],…]`. */
function writeHistograms(out: JsonWriter, tile: Tile, from: number, { words, ends }: Texts): void {
  let first = true;
  for (let i = 0, start = 0; i < ends.length; start = ends[i++]!) {
    if (tile.present[from + i] !== HISTOGRAM) continue;
    if (first) out.raw(',"histograms":[');
    else out.char(COMMA);
    first = false;
    out.bytes(new Uint8Array(words.buffer, words.byteOffset + start, ends[i]! - start));
    writeHistogram(out, histogramAt(tile, from + i));
    out.char(CLOSE);
  }
  if (!first) out.char(CLOSE);
}

function* writeRaw(
  out: JsonWriter,
  list: readonly RawSeries[],
  options: ResultOptions,
  warnings: string[],
): Generator<undefined> {
  for (const [s, series] of list.entries()) {
    if (s % SERIES_BETWEEN_TURNS === 0) yield;
    if (truncate(options, s, warnings)) return;
    out.raw(s === 0 ? '{"metric":' : ',{"metric":');
    out.labels(series.labels);
    const { times, values, histograms } = series;
    let kind = "";
    for (const wanted of histograms === undefined ? ["values"] : ["values", "histograms"]) {
      for (let i = 0; i < times.length; i++) {
        const histogram = histograms?.[i];
        if ((histogram !== undefined) !== (wanted === "histograms")) continue;
        out.raw(`${kind === wanted ? "," : `${kind === "" ? "" : "]"},"${wanted}":[`}[${formatTimestamp(times[i]!)},`);
        kind = wanted;
        if (histogram === undefined) out.sampleValue(values[i]!);
        else writeHistogram(out, histogram);
        out.raw("]");
      }
    }
    out.raw(kind === "" ? "}" : "]}");
  }
}

/** `{"count":"…","sum":"…","buckets":[[rule,"lower","upper","count"],…]}`, without empty buckets. */
function writeHistogram(out: JsonWriter, histogram: NativeHistogram): void {
  out.raw('{"count":');
  out.sampleValue(histogram.count);
  out.raw(',"sum":');
  out.sampleValue(histogram.sum);
  let first = true;
  for (const { boundary, lower, upper, count } of listBuckets(histogram)) {
    out.raw(first ? `,"buckets":[[${boundary},` : `,[${boundary},`);
    first = false;
    out.sampleValue(lower);
    out.char(COMMA);
    out.sampleValue(upper);
    out.char(COMMA);
    out.sampleValue(count);
    out.char(CLOSE);
  }
  out.raw(first ? "}" : "]}");
}

function statsOf({ stats }: QueryResult): object {
  const seconds = stats.tookMs / 1000;
  return {
    timings: {
      evalTotalTime: seconds,
      resultSortTime: 0,
      queryPreparationTime: 0,
      innerEvalTime: seconds,
      execQueueTime: 0,
      execTotalTime: seconds,
    },
    samples: {
      totalQueryableSamples: stats.counts?.queryable ?? 0,
      samplesRead: stats.counts?.read ?? 0,
      peakSamples: stats.samplesPeak,
    },
  };
}

/** As Thanos's, with what we know more of each operator. */
function analysisOf({ name, statistics, selfMs, children }: Analysis): object {
  const shown = statistics && {
    executionTime: formatMs(statistics.totalMs),
    selfTime: formatMs(selfMs),
    totalSamples: statistics.samples,
    peakSamples: statistics.samplesPeak,
    peakBytes: statistics.bytesPeak,
    series: statistics.series,
    values: statistics.values,
  };
  return { name, ...shown, children: children.map(analysisOf) };
}

/** A duration that Go reads. */
function formatMs(ms: number): string {
  return `${ms.toFixed(3)}ms`;
}

function truncate(options: ResultOptions, written: number, warnings: string[]): boolean {
  if (options.limit === 0 || written < options.limit) return false;
  const warning = "results truncated due to limit";
  if (!warnings.includes(warning)) warnings.push(warning);
  return true;
}

export function writeNotes(out: JsonWriter, warnings: readonly string[], infos: readonly string[]): void {
  if (warnings.length > 0) {
    out.raw(',"warnings":');
    out.value(warnings);
  }
  if (infos.length > 0) {
    out.raw(',"infos":');
    out.value(infos);
  }
}
