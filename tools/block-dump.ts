/** `tools block dump`: every series of a block with chunks, samples and tombstones, one JSON object a line. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BadRequestError, CorruptionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { formatE, formatValue } from "#libs/model/float.ts";
import { type Histogram, wordsOf } from "#libs/model/histogram.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { labelsToObject } from "#libs/model/labels.ts";
import { isStale } from "#libs/model/stale.ts";
import { parseSelector } from "#libs/promql/parser/parser.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { readMeta } from "#libs/tsdb/block/meta.ts";
import { openBlock } from "#libs/tsdb/block/reader.ts";
import { readTombstones } from "#libs/tsdb/block/tombstones.ts";
import { CODECS } from "#libs/tsdb/chunk/codecs.ts";
import { type Chunk, ENCODING_NAMES, sampleCount } from "#libs/tsdb/chunk/encoding.ts";
import { selectPostings } from "#libs/tsdb/index/select.ts";

export interface DumpOptions {
  /** A selector in braces or by name: only the series that match. */
  readonly match?: string;
  /** Milliseconds, inclusive: only samples in the range, chunks that reach into it and series that have one. */
  readonly minTime?: string;
  readonly maxTime?: string;
}

export async function blockDump(dir: string, options: DumpOptions, print: (line: string) => void): Promise<number> {
  const mint = timeOf("--min-time", options.minTime, -Infinity);
  const maxt = timeOf("--max-time", options.maxTime, Infinity);
  const matchers = options.match === undefined ? [] : parseSelector(options.match).map(createMatcher);
  const metaFile = join(dir, "meta.json");
  const meta = readMeta(readFileSync(metaFile, "utf8"), metaFile);
  const tombstones = readTombstones(join(dir, "tombstones"));
  const block = await openBlock(meta, openBlockFolder(dir));
  try {
    for await (const entry of block.entries(await selectPostings(block, matchers))) {
      const labels = entry.labelRefs.map((ref) => block.header.symbols.text(block.header.symbols.ordinal(ref)));
      const all = await block.chunksOf(entry);
      const chunks = entry.chunks
        .map(({ segment, offset }, i) => ({ ref: segment * 4294967296 + offset, chunk: all[i]! }))
        .filter(({ chunk }) => chunk.maxt >= mint && chunk.mint <= maxt);
      if (chunks.length === 0 && (mint > -Infinity || maxt < Infinity)) continue;
      const samples = chunks.flatMap(({ chunk }) => samplesOf(chunk, mint, maxt, `${dir}, series ${entry.ref}`));
      const line = {
        chunks: chunks.map(({ ref, chunk }) => ({
          bytes: chunk.data.length,
          encoding: ENCODING_NAMES[chunk.encoding],
          maxt: chunk.maxt,
          mint: chunk.mint,
          ref,
          samples: sampleCount(chunk.encoding, chunk.data, 0),
        })),
        labels: labelsToObject(labels),
        ref: entry.ref,
        tombstones: tombstones.get(entry.ref)?.map((t) => [t.mint, t.maxt]),
      };
      // Put together as text: counts are 64-bit integers, which JSON has and JSON.stringify has not.
      print(`${JSON.stringify(line).slice(0, -1)},"samples":[${samples.join(",")}]}`);
    }
  } finally {
    block.close();
  }
  return 0;
}

function timeOf(flag: string, text: string | undefined, missing: number): number {
  if (text === undefined) return missing;
  if (!/^-?\d+$/.test(text)) throw new BadRequestError(`${flag} ${text}: not a time in milliseconds`);
  return Number(text);
}

/** The samples of a chunk in range as JSON: `[time, value]`, or `[time, value, start timestamp]` where that is known. */
export function samplesOf(chunk: Chunk, mint: number, maxt: number, where: string): string[] {
  const { data, encoding } = chunk;
  const codec = CODECS[encoding];
  if (codec === undefined) throw new CorruptionError(where, 0, `a chunk of encoding ${encoding}`);
  const samples: string[] = [];
  const add = (time: number, value: string, start: number): void => {
    if (time >= mint && time <= maxt) samples.push(`[${time},${value}${start === 0 ? "" : `,${start}`}]`);
  };
  if (codec.kind === "histogram") {
    for (const { start, time, histogram } of codec.decode(data, 0, data.length, where))
      add(time, histogramText(histogram), start);
    return samples;
  }
  const columns = new SampleColumns();
  codec.decode(data, 0, data.length, columns, where);
  for (let i = 0; i < columns.length; i++) add(columns.times[i]!, quoted(columns.values, i), columns.starts?.[i] ?? 0);
  return samples;
}

export function histogramText(h: Histogram): string {
  const floats = (values: Float64Array): string => `[${Array.from(values, (_, i) => quoted(values, i)).join(",")}]`;
  const counts = h.isFloat
    ? {
        count: quoted(h.totals, 0),
        zeroCount: quoted(h.totals, 1),
        positive: floats(h.positive),
        negative: floats(h.negative),
      }
    : {
        count: h.count,
        zeroCount: h.zeroCount,
        positive: `[${h.positive.join()}]`,
        negative: `[${h.negative.join()}]`,
      };
  const fields: Record<string, unknown> = {
    count: counts.count,
    ...(h.customValues.length > 0 && { customValues: floats(h.customValues) }),
    ...(h.isFloat && { float: true }),
    hint: JSON.stringify(HINT_NAMES[h.counterResetHint]),
    negative: counts.negative,
    negativeSpans: JSON.stringify(h.negativeSpans),
    positive: counts.positive,
    positiveSpans: JSON.stringify(h.positiveSpans),
    schema: h.schema,
    sum: quoted(h.sum, 0),
    zeroCount: counts.zeroCount,
    zeroThreshold: quoted(Float64Array.of(h.zeroThreshold), 0),
  };
  return `{${Object.entries(fields)
    .map(([name, text]) => `"${name}":${String(text)}`)
    .join(",")}}`;
}

const HINT_NAMES = ["unknown", "reset", "not_reset", "gauge"] as const;

function quoted(values: Float64Array, i: number): string {
  return `"${sampleText({ values, words: wordsOf(values) }, i)}"`;
}

/** `stale`, `NaN` for Prometheus's ordinary NaN, `NaN:<bits>` for any other, else the shortest decimal. */
export function sampleText({ values, words }: Pick<SampleColumns, "values" | "words">, i: number): string {
  const value = values[i]!;
  if (!Number.isNaN(value)) return Math.abs(value) >= 1e21 ? formatE(value) : formatValue(value);
  if (isStale(words, i)) return "stale";
  const bits = (words[2 * i + 1]! >>> 0).toString(16) + (words[2 * i]! >>> 0).toString(16).padStart(8, "0");
  return bits === "7ff8000000000001" ? "NaN" : `NaN:${bits}`;
}
