/** What a range function sees of one step. */
import type { SampleColumns } from "#libs/model/columns.ts";
import type { Annotations } from "../annotations.ts";
import type { Span } from "../parser/ast.ts";

export interface Window {
  /** Milliseconds; samples with start < t ≤ end are in. */
  start: number;
  end: number;
  /** Evaluation time of the step, ms. */
  evalTime: number;
  /** Seconds of the range as written. */
  rangeSeconds: number;
  /** The scalar arguments of the function at this step, if it has any. */
  param: number;
  secondParam: number;
  result: number;
  /** Indexes i of the series where values[i] < values[i - 1], ascending; kept by the operator for counters. */
  resets: Uint32Array;
  resetCount: number;
  /** What there is to say about the samples; `at` is the function's first argument, `metric` the series' name. */
  notes: Annotations;
  at: Span;
  metric: string;
}

/** Looks at samples [from, to), at least one; says whether there is a result, which it leaves in the window. */
export type RangeKernel = (columns: SampleColumns, from: number, to: number, window: Window) => boolean;
