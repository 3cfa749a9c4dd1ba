/**
 * Classic histograms as native ones with custom buckets: what `load_with_nhcb` adds to the series it loads. Series that
 * differ in their suffix and `le` alone are one histogram; at each time it has the buckets that were loaded there.
 */
import { BadRequestError } from "#libs/kit/errors.ts";
import { CUSTOM_SCHEMA } from "#libs/model/histogram.ts";
import { formatLabels, type Labels, labelsKey, labelValue, METRIC_NAME, withLabel } from "#libs/model/labels.ts";
import { parseGoFloat } from "#libs/model/float.ts";
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import type { LoadedSeries } from "./script.ts";

interface Classic {
  /** Upper bound → cumulative count. */
  readonly buckets: Map<number, number>;
  count: number | undefined;
  sum: number;
}

interface Family {
  readonly labels: Labels;
  readonly byTime: Map<number, Classic>;
}

const NAME = /^(.*)_(bucket|count|sum)$/s;

/** @throws BadRequestError naming series and time where the buckets of a histogram contradict each other. */
export function nativeFromClassic(series: readonly LoadedSeries[]): LoadedSeries[] {
  const families = new Map<string, Family>();
  for (const { labels, samples } of series) {
    const match = NAME.exec(labelValue(labels, METRIC_NAME));
    if (match === null) continue;
    const [, name, suffix] = match as unknown as [string, string, "bucket" | "count" | "sum"];
    const le = parseGoFloat(labelValue(labels, "le"));
    if (suffix === "bucket" && (le === undefined || Number.isNaN(le))) continue;
    const base = withLabel(withLabel(labels, "le", ""), METRIC_NAME, name);
    const key = labelsKey(base);
    const family = families.get(key) ?? { labels: base, byTime: new Map<number, Classic>() };
    families.set(key, family);
    for (const { timeMs, value } of samples) {
      if (value.kind === "histogram") continue;
      const number = value.kind === "float" ? value.value : NaN;
      const classic = family.byTime.get(timeMs) ?? { buckets: new Map<number, number>(), count: undefined, sum: 0 };
      family.byTime.set(timeMs, classic);
      if (suffix === "count") classic.count = number;
      else if (suffix === "sum") classic.sum = number;
      else if (!classic.buckets.has(le!)) classic.buckets.set(le!, number);
    }
  }
  return [...families.values()].map(convert);
}

function convert({ labels, byTime }: Family): LoadedSeries {
  const samples = [...byTime].map(([timeMs, classic]) => {
    const histogram = nativeHistogram(classic, `${formatLabels(labels)} at ${timeMs} ms`);
    return { timeMs, startMs: 0, value: { kind: "histogram", histogram, hintGiven: false } } as const;
  });
  return { labels, samples: samples.sort((a, b) => a.timeMs - b.timeMs) };
}

function nativeHistogram({ buckets, count, sum }: Classic, where: string): NativeHistogram {
  const fail = (what: string): never => {
    throw new BadRequestError(`classic histogram ${where}: ${what}`);
  };
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const total = count ?? sorted.at(-1)?.[1] ?? 0;
  if (total < 0) fail(`count must not be negative: ${total}`);
  if (sorted.at(-1)?.[0] !== Infinity) sorted.push([Infinity, total]);
  const counts = new Float64Array(sorted.length);
  let before = 0;
  sorted.forEach(([le, cumulative], i) => {
    if (cumulative < before) fail(`bucket counts are not cumulative: ${cumulative} up to ${le}, ${before} below`);
    counts[i] = cumulative - before;
    before = cumulative;
  });
  if (total !== before) fail(`count ${total} is not that of the highest bucket, ${before}`);
  const h = new NativeHistogram();
  h.schema = CUSTOM_SCHEMA;
  h.count = total;
  h.sum = sum;
  h.positiveSpans = [[0, counts.length]];
  h.positive = counts;
  h.customValues = Float64Array.from(sorted.slice(0, -1), ([le]) => le);
  return h;
}
