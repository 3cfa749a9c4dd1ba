/** Chunks that Prometheus's own codecs wrote, of every encoding: decoded bit for bit, written byte for byte. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { type Histogram, type HistogramSample, type ResetHint, type Span, wordsOf } from "#libs/model/histogram.ts";
import { CODECS } from "#libs/tsdb/chunk/codecs.ts";
import { ENCODING, ENCODING_NAMES } from "#libs/tsdb/chunk/encoding.ts";
import { HistogramAppender } from "#libs/tsdb/chunk/histogram-append.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { appendXor, emptyXorState, reopenXor, XOR_SAMPLE_BYTES_MAX } from "#libs/tsdb/chunk/xor.ts";
import { Xor2Appender } from "#libs/tsdb/chunk/xor2.ts";
import { CONFORMANCE, describeShared } from "../support/shared.ts";
import { seeded } from "../support/write.ts";

const VECTORS = join(CONFORMANCE, "chunkenc_vectors.json");

interface FloatCase {
  name: string;
  encoding: number;
  hex: string;
  samples: [start: string, time: string, bits: string][];
  reopen_every?: number;
}

interface StoredHistogram {
  schema: number;
  zero_threshold: string;
  zero_count: string;
  count: string;
  sum: string;
  counter_reset_hint: ResetHint;
  positive_spans: Span[];
  negative_spans: Span[];
  positive_deltas?: string[];
  negative_deltas?: string[];
  positive_buckets?: string[];
  negative_buckets?: string[];
  custom_values: string[];
}

interface StoredSample {
  st: string;
  t: string;
  h?: StoredHistogram;
  fh?: StoredHistogram;
}

interface HistogramCase {
  name: string;
  encoding: number;
  appends: (StoredSample & { new_chunk: boolean; recoded: boolean })[];
  chunks: { hex: string; num_samples: number; decoded: StoredSample[] }[];
}

const vectors: { floats: FloatCase[]; histograms: HistogramCase[] } = existsSync(VECTORS)
  ? (JSON.parse(readFileSync(VECTORS, "utf8")) as { floats: FloatCase[]; histograms: HistogramCase[] })
  : { floats: [], histograms: [] };

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function bitsOf(words: Int32Array, i: number): string {
  const word = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");
  return word(words[2 * i + 1]!) + word(words[2 * i]!);
}

function floatsOf(hex: readonly string[]): Float64Array {
  const floats = new Float64Array(hex.length);
  const words = wordsOf(floats);
  hex.forEach((bits, i) => {
    words[2 * i] = Number.parseInt(bits.slice(8), 16);
    words[2 * i + 1] = Number.parseInt(bits.slice(0, 8), 16);
  });
  return floats;
}

const bitsOfAll = (floats: Float64Array): string[] => Array.from(floats, (_, i) => bitsOf(wordsOf(floats), i));

describeShared("float chunks", VECTORS, () => {
  for (const { name, encoding, hex, samples, reopen_every } of vectors.floats) {
    const title = `${ENCODING_NAMES[encoding]} ${name}`;

    test(`${title}: decodes`, () => {
      const codec = CODECS[encoding]!;
      const columns = new SampleColumns();
      if (codec.kind === "float") codec.decode(bytesOf(hex), 0, hex.length / 2, columns, "vector");
      const got = Array.from({ length: columns.length }, (_, i) => [
        encoding === ENCODING.XOR ? 0 : (columns.starts?.[i] ?? 0),
        columns.times[i],
        bitsOf(columns.words, i),
      ]);
      expect(got).toEqual(samples.map(([start, time, bits]) => [Number(start), Number(time), bits]));
    });

    test(`${title}: is written byte for byte`, () => {
      const write = encoding === ENCODING.XOR ? writeXor : writeXor2;
      expect(write(samples, reopen_every ?? samples.length)).toBe(hex);
    });
  }
});

function writeXor(samples: FloatCase["samples"], reopenEvery: number): string {
  const state = emptyXorState(new Uint8Array((samples.length + 1) * XOR_SAMPLE_BYTES_MAX));
  samples.forEach(([, time, bits], i) => {
    if (i > 0 && i % reopenEvery === 0) reopenXor(state);
    const [low, high] = wordsOf(floatsOf([bits]));
    appendXor(state, Number(time), low!, high!);
  });
  state.bytes[0] = state.count >>> 8;
  state.bytes[1] = state.count;
  return hexOf(state.bytes.subarray(0, (state.bitAt + 7) >>> 3));
}

function writeXor2(samples: FloatCase["samples"], reopenEvery: number): string {
  const appender = new Xor2Appender();
  samples.forEach(([start, time, bits], i) => {
    if (i > 0 && i % reopenEvery === 0) appender.reopen();
    const [low, high] = wordsOf(floatsOf([bits]));
    appender.append(Number(start), Number(time), low!, high!);
  });
  return hexOf(appender.bytes());
}

describeShared("histogram chunks", VECTORS, () => {
  for (const { name, encoding, appends, chunks } of vectors.histograms) {
    const title = `${ENCODING_NAMES[encoding]} ${name}`;

    test(`${title}: decodes`, () => {
      for (const { hex, num_samples, decoded } of chunks) {
        const codec = CODECS[encoding]!;
        const read = codec.kind === "histogram" ? [...codec.decode(bytesOf(hex), 0, hex.length / 2, "vector")] : [];
        expect(read.length).toBe(num_samples);
        expect(read.map(stored)).toEqual(decoded);
      }
    });

    test(`${title}: is cut, recoded and written byte for byte`, () => {
      const appender = new HistogramAppender(encoding);
      const written: string[] = [];
      for (const sample of appends) {
        const outcome = appender.append(Number(sample.st), Number(sample.t), histogramOf(sample));
        expect(outcome === "new chunk").toBe(sample.new_chunk);
        expect(outcome === "recoded").toBe(sample.recoded);
        if (outcome === "new chunk" || written.length === 0) written.push("");
        written[written.length - 1] = hexOf(appender.chunk!.bytes());
      }
      expect(written).toEqual(chunks.map(({ hex }) => hex));
    });
  }
});

describeShared("mutated chunks", VECTORS, () => {
  const MUTATIONS = 20_000;
  test(`${MUTATIONS} of them end in samples or in a CorruptionError, with no more memory than the bytes can fill`, () => {
    const seeds = [
      ...vectors.floats.map(({ encoding, hex }) => ({ encoding, bytes: bytesOf(hex) })),
      ...vectors.histograms.flatMap(({ encoding, chunks }) =>
        chunks.map(({ hex }) => ({ encoding, bytes: bytesOf(hex) })),
      ),
    ];
    const random = seeded(11);
    const below = (n: number): number => Math.floor(random() * n);
    let refused = 0;
    let read = 0;
    for (let i = 0; i < MUTATIONS; i++) {
      const { encoding, bytes } = seeds[i % seeds.length]!;
      const mutated = bytes.slice(0, random() < 0.3 ? below(bytes.length + 1) : bytes.length);
      for (let k = 1 + below(4); k > 0 && mutated.length > 0; k--) mutated[below(mutated.length)] = below(256);
      const codec = CODECS[encoding]!;
      const columns = new SampleColumns();
      try {
        if (codec.kind === "float") {
          codec.decode(mutated, 0, mutated.length, columns, "mutated");
          expect(columns.length).toBeLessThanOrEqual(mutated.length * 8);
        } else {
          let samples = 0;
          for (const _sample of codec.decode(mutated, 0, mutated.length, "mutated")) samples++;
          expect(samples).toBeLessThanOrEqual(mutated.length * 8);
        }
        read++;
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        refused++;
      }
      // Also what was refused must not have taken more first.
      expect(columns.times.length).toBeLessThanOrEqual(Math.max(512, mutated.length * 16));
    }
    // Both happen often, or the mutations test nothing.
    expect(Math.min(refused, read)).toBeGreaterThan(MUTATIONS / 50);
  });
});

function histogramOf({ h, fh }: StoredSample): Histogram {
  const from = (h ?? fh)!;
  const shape = {
    schema: from.schema,
    zeroThreshold: floatsOf([from.zero_threshold])[0]!,
    sum: floatsOf([from.sum]),
    positiveSpans: from.positive_spans,
    negativeSpans: from.negative_spans,
    customValues: floatsOf(from.custom_values),
    counterResetHint: from.counter_reset_hint,
  };
  if (h === undefined) {
    const totals = floatsOf([from.count, from.zero_count]);
    const [positive, negative] = [floatsOf(from.positive_buckets!), floatsOf(from.negative_buckets!)];
    return { ...shape, isFloat: true, totals, positive, negative };
  }
  const counts = (deltas: readonly string[]): BigInt64Array => {
    let sum = 0n;
    return BigInt64Array.from(deltas, (delta) => (sum += BigInt(delta)));
  };
  const [positive, negative] = [counts(h.positive_deltas!), counts(h.negative_deltas!)];
  return { ...shape, isFloat: false, count: BigInt(h.count), zeroCount: BigInt(h.zero_count), positive, negative };
}

/** A sample in the notation of the vectors. */
function stored({ start, time, histogram: h }: HistogramSample): StoredSample {
  const shape = {
    schema: h.schema,
    zero_threshold: bitsOfAll(Float64Array.of(h.zeroThreshold))[0]!,
    sum: bitsOfAll(h.sum)[0]!,
    counter_reset_hint: h.counterResetHint,
    positive_spans: [...h.positiveSpans],
    negative_spans: [...h.negativeSpans],
    custom_values: bitsOfAll(h.customValues),
  };
  const at = { st: String(start), t: String(time) };
  if (h.isFloat) {
    const [count, zero_count] = bitsOfAll(h.totals) as [string, string];
    const positive_buckets = bitsOfAll(h.positive);
    return { ...at, fh: { ...shape, count, zero_count, positive_buckets, negative_buckets: bitsOfAll(h.negative) } };
  }
  const deltas = (counts: BigInt64Array): string[] =>
    Array.from(counts, (count, i) => String(BigInt.asIntN(64, count - (i === 0 ? 0n : counts[i - 1]!))));
  const counts = { count: String(h.count), zero_count: String(h.zeroCount) };
  return {
    ...at,
    h: { ...shape, ...counts, positive_deltas: deltas(h.positive), negative_deltas: deltas(h.negative) },
  };
}
