import { describe, expect, test } from "vitest";
import { formatLabels } from "#libs/model/labels.ts";
import { nativeFromClassic } from "./classic-to-native.ts";
import { type LoadedSeries, parseScript } from "./script.ts";

function load(lines: readonly string[]): readonly LoadedSeries[] {
  const [command] = parseScript(["load_with_nhcb 1m", ...lines].join("\n"));
  if (command?.kind !== "load") throw new Error("no load");
  return command.series;
}

/** Labels, and of each sample time, count, sum, bounds and buckets. */
function converted(...lines: readonly string[]): unknown[] {
  return nativeFromClassic(load(lines)).map(({ labels, samples }) => [
    formatLabels(labels),
    ...samples.map(({ timeMs, value }) => {
      if (value.kind !== "histogram") throw new Error(value.kind);
      const { schema, count, sum, customValues, positive, positiveSpans } = value.histogram;
      expect(schema).toBe(-53);
      expect(positiveSpans).toEqual([[0, positive.length]]);
      return [timeMs, count, sum, [...customValues], [...positive]];
    }),
  ]);
}

describe("classic histograms become native ones", () => {
  test("by their labels without le, and by time", () => {
    expect(
      converted(
        'x_bucket{a="1",le="1"} 1 _ 2',
        'x_bucket{a="1",le="+Inf"} 3 _ 5',
        'x_bucket{a="1",le="0.5"} 0 _ 1',
        'x_count{a="1"} 3 _ 5',
        'x_sum{a="1"} 2.5 _ 7',
        'x_bucket{a="2",le="1"} 4',
        'y{a="1"} 1',
      ),
    ).toEqual([
      ['{__name__="x", a="1"}', [0, 3, 2.5, [0.5, 1], [0, 1, 2]], [120_000, 5, 7, [0.5, 1], [1, 1, 3]]],
      ['{__name__="x", a="2"}', [0, 4, 0, [1], [4, 0]]],
    ]);
  });

  test("a bucket for the rest comes from the count", () => {
    expect(converted('x_bucket{le="1"} 1', "x_count 3")).toEqual([['{__name__="x"}', [0, 3, 0, [1], [1, 2]]]]);
  });

  test("a bound that is no number is left out, a bound given twice counts once", () => {
    expect(
      converted('x_bucket{le="nan"} 9', 'x_bucket{le="abc"} 9', 'x_bucket{le="1"} 1', 'x_bucket{le="1.0"} 5'),
    ).toEqual([['{__name__="x"}', [0, 1, 0, [1], [1, 0]]]]);
  });

  test("fractions stay fractions", () => {
    expect(converted('x_bucket{le="1"} 0.5', 'x_bucket{le="Inf"} 1.5')).toEqual([
      ['{__name__="x"}', [0, 1.5, 0, [1], [0.5, 1]]],
    ]);
  });
});

describe("what contradicts itself is refused", () => {
  const check = (what: string, lines: readonly string[], message: string): void =>
    test(what, () => expect(() => nativeFromClassic(load(lines))).toThrow(message));
  check(
    "buckets that are not cumulative",
    ['x_bucket{le="1"} _ 2', 'x_bucket{le="2"} _ 1'],
    'classic histogram {__name__="x"} at 60000 ms: bucket counts are not cumulative: 1 up to 2, 2 below',
  );
  check(
    "negative buckets",
    ['x_bucket{le="1"} -1', "x_count 1"],
    "bucket counts are not cumulative: -1 up to 1, 0 below",
  );
  check("a negative count", ["x_count -1"], "count must not be negative: -1");
  check(
    "a count beside the buckets",
    ['x_bucket{le="+Inf"} 3', "x_count 4"],
    "count 4 is not that of the highest bucket, 3",
  );
});
