/** What came of a query against what a script expects: the first difference, in words. */
import { formatDuration } from "#libs/kit/duration.ts";
import { formatLabels, labelsKey } from "#libs/model/labels.ts";
import { almostEqual, isWanted } from "./compare-values.ts";
import type { EvalCommand, ExpectedSeries, TextPattern } from "./eval-command.ts";
import { formatExpected, formatItem, formatPoint, formatPoints, formatSeries, formatValue } from "./format.ts";
import { firstUnsorted, type Result, type ResultSeries } from "./result.ts";

export interface Mismatch {
  readonly wanted: string;
  readonly got: string;
}

export const SORTED = "series sorted by labels, each once";

/** Value and order of the result, not its annotations. */
export function compareResult(result: Result, { value: expected, at, ordered }: EvalCommand): Mismatch | undefined {
  if (result.type === "scalar" || result.type === "string" || expected.type !== "series") {
    const [wanted, got] = [formatValue(expected), formatValue(result)];
    if (result.type === "scalar" && expected.type === "scalar") {
      return almostEqual(result.value, expected.value) ? undefined : { wanted, got };
    }
    return wanted === got ? undefined : { wanted, got };
  }
  if (result.type === "vector") {
    return (
      compareSeries(result.series, expected.series, undefined) ??
      (ordered ? compareOrder(result.series, expected.series) : undefined)
    );
  }
  if (ordered) return { wanted: "a vector in order", got: formatValue(result) };
  const unsorted = firstUnsorted(result.series);
  if (unsorted !== undefined) return { wanted: SORTED, got: unsorted };
  const { startMs, stepMs } = expected.steps ?? (at.kind === "range" ? at : { startMs: at.timeMs, stepMs: 0 });
  return compareSeries(result.series, expected.series, (i) => startMs + i * stepMs);
}

/** `timeOf`: when the value `i` of a series is wanted; undefined for a vector, whose one point has the time it has. */
function compareSeries(
  got: readonly ResultSeries[],
  wanted: ReadonlyMap<string, ExpectedSeries>,
  timeOf: ((i: number) => number) | undefined,
): Mismatch | undefined {
  const missing = new Map(wanted);
  for (const series of got) {
    const key = labelsKey(series.labels);
    const expected = missing.get(key);
    if (expected === undefined) {
      const what = wanted.has(key) ? "the series once" : "no such series";
      return { wanted: what, got: formatSeries(series) };
    }
    missing.delete(key);
    const mismatch = timeOf === undefined ? comparePoint(series, expected) : comparePoints(series, expected, timeOf);
    if (mismatch !== undefined) return mismatch;
  }
  const [first] = missing.values();
  return first && { wanted: formatExpected(first), got: "no such series" };
}

function comparePoint(series: ResultSeries, expected: ExpectedSeries): Mismatch | undefined {
  if (isWanted(series.points[0]!, expected.values[0]!)) return undefined;
  return { wanted: formatExpected(expected), got: formatSeries(series) };
}

function comparePoints(
  series: ResultSeries,
  { values }: ExpectedSeries,
  timeOf: (i: number) => number,
): Mismatch | undefined {
  const points = new Map(series.points.map((point) => [point.timeMs, point]));
  const wanted = new Map(values.map((value, i) => [timeOf(i), value]));
  for (const timeMs of [...new Set([...wanted.keys(), ...points.keys()])].sort((a, b) => a - b)) {
    const value = wanted.get(timeMs) ?? { kind: "omitted" };
    const point = points.get(timeMs);
    if (point === undefined ? value.kind === "omitted" : isWanted(point, value)) continue;
    const where = `${formatLabels(series.labels)} at ${formatDuration(timeMs)}`;
    return {
      wanted: `${where}: ${formatItem(value)}`,
      got: `${where}: ${point === undefined ? "no value" : formatPoint(point)}; all: ${formatPoints(series.points)}`,
    };
  }
  return undefined;
}

function compareOrder(got: readonly ResultSeries[], wanted: ReadonlyMap<string, ExpectedSeries>): Mismatch | undefined {
  const keys = [...wanted.keys()];
  const at = got.findIndex(({ labels }, i) => labelsKey(labels) !== keys[i]);
  if (at < 0) return undefined;
  const expected = [...wanted.values()][at]!;
  return {
    wanted: `at position ${at + 1}: ${formatExpected(expected)}`,
    got: `at position ${at + 1}: ${formatSeries(got[at]!)}`,
  };
}

/** Every pattern must match a text and every text a pattern; no pattern: no text; undefined: whatever. */
export function compareNotes(
  kind: string,
  patterns: readonly TextPattern[] | undefined,
  texts: readonly string[],
): Mismatch | undefined {
  if (patterns === undefined) return undefined;
  const got = texts.length === 0 ? `no ${kind}` : `${kind}: ${texts.join(" | ")}`;
  const unmatched = patterns.find(({ matches }) => !texts.some(matches));
  if (unmatched !== undefined) return { wanted: `${kind}: ${unmatched.shown}`, got };
  const unexpected = texts.find((text) => !patterns.some(({ matches }) => matches(text)));
  return unexpected === undefined
    ? undefined
    : { wanted: `no ${kind} like the one got`, got: `${kind}: ${unexpected}` };
}
