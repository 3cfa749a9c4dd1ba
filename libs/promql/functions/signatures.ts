/**
 * The functions of the language: names, types of arguments and result. What the type check and the API need. Those of
 * the tables have the arguments of their table, unless they are named again.
 */
import type { ValueType } from "../parser/ast.ts";
import { DATE_FUNCTIONS } from "./dates.ts";
import { RANGE_FUNCTIONS } from "./over-time.ts";
import { HISTOGRAM_FUNCTIONS, VALUE_FUNCTIONS } from "./scalar-math.ts";

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

/** Functions of one table, which say no more of themselves below. */
function all(
  table: ReadonlyMap<string, unknown>,
  args: readonly ValueType[],
  extras?: Extras,
): Record<string, Signature> {
  return each([...table.keys()].join(" "), args, extras);
}

export const SIGNATURES: Readonly<Record<string, Signature>> = {
  ...all(VALUE_FUNCTIONS, ["vector"]),
  ...all(HISTOGRAM_FUNCTIONS, ["vector"]),
  ...all(DATE_FUNCTIONS, ["vector"], { variadic: 1 }),
  ...all(RANGE_FUNCTIONS, ["matrix"]),
  ...each("mad_over_time ts_of_first_over_time ts_of_last_over_time", ["matrix"], EXPERIMENTAL),
  ...each("ts_of_max_over_time ts_of_min_over_time", ["matrix"], EXPERIMENTAL),
  ...each("absent sort sort_desc timestamp", ["vector"]),
  ...each("absent_over_time", ["matrix"]),
  ...each("start_timestamp", ["vector"], EXPERIMENTAL),
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
