/** Names, argument types and results of the functions: what the type check needs. */
import type { ValueType } from "../parser/ast.ts";

export interface Signature {
  readonly args: readonly ValueType[];
  /** How many of the last arguments may be left out. */
  readonly optional: number;
  /** The last argument may repeat. */
  readonly variadic: boolean;
  readonly returns: ValueType;
}

function signature(args: readonly ValueType[], returns: ValueType, optional = 0, variadic = false): Signature {
  return { args, optional, variadic, returns };
}

const each = (names: readonly string[], s: Signature): Record<string, Signature> =>
  Object.fromEntries(names.map((name) => [name, s]));

export const SIGNATURES: Readonly<Record<string, Signature>> = {
  ...each(
    [
      "abs",
      "ceil",
      "exp",
      "floor",
      "ln",
      "log10",
      "log2",
      "sqrt",
      "sgn",
      "deg",
      "rad",
      "sin",
      "cos",
      "tan",
      "asin",
      "acos",
      "atan",
      "sinh",
      "cosh",
      "tanh",
      "asinh",
      "acosh",
      "atanh",
      "absent",
      "sort",
      "sort_desc",
      "timestamp",
    ],
    signature(["vector"], "vector"),
  ),
  ...each(
    ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"],
    signature(["vector"], "vector", 1),
  ),
  ...each(
    [
      "rate",
      "increase",
      "delta",
      "irate",
      "idelta",
      "resets",
      "changes",
      "deriv",
      "avg_over_time",
      "min_over_time",
      "max_over_time",
      "sum_over_time",
      "count_over_time",
      "last_over_time",
      "first_over_time",
      "present_over_time",
      "absent_over_time",
      "stddev_over_time",
      "stdvar_over_time",
    ],
    signature(["matrix"], "vector"),
  ),
  clamp: signature(["vector", "scalar", "scalar"], "vector"),
  clamp_max: signature(["vector", "scalar"], "vector"),
  clamp_min: signature(["vector", "scalar"], "vector"),
  round: signature(["vector", "scalar"], "vector", 1),
  histogram_quantile: signature(["scalar", "vector"], "vector"),
  label_join: signature(["vector", "string", "string", "string"], "vector", 1, true),
  label_replace: signature(["vector", "string", "string", "string", "string"], "vector"),
  pi: signature([], "scalar"),
  predict_linear: signature(["matrix", "scalar"], "vector"),
  quantile_over_time: signature(["scalar", "matrix"], "vector"),
  scalar: signature(["vector"], "scalar"),
  time: signature([], "scalar"),
  vector: signature(["scalar"], "vector"),
};
