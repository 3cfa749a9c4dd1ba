/** Histograms as Go prints them (prometheus/model/histogram, `FloatHistogram.String` and `TestExpression`). */
import { formatG } from "../float.ts";
import { CUSTOM_SCHEMA, RESET_HINT, type Span } from "../histogram.ts";
import type { NativeHistogram } from "../native-histogram.ts";
import { customBound, exponentialBound } from "./bounds.ts";
import { indicesOf } from "./layout.ts";

/** `{count:3, sum:4.5, [-0.001,0.001]:1, (1,2]:2}`: the buckets that count something, ascending. */
export function formatHistogram(h: NativeHistogram): string {
  const isCustom = h.schema === CUSTOM_SCHEMA;
  const parts = [`count:${formatG(h.count)}`, `sum:${formatG(h.sum)}`];
  const negative = indicesOf(h.negativeSpans);
  for (let i = negative.length - 1; i >= 0; i--) {
    if (h.negative[i] === 0) continue;
    const lower = -exponentialBound(negative[i]!, h.schema);
    const upper = -exponentialBound(negative[i]! - 1, h.schema);
    parts.push(`[${formatG(lower)},${formatG(upper)}):${formatG(h.negative[i]!)}`);
  }
  if (h.zeroCount !== 0) {
    parts.push(`[${formatG(-h.zeroThreshold)},${formatG(h.zeroThreshold)}]:${formatG(h.zeroCount)}`);
  }
  indicesOf(h.positiveSpans).forEach((index, i) => {
    if (h.positive[i] === 0) return;
    const bound = (n: number): number => (isCustom ? customBound(n, h.customValues) : exponentialBound(n, h.schema));
    const open = isCustom && index === 0 ? "[" : "(";
    parts.push(`${open}${formatG(bound(index - 1))},${formatG(bound(index))}]:${formatG(h.positive[i]!)}`);
  });
  return `{${parts.join(", ")}}`;
}

const HINT_NAMES = { [RESET_HINT.RESET]: "reset", [RESET_HINT.NOT_RESET]: "not_reset", [RESET_HINT.GAUGE]: "gauge" };

/** The notation of promtool's tests: `{{schema:1 count:3 sum:4.5 offset:1 buckets:[1 0 2]}}`. */
export function formatHistogramLiteral(h: NativeHistogram): string {
  const parts: string[] = [];
  const number = (name: string, value: number): void => {
    if (value !== 0) parts.push(`${name}:${formatG(value)}`);
  };
  number("schema", h.schema);
  number("count", h.count);
  number("sum", h.sum);
  number("z_bucket", h.zeroCount);
  number("z_bucket_w", h.zeroThreshold);
  if (h.schema === CUSTOM_SCHEMA) parts.push(`custom_values:${list(h.customValues)}`);
  if (h.counterResetHint !== RESET_HINT.UNKNOWN) parts.push(`counter_reset_hint:${HINT_NAMES[h.counterResetHint]}`);
  const side = (prefix: string, spans: readonly Span[], counts: Float64Array): void => {
    const filled = filledOf(indicesOf(spans), counts);
    if (filled === undefined) return;
    number(`${prefix}offset`, filled.offset);
    parts.push(`${prefix}buckets:${list(filled.counts)}`);
  };
  side("", h.positiveSpans, h.positive);
  side("n_", h.negativeSpans, h.negative);
  return `{{${parts.join(" ")}}}`;
}

/** From the first bucket that counts something to the last, with the gaps; -0 stays within a span, as Go leaves it. */
function filledOf(indices: Int32Array, counts: Float64Array): { offset: number; counts: Float64Array } | undefined {
  const first = counts.findIndex((count) => count !== 0);
  if (first < 0) return undefined;
  const offset = indices[first]!;
  const end = counts.findLastIndex((count) => count !== 0);
  const filled = new Float64Array(indices[end]! - offset + 1);
  let previous = first;
  for (let i = first; i <= end; i++) {
    if (counts[i] === 0) continue;
    const together = indices[i]! - indices[previous]! === i - previous;
    for (let k = together ? previous : i; k <= i; k++) filled[indices[k]! - offset] = counts[k]!;
    previous = i;
  }
  return { offset, counts: filled };
}

function list(values: Float64Array): string {
  return `[${Array.from(values, formatG).join(" ")}]`;
}
