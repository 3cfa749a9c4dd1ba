import { describe, expect, test } from "vitest";
import {
  CUSTOM_SCHEMA,
  type FloatHistogram,
  type Histogram,
  type IntHistogram,
  NO_BOUNDS,
  NO_SPANS,
  RESET_HINT,
} from "./histogram.ts";
import { validateHistogram } from "./histogram-validate.ts";

const SHAPE = {
  schema: 0,
  zeroThreshold: 0,
  positiveSpans: NO_SPANS,
  negativeSpans: NO_SPANS,
  customValues: NO_BOUNDS,
  counterResetHint: RESET_HINT.UNKNOWN,
  sum: Float64Array.of(1),
};

const int = (over: Partial<IntHistogram>): IntHistogram => ({
  ...SHAPE,
  isFloat: false,
  count: 0n,
  zeroCount: 0n,
  positive: new BigInt64Array(0),
  negative: new BigInt64Array(0),
  ...over,
});
const float = (over: Partial<FloatHistogram>): FloatHistogram => ({
  ...SHAPE,
  isFloat: true,
  totals: Float64Array.of(0, 0),
  positive: NO_BOUNDS,
  negative: NO_BOUNDS,
  ...over,
});
const custom = { schema: CUSTOM_SCHEMA };
const ints = (...counts: bigint[]): BigInt64Array => BigInt64Array.from(counts);
const floats = (...counts: number[]): Float64Array => Float64Array.from(counts);

const check = (name: string, h: Histogram, fault: string | undefined): void =>
  test(name, () => expect(validateHistogram(h)).toBe(fault));

describe("valid", () => {
  const spans = [
    [0, 2],
    [1, 2],
  ] as const;
  check("empty", int({}), undefined);
  check(
    "both sides and a zero bucket",
    int({
      schema: 1,
      count: 12n,
      zeroCount: 2n,
      zeroThreshold: 0.001,
      positiveSpans: spans,
      positive: ints(1n, 2n, 1n, 1n),
      negativeSpans: spans,
      negative: ints(1n, 2n, 1n, 1n),
    }),
    undefined,
  );
  check(
    "fewer in buckets than counted, with NaN observed",
    int({ count: 4n, zeroCount: 2n, sum: floats(NaN) }),
    undefined,
  );
  check(
    "more than 32 bits of counts",
    int({ count: 2n ** 63n, positiveSpans: [[0, 2]], positive: ints(2n ** 62n, 2n ** 62n) }),
    undefined,
  );
  check(
    "custom bounds, more than needed",
    int({
      ...custom,
      count: 5n,
      positiveSpans: spans,
      positive: ints(1n, 2n, 1n, 1n),
      customValues: floats(1, 2, 3, 4, 5),
    }),
    undefined,
  );
  check("a lowest bound of -Inf", int({ ...custom, customValues: floats(-Infinity, 1) }), undefined);
  check("float counts need not add up", float({ totals: floats(7, 1) }), undefined);
});

describe("layout", () => {
  const needs = (n: number, has: number): string =>
    `spans need ${n} buckets, have ${has} buckets: histogram spans specify different number of buckets than provided`;
  check("too few positive", int({ positiveSpans: [[0, 1]] }), `positive side: ${needs(1, 0)}`);
  check(
    "too many negative",
    float({ negativeSpans: [[0, 1]], negative: floats(1, 2) }),
    `negative side: ${needs(1, 2)}`,
  );
  check(
    "negative gap",
    int({
      negativeSpans: [
        [-1, 1],
        [-2, 1],
      ],
      negative: ints(1n, 2n),
    }),
    "negative side: span number 2 with offset -2: histogram has a span whose offset is negative",
  );
  const schema = (n: number): string =>
    `histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema ${n}`;
  check("schema too high", int({ schema: 9 }), schema(9));
  check("schema too low", float({ schema: -5 }), schema(-5));
  check(
    "bounds without custom schema",
    int({ customValues: floats(1) }),
    "histogram with exponential schema must not have custom bounds",
  );
});

describe("custom buckets", () => {
  check(
    "too few bounds",
    int({ ...custom, positiveSpans: [[1, 3]], positive: ints(0n, 0n, 0n), customValues: floats(1, 2) }),
    "custom buckets: only 2 custom bounds defined which is insufficient to cover total span length of 4: histogram custom bounds are too few",
  );
  check(
    "negative offset of the first span",
    int({ ...custom, positiveSpans: [[-1, 1]], positive: ints(0n), customValues: floats(1, 2) }),
    "custom buckets: span number 1 with offset -1: histogram has a span whose offset is negative",
  );
  const order = (a: string, b: string): string =>
    `custom buckets: previous bound is ${a} and current is ${b}: histogram custom bounds must be in strictly increasing order`;
  check("equal bounds", int({ ...custom, customValues: floats(0.5, 0.5) }), order("0.500000", "0.500000"));
  check(
    "bounds on a tie of six decimals",
    int({ ...custom, customValues: floats(3 / 128, 1 / 128) }),
    order("0.023438", "0.007812"),
  );
  check(
    "huge bounds",
    int({ ...custom, customValues: floats(1e23, -1e22) }),
    order("99999999999999991611392.000000", "-10000000000000000000000.000000"),
  );
  check("infinite bounds", int({ ...custom, customValues: floats(1, -Infinity) }), order("1.000000", "-Inf"));
  check(
    "+Inf",
    int({ ...custom, customValues: floats(1, Infinity) }),
    "custom buckets: last +Inf bound must not be explicitly defined: histogram custom bounds must be finite",
  );
  check(
    "NaN",
    int({ ...custom, customValues: floats(1, NaN, 3) }),
    "custom buckets: histogram custom bounds must not be NaN",
  );
  check("zero count", float({ ...custom, totals: floats(1, 1) }), "custom buckets: must have zero count of 0");
  check("zero threshold", int({ ...custom, zeroThreshold: 0.1 }), "custom buckets: must have zero threshold of 0");
  check("negative spans", int({ ...custom, negativeSpans: [[0, 0]] }), "custom buckets: must not have negative spans");
  check("negative buckets", int({ ...custom, negative: ints(1n) }), "custom buckets: must not have negative buckets");
});

describe("counts", () => {
  const negative = (n: number, count: string): string =>
    `bucket number ${n} has observation count of ${count}: histogram has a bucket whose observation count is negative`;
  check(
    "negative int",
    int({ positiveSpans: [[0, 2]], positive: ints(1n, -3n) }),
    `positive side: ${negative(2, "-3")}`,
  );
  check(
    "negative float",
    float({ negativeSpans: [[0, 1]], negative: floats(-1.5e7) }),
    `negative side: ${negative(1, "-1.5e+07")}`,
  );
  check(
    "negative zero bucket",
    float({ totals: floats(1, -0.5) }),
    "zero bucket has observation count of -0.5: histogram has a bucket whose observation count is negative",
  );
  check(
    "negative count",
    float({ totals: floats(-2, 0) }),
    "observation count is  -2: histogram's observation count is negative",
  );
  check(
    "more counted than found",
    int({ count: 4n, zeroCount: 2n, positiveSpans: [[0, 1]], positive: ints(1n) }),
    "3 observations found in buckets, but the Count field is 4: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)",
  );
  check(
    "more found than counted, with NaN observed",
    int({ count: 1n, zeroCount: 2n, sum: floats(NaN) }),
    "2 observations found in buckets, but the Count field is 1: histogram's observation count should be at least the number of observations found in the buckets",
  );
});
