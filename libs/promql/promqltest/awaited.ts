/** Stands in until the histogram arithmetic of libs/model and the printer of the parser are there. */
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import type { Expr } from "../parser/ast.ts";

export function addHistograms(a: NativeHistogram, b: NativeHistogram): NativeHistogram {
  return combine(a, b, 1);
}

export function subtractHistograms(a: NativeHistogram, b: NativeHistogram): NativeHistogram {
  return combine(a, b, -1);
}

function combine(a: NativeHistogram, b: NativeHistogram, sign: number): NativeHistogram {
  const h = Object.assign(new NativeHistogram(), a);
  h.count = a.count + sign * b.count;
  h.sum = a.sum + sign * b.sum;
  h.zeroCount = a.zeroCount + sign * b.zeroCount;
  h.positive = a.positive.map((count, i) => count + sign * (b.positive[i] ?? 0));
  h.negative = a.negative.map((count, i) => count + sign * (b.negative[i] ?? 0));
  return h;
}

export function formatHistogramLiteral(h: NativeHistogram): string {
  return JSON.stringify(h);
}

export function formatExpr(_expr: Expr): string | undefined {
  return undefined;
}
