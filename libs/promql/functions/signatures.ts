/** The functions of the language: names, types of arguments and result. What the type check and the API need. */
import type { ValueType } from "../parser/ast.ts";

export interface Signature {
  readonly args: readonly ValueType[];
  /**
   * 0: exactly these arguments. Otherwise the last may be missing or repeat: up to `variadic` times, without limit when
   * it is negative.
   */
  readonly variadic: number;
  readonly returns: ValueType;
  /** Only with experimental functions enabled. */
  readonly experimental: boolean;
}

interface Extras {
  readonly variadic?: number;
  readonly returns?: ValueType;
  readonly experimental?: boolean;
}

function signature(args: readonly ValueType[], extras: Extras = {}): Signature {
  return { args, variadic: 0, returns: "vector", experimental: false, ...extras };
}

function each(names: string, args: readonly ValueType[], extras?: Extras): Record<string, Signature> {
  return Object.fromEntries(names.split(" ").map((name) => [name, signature(args, extras)]));
}

const EXPERIMENTAL = { experimental: true } as const;
const SCALAR = { returns: "scalar" } as const;

export const SIGNATURES: Readonly<Record<string, Signature>> = {
  ...each("abs ceil exp floor ln log10 log2 sgn sqrt deg rad", ["vector"]),
  ...each("sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh", ["vector"]),
  ...each("absent sort sort_desc timestamp", ["vector"]),
  ...each("histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar", ["vector"]),
  ...each("start_timestamp", ["vector"], EXPERIMENTAL),
  ...each("day_of_month day_of_week day_of_year days_in_month hour minute month year", ["vector"], { variadic: 1 }),
  ...each("rate increase delta irate idelta resets changes deriv", ["matrix"]),
  ...each("avg_over_time min_over_time max_over_time sum_over_time count_over_time", ["matrix"]),
  ...each("first_over_time last_over_time present_over_time absent_over_time", ["matrix"]),
  ...each("stddev_over_time stdvar_over_time", ["matrix"]),
  ...each("mad_over_time ts_of_first_over_time ts_of_last_over_time", ["matrix"], EXPERIMENTAL),
  ...each("ts_of_max_over_time ts_of_min_over_time", ["matrix"], EXPERIMENTAL),
  ...each("pi time", [], SCALAR),
  ...each("start end range step", [], { ...SCALAR, ...EXPERIMENTAL }),
  ...each("max_of min_of", ["scalar", "scalar"], { ...SCALAR, ...EXPERIMENTAL }),
  ...each("clamp_max clamp_min", ["vector", "scalar"]),
  ...each("sort_by_label sort_by_label_desc", ["vector", "string"], { variadic: -1, ...EXPERIMENTAL }),
  clamp: signature(["vector", "scalar", "scalar"]),
  double_exponential_smoothing: signature(["matrix", "scalar", "scalar"], EXPERIMENTAL),
  histogram_fraction: signature(["scalar", "scalar", "vector"]),
  histogram_quantile: signature(["scalar", "vector"]),
  histogram_quantiles: signature(["vector", "string", "scalar", "scalar"], { variadic: 9, ...EXPERIMENTAL }),
  info: signature(["vector", "vector"], { variadic: 1, ...EXPERIMENTAL }),
  label_join: signature(["vector", "string", "string", "string"], { variadic: -1 }),
  label_replace: signature(["vector", "string", "string", "string", "string"]),
  predict_linear: signature(["matrix", "scalar"]),
  quantile_over_time: signature(["scalar", "matrix"]),
  round: signature(["vector", "scalar"], { variadic: 1 }),
  scalar: signature(["vector"], SCALAR),
  vector: signature(["scalar"]),
};

export function signatureOf(name: string): Signature | undefined {
  return Object.hasOwn(SIGNATURES, name) ? SIGNATURES[name] : undefined;
}
