import { expect, test } from "vitest";
import {
  type FloatHistogram,
  type Histogram,
  type IntHistogram,
  type ResetHint,
  RESET_HINT,
  type Span,
} from "#libs/model/histogram.ts";
import { ENCODING } from "./encoding.ts";
import { HistogramAppender } from "./histogram-append.ts";
import { HistogramChunk } from "./histogram-encode.ts";
import { readHistogramHeader, readHistograms } from "./histogram-decode.ts";

interface Shape {
  schema?: number;
  hint?: ResetHint;
  spans?: readonly Span[];
  counts?: readonly number[];
  zeroCount?: number;
}

function ints({ schema = 0, hint = 0, spans = [[0, 2]], counts = [1, 1], zeroCount = 0 }: Shape): IntHistogram {
  return {
    isFloat: false,
    schema,
    zeroThreshold: 0.5,
    zeroCount: BigInt(zeroCount),
    count: 100n,
    sum: Float64Array.of(1),
    positiveSpans: spans,
    negativeSpans: [],
    positive: BigInt64Array.from(counts, BigInt),
    negative: new BigInt64Array(0),
    customValues: new Float64Array(0),
    counterResetHint: hint,
  };
}

function floats(shape: Shape): FloatHistogram {
  const { positive, count, zeroCount, ...rest } = ints(shape);
  return {
    ...rest,
    isFloat: true,
    totals: Float64Array.of(Number(count), Number(zeroCount)),
    positive: Float64Array.from(positive, Number),
    negative: new Float64Array(0),
  };
}

function append(list: readonly Histogram[]): { appender: HistogramAppender; outcomes: string[] } {
  const appender = new HistogramAppender(list[0]!.isFloat ? ENCODING.FLOAT_HISTOGRAM : ENCODING.HISTOGRAM);
  return { appender, outcomes: list.map((histogram, i) => appender.append(0, 1000 * (i + 1), histogram)) };
}

test("a gauge that only adds buckets widens its chunk to its own spans, as they are cut", () => {
  const cut: Span[] = [
    [0, 1],
    [0, 2],
  ];
  const gauge = RESET_HINT.GAUGE;
  const { appender, outcomes } = append([ints({ hint: gauge }), ints({ hint: gauge, spans: cut, counts: [1, 1, 1] })]);
  expect(outcomes).toEqual(["appended", "recoded"]);
  expect(appender.chunk!.layout.positiveSpans).toEqual(cut);
});

test("a gauge that adds buckets and lacks others widens its chunk to all of them in as few spans as name them", () => {
  const gauge = RESET_HINT.GAUGE;
  const { appender, outcomes } = append([
    ints({ hint: gauge }),
    ints({
      hint: gauge,
      spans: [
        [1, 1],
        [0, 1],
      ],
      counts: [2, 3],
    }),
  ]);
  expect(outcomes).toEqual(["appended", "recoded"]);
  expect(appender.chunk!.layout.positiveSpans).toEqual([[0, 3]]);
  const bytes = appender.chunk!.bytes();
  const read = [...readHistograms(ENCODING.HISTOGRAM, bytes, 0, bytes.length, "test")];
  expect(read.map(({ histogram }) => Array.from(histogram.positive, Number))).toEqual([
    [1, 1, 0],
    [0, 2, 3],
  ]);
});

test("a counter of integers behind a gauge says there was no reset, one of floats does not know", () => {
  for (const [make, hint] of [
    [ints, RESET_HINT.NOT_RESET],
    [floats, RESET_HINT.UNKNOWN],
  ] as const) {
    const { appender, outcomes } = append([make({ hint: RESET_HINT.GAUGE }), make({})]);
    expect(outcomes).toEqual(["appended", "new chunk"]);
    expect(appender.chunk!.hint).toBe(hint);
  }
});

test("the first sample of another schema than the chunk before: integers do not know of a reset, floats say no", () => {
  for (const [make, hint] of [
    [ints, RESET_HINT.UNKNOWN],
    [floats, RESET_HINT.NOT_RESET],
  ] as const) {
    const { appender: before } = append([make({})]);
    const next = new HistogramAppender(make({}).isFloat ? ENCODING.FLOAT_HISTOGRAM : ENCODING.HISTOGRAM);
    next.append(0, 5000, make({ schema: 1 }), before);
    expect(next.chunk!.hint).toBe(hint);
  }
});

test("a chunk of the other number type says nothing of resets", () => {
  const { appender: before } = append([ints({ counts: [9, 9] })]);
  const next = new HistogramAppender(ENCODING.FLOAT_HISTOGRAM);
  next.append(0, 5000, floats({}), before);
  expect(next.chunk!.hint).toBe(RESET_HINT.UNKNOWN);
});

test("a zero count that falls is a reset, of another schema it is not looked at", () => {
  expect(append([ints({ zeroCount: 5 }), ints({ zeroCount: 4 })]).appender.chunk!.hint).toBe(RESET_HINT.RESET);
  const other = append([ints({ zeroCount: 5 }), ints({ zeroCount: 4, schema: 1 })]);
  expect(other.appender.chunk!.hint).toBe(RESET_HINT.UNKNOWN);
});

test("encodings without histograms are refused, reading and writing", () => {
  const layout = {
    schema: 0,
    zeroThreshold: 0,
    positiveSpans: [],
    negativeSpans: [],
    customValues: new Float64Array(0),
  };
  for (const encoding of [0, ENCODING.XOR, ENCODING.XOR2, 7]) {
    expect(() => new HistogramChunk(encoding, RESET_HINT.UNKNOWN, layout)).toThrow(
      `BUG: encoding ${encoding} has no histograms`,
    );
    expect(() => readHistogramHeader(encoding, new Uint8Array(3), 0, 3, "chunk")).toThrow(
      `chunk: corrupt at byte 0: encoding ${encoding} has no histograms`,
    );
  }
  expect(() => append([ints({})]).appender.append(0, 9000, floats({}))).toThrow("the chunk's other number type");
});
