/** Native histograms of 160 buckets: microseconds an operation, with one layout and with layouts that differ. */
import { SampleColumns } from "#libs/model/columns.ts";
import { RESET_HINT, type Span } from "#libs/model/histogram.ts";
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import { addHistograms } from "#libs/model/native-histogram/add.ts";
import { detectReset } from "#libs/model/native-histogram/compare.ts";
import { scaleHistogram } from "#libs/model/native-histogram/scale.ts";
import { HistogramSum } from "#libs/model/native-histogram/sum.ts";
import { nativeQuantile } from "#libs/promql/functions/native-quantile.ts";
import { histogramRate } from "#libs/promql/functions/native-rate.ts";
import { row, time } from "./measure.ts";

const COUNT = 1000;
const BUCKETS = 160;
const WINDOW = 20;

const LAYOUTS: Readonly<Record<string, (i: number) => readonly Span[]>> = {
  // As of one chunk: equal, and the same array.
  "one layout": () => ONE_LAYOUT,
  // prettier-ignore
  "differing layouts": (i) => [[-20 + (i % 7), 70], [3 + (i % 3), 80], [1 + (i % 5), 10]],
};
// prettier-ignore
const ONE_LAYOUT: readonly Span[] = [[-20, 80], [3, 80]];

function growing(i: number, spans: readonly Span[]): NativeHistogram {
  const h = new NativeHistogram();
  h.schema = 3;
  h.zeroThreshold = 2 ** -128;
  h.counterResetHint = i % 120 === 0 ? RESET_HINT.UNKNOWN : RESET_HINT.NOT_RESET;
  h.positiveSpans = spans;
  h.positive = Float64Array.from({ length: BUCKETS }, (_, k) => k * 3 + i * (k % 5) + 0.1);
  h.count = h.positive.reduce((sum, count) => sum + count, 0);
  h.sum = 1.5 * h.count;
  return h;
}

export function histograms(print: (line: string) => void): void {
  for (const [name, spansOf] of Object.entries(LAYOUTS)) {
    const all = Array.from({ length: COUNT }, (_, i) => growing(i, spansOf(i)));
    const columns = new SampleColumns();
    all.forEach((h, i) => columns.addHistogram(15_000 * i, h));
    const measure = (what: string, count: number, job: (i: number) => void): void => {
      const { best, median } = time(30, () => {
        for (let i = 0; i < count; i++) job(i);
      });
      print(
        row([`histograms, ${name}: ${what}, µs`, (best * 1e3) / count, (median * 1e3) / count, `${BUCKETS} buckets`]),
      );
    };
    for (const averages of [false, true]) {
      let total = new HistogramSum(averages);
      measure(averages ? "in a mean" : "in a sum", COUNT, (i) => {
        if (i === 0) total = new HistogramSum(averages);
        total.add(all[i]!);
      });
    }
    measure("a + b", COUNT - 1, (i) => void addHistograms(all[i]!, all[i + 1]!));
    measure("× 0.1", COUNT, (i) => void scaleHistogram(all[i]!, 0.1));
    measure("reset?", COUNT - 1, (i) => void detectReset(all[i + 1]!, all[i]!));
    measure(`rate of ${WINDOW}`, COUNT - WINDOW, (i) => void histogramRate(columns, i, i + WINDOW, true));
    measure("quantile", COUNT, (i) => void nativeQuantile(0.99, all[i]!));
  }
}
