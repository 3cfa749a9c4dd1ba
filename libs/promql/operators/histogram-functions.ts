/**
 * `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`: of native histograms one by one, of classic
 * ones over the series that differ in nothing but `le`.
 */
import { formatG, formatPlain, parseGoFloat } from "#libs/model/float.ts";
import { dropLabels, type Labels, labelsKey, labelValue, METRIC_NAME, quoteGo, withLabel } from "#libs/model/labels.ts";
import type { NativeHistogram } from "#libs/model/native-histogram.ts";
import { forMetric } from "../annotations.ts";
import { type Bucket, bucketFraction, bucketQuantile, type Monotonicity } from "../functions/histogram-quantile.ts";
import { nativeFraction, nativeQuantile } from "../functions/native-quantile.ts";
import type { CallExpr, Expr, Span } from "../parser/ast.ts";
import { createTile, FLOAT, HISTOGRAM, setFloat, stepTime, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectVector, evaluateScalar } from "./evaluator.ts";
import { forEachInSlices, mergeInSlices } from "./in-slices.ts";
import { dropMetadata } from "./labels.ts";

const LE_LABEL: ReadonlySet<string> = new Set(["le"]);

/** The series of one histogram: buckets, or native ones. */
interface Group {
  /** Without `le`; with names. */
  readonly labels: Labels;
  readonly buckets: { readonly s: number; readonly upperBound: number }[];
  readonly natives: number[];
}

/** What a function makes of a histogram at step `i`. */
interface Formula {
  native(i: number, histogram: NativeHistogram, metric: string): number;
  classic(i: number, buckets: Bucket[], metric: string): number;
}

export async function* histogramQuantile(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const quantiles = await evaluateScalar(call.args[0]!, context);
  const input = await collectVector(call.args[1]!, context);
  // Only now: of equal notes the one noted last shows its position, and the input may have had some.
  for (const q of quantiles) context.annotations.quantile(q, call.args[0]!.span);
  yield await evaluate(
    input,
    call.args[1]!,
    context,
    [quantileFormula(quantiles, call.args[1]!.span, context)],
    undefined,
  );
}

export async function* histogramQuantiles(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const label = call.args[1]!.kind === "string" ? call.args[1]!.value : "";
  const at = call.args[0]!.span;
  const input = await collectVector(call.args[0]!, context);
  const formulas: Formula[] = [];
  const texts: string[][] = [];
  for (const arg of call.args.slice(2)) {
    const quantiles = await evaluateScalar(arg, context);
    for (const q of quantiles) context.annotations.quantile(q, arg.span);
    formulas.push(quantileFormula(quantiles, at, context));
    texts.push(Array.from(quantiles, formatOpenMetrics));
  }
  yield await evaluate(input, call.args[0]!, context, formulas, { label, texts });
}

export async function* histogramFraction(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const lower = await evaluateScalar(call.args[0]!, context);
  const upper = await evaluateScalar(call.args[1]!, context);
  const input = await collectVector(call.args[2]!, context);
  const at = call.args[2]!.span;
  const formula: Formula = {
    native(i, histogram, metric) {
      const { value, nan } = nativeFraction(lower[i]!, upper[i]!, histogram);
      if (nan) {
        context.annotations.info(
          forMetric("input to histogram_fraction has NaN observations, which are excluded from all fractions", metric),
          at,
        );
      }
      return value;
    },
    classic: (i, buckets) => bucketFraction(lower[i]!, upper[i]!, buckets),
  };
  yield await evaluate(input, call.args[2]!, context, [formula], undefined);
}

function quantileFormula(quantiles: Float64Array, at: Span, context: EvalContext): Formula {
  const { annotations, names, steps } = context;
  return {
    native(i, histogram, metric) {
      const { value, nan } = nativeQuantile(quantiles[i]!, histogram);
      if (nan === "result") {
        annotations.info(forMetric("input to histogram_quantile has NaN observations, result is NaN", metric), at);
      } else if (nan === "skew") {
        annotations.info(
          forMetric("input to histogram_quantile has NaN observations, result is skewed higher", metric),
          at,
        );
      }
      return value;
    },
    classic(i, buckets, metric) {
      const fixed: Monotonicity = { forced: false, minBucket: 0, maxBucket: 0, maxDiff: 0 };
      const value = bucketQuantile(quantiles[i]!, buckets, fixed);
      if (fixed.forced) annotations.forcedMonotonicity(names.delayed ? metric : "", at, stepTime(steps, i), fixed);
      return value;
    },
  };
}

/** Go's `labels.FormatOpenMetricsFloat`: always with a point or an exponent. */
function formatOpenMetrics(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const text = formatG(value);
  return /[.e]/.test(text) ? text : `${formatPlain(value)}.0`;
}

/** One output series a group and formula; with `tag` it says which in a label, whose text may change with the steps. */
async function evaluate(
  input: Tile,
  arg: Expr,
  context: EvalContext,
  formulas: readonly Formula[],
  tag: { readonly label: string; readonly texts: readonly (readonly string[])[] } | undefined,
): Promise<Tile> {
  const { names, annotations, steps, slices } = context;
  const { count } = steps;
  const groups = await groupSeries(input, arg, context);
  const rows = new Map<string, number>();
  const labelsOut: Labels[] = [];
  const cells: { readonly row: number; readonly step: number; readonly value: number }[] = [];
  for (const [g, group] of groups.entries()) {
    if (slices.due) await slices.breathe();
    const metric = labelValue(group.labels, METRIC_NAME);
    const shown = names.delayed ? group.labels : dropMetadata(group.labels);
    for (let i = 0; i < count; i++) {
      const buckets: Bucket[] = [];
      for (const { s, upperBound } of group.buckets) {
        if (input.present[s * count + i] === FLOAT) buckets.push({ upperBound, count: input.values[s * count + i]! });
      }
      const native = group.natives.find((s) => input.present[s * count + i] === HISTOGRAM);
      if (buckets.length > 0 && native !== undefined) {
        annotations.warn(
          forMetric("vector contains a mix of classic and native histograms", names.delayed ? metric : ""),
          arg.span,
        );
        continue;
      }
      if (buckets.length === 0 && native === undefined) continue;
      formulas.forEach((formula, f) => {
        const value =
          native === undefined
            ? formula.classic(i, copied(buckets), metric)
            : formula.native(i, input.histograms![native * count + i]!, names.delayed ? metric : "");
        const text = tag === undefined ? "" : tag.texts[f]![i]!;
        const key = `${g}/${f}/${text}`;
        let row = rows.get(key);
        if (row === undefined) {
          row = labelsOut.push(tag === undefined ? shown : withLabel(shown, tag.label, text)) - 1;
          rows.set(key, row);
        }
        cells.push({ row, step: i, value });
      });
    }
  }
  const out = createTile(labelsOut.length, count);
  out.labels.push(...labelsOut);
  for (const { row, step, value } of cells) setFloat(out, row * count + step, value);
  if (names.delayed) out.labels.forEach((_, s) => names.apply(out, s));
  // Histograms that differ in their names alone have become equal.
  return mergeInSlices(out, count, slices);
}

/** Formulas mend buckets in place. */
function copied(buckets: readonly Bucket[]): Bucket[] {
  return buckets.map((bucket) => ({ ...bucket }));
}

async function groupSeries(input: Tile, arg: Expr, context: EvalContext): Promise<Group[]> {
  const { count } = context.steps;
  const groups = new Map<string, Group>();
  const groupOf = (labels: Labels): Group => {
    const key = labelsKey(labels);
    let group = groups.get(key);
    if (group === undefined) {
      group = { labels, buckets: [], natives: [] };
      groups.set(key, group);
    }
    return group;
  };
  const add = (s: number): void => {
    const labels = input.labels[s]!;
    const cells = input.present.subarray(s * count, (s + 1) * count);
    if (cells.includes(HISTOGRAM)) groupOf(labels).natives.push(s);
    if (!cells.includes(FLOAT)) return;
    const le = labelValue(labels, "le");
    const upperBound = parseGoFloat(le);
    if (upperBound !== undefined) {
      groupOf(dropLabels(labels, LE_LABEL)).buckets.push({ s, upperBound });
      return;
    }
    const metric = context.names.delayed ? labelValue(labels, METRIC_NAME) : "";
    context.annotations.warn(
      forMetric(`bucket label "le" is missing or has a malformed value of ${quoteGo(le)}`, metric),
      arg.span,
    );
  };
  await forEachInSlices(input.labels.length, add, context.slices);
  return [...groups.values()];
}
