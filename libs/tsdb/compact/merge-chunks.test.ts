import { expect, test } from "vitest";
import { type Histogram, RESET_HINT } from "#libs/model/histogram.ts";
import { floatChunk, type Sample, samplesOf } from "../../../test/support/blocks.ts";
import { ChunkEncoder, MERGE_ENCODING } from "../chunk/chunk-encoder.ts";
import { ENCODING } from "../chunk/encoding.ts";
import { SampleCursor } from "../chunk/sample-cursor.ts";
import { Heap } from "./heap.ts";
import { mergeChunks } from "./merge-chunks.ts";

const every = (step: number, from: number, count: number, value: number): Sample[] =>
  Array.from({ length: count }, (_, i) => [from + i * step, value]);

test("chunks that follow each other stay the same objects", () => {
  const [a, b, c] = [floatChunk([[1, 1]]), floatChunk([[2, 2]]), floatChunk([[5, 3]])];
  expect(mergeChunks([[a, c], [b]], "x")).toEqual([a, b, c]);
  expect(mergeChunks([[a, c], [b]], "x")[1]).toBe(b);
});

test("a chunk that two blocks have is taken once, as it is", () => {
  const a = floatChunk(every(10, 0, 200, 1));
  const merged = mergeChunks([[a], [floatChunk(every(10, 0, 200, 1))]], "x");
  expect(merged.length).toBe(1);
  expect(merged[0]).toBe(a);
});

test("overlapping chunks become chunks of 120 samples, in order, each time once", () => {
  const merged = mergeChunks([[floatChunk(every(10, 0, 100, 1))], [floatChunk(every(10, 505, 150, 2))]], "x");
  expect(merged.map(({ mint, maxt, data }) => [mint, maxt, (data[0]! << 8) | data[1]!])).toEqual([
    [0, 845, 120],
    [850, 1895, 120],
    [1905, 1995, 10],
  ]);
});

test("what overlaps nothing between overlapping chunks stays as it is", () => {
  const far = floatChunk(every(10, 9000, 5, 7));
  const merged = mergeChunks([[floatChunk(every(10, 0, 5, 1)), far], [floatChunk(every(10, 5, 5, 2))]], "x");
  expect(merged.length).toBe(2);
  expect(merged[1]).toBe(far);
});

test("of the same time in two chunks that begin together the first block's sample is kept", () => {
  const merged = mergeChunks([[floatChunk(every(10, 0, 4, 1))], [floatChunk([...every(10, 0, 4, 2), [99, 2]])]], "x");
  expect(merged.flatMap(samplesOf)).toEqual([
    [0, 1],
    [10, 1],
    [20, 1],
    [30, 1],
    [99, 2],
  ]);
});

function histogram(count: number, hint = RESET_HINT.UNKNOWN as 0 | 1 | 2 | 3): Histogram {
  return {
    isFloat: false,
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 0n,
    count: BigInt(count),
    sum: Float64Array.of(count),
    positiveSpans: [[0, 1]],
    negativeSpans: [],
    positive: BigInt64Array.of(BigInt(count)),
    negative: new BigInt64Array(0),
    customValues: new Float64Array(0),
    counterResetHint: hint,
  };
}

test("floats, histograms and start timestamps of one series go into chunks of their own", () => {
  const encoder = new ChunkEncoder(120, MERGE_ENCODING);
  const float = { low: 0, high: 0, histogram: undefined };
  encoder.append({ time: 1, start: 0, ...float });
  encoder.append({ time: 2, start: 1, ...float });
  encoder.append({ time: 3, start: 0, ...float }); // XOR2 holds it, too
  encoder.append({ time: 4, start: 0, low: 0, high: 0, histogram: histogram(5) });
  encoder.append({ time: 5, start: 4, low: 0, high: 0, histogram: histogram(6) });
  encoder.append({ time: 6, start: 4, low: 0, high: 0, histogram: histogram(2) }); // a reset
  const chunks = encoder.finish();
  expect(chunks.map(({ encoding, mint, maxt }) => [encoding, mint, maxt])).toEqual([
    [ENCODING.XOR, 1, 1],
    [ENCODING.XOR2, 2, 3],
    [ENCODING.HISTOGRAM, 4, 4],
    [ENCODING.HISTOGRAM_ST, 5, 5],
    [ENCODING.HISTOGRAM_ST, 6, 6],
  ]);
  const cursor = new SampleCursor(chunks[4]!, "x");
  expect(cursor.next()).toBe(true);
  expect([cursor.time, cursor.start, cursor.histogram!.isFloat]).toEqual([6, 4, false]);
});

test("a heap gives items in order; of equal ones the last takes the place of the first", () => {
  const heap = new Heap<string>((a, b) => a[0]! < b[0]!);
  for (const item of ["b0", "a1", "a2", "a3", "c4"]) heap.push(item);
  expect([heap.pop(), heap.pop(), heap.pop(), heap.pop(), heap.pop(), heap.pop()]).toEqual([
    "a1",
    "a3",
    "a2",
    "b0",
    "c4",
    undefined,
  ]);
});
