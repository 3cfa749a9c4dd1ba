/** Function calls: which operator answers which function. */
import { ExecutionError } from "#libs/kit/errors.ts";
import { DATE_FUNCTIONS } from "../functions/dates.ts";
import { HISTOGRAM_FUNCTIONS, VALUE_FUNCTIONS } from "../functions/scalar-math.ts";
import { RANGE_FUNCTIONS } from "../functions/over-time.ts";
import { type CallExpr, unwrapParens } from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import { constantTile, type Tile } from "../tile.ts";
import { absent, absentOverTime } from "./absent.ts";
import type { EvalContext } from "./context.ts";
import { evaluateScalar } from "./evaluator.ts";
import { histogramFraction, histogramQuantile, histogramQuantiles } from "./histogram-functions.ts";
import { info } from "./info.ts";
import { labelJoin, labelReplace } from "./label-functions.ts";
import { mapDates, mapHistograms, mapValues, timestamps } from "./map-values.ts";
import { mergeNameless } from "./names.ts";
import { rangeFunction } from "./range-function.ts";
import { sortByLabel, sortByValue } from "./sort.ts";

export async function* callFunction(written: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const call = { ...written, args: written.args.map(unwrapParens) };
  const { func, args } = call;
  const range = RANGE_FUNCTIONS.get(func);
  if (range !== undefined) {
    const rangeAt = args.findIndex((arg) => typeOf(arg) === "matrix");
    return yield* rangeFunction(call, range, rangeAt, context);
  }
  if (VALUE_FUNCTIONS.has(func)) return yield* mergeNameless(mapValues(call, context), args[0]!, context);
  if (HISTOGRAM_FUNCTIONS.has(func)) return yield* mergeNameless(mapHistograms(call, context), args[0]!, context);
  if (DATE_FUNCTIONS.has(func)) {
    if (args.length === 0) return yield* mapDates(call, context);
    return yield* mergeNameless(mapDates(call, context), args[0]!, context);
  }
  switch (func) {
    case "absent":
      return yield* absent(args[0]!, context);
    case "absent_over_time":
      return yield* absentOverTime(args[0]!, context);
    case "histogram_fraction":
      return yield* histogramFraction(call, context);
    case "histogram_quantile":
      return yield* histogramQuantile(call, context);
    case "histogram_quantiles":
      return yield* histogramQuantiles(call, context);
    case "info":
      return yield* info(call, context);
    case "label_join":
      return yield* labelJoin(call, context);
    case "label_replace":
      return yield* labelReplace(call, context);
    case "sort":
    case "sort_desc":
      return yield* sortByValue(call, context);
    case "sort_by_label":
    case "sort_by_label_desc":
      return yield* sortByLabel(call, context);
    case "start_timestamp":
    case "timestamp":
      return yield* mergeNameless(timestamps(call, context), args[0]!, context);
    case "vector":
      yield constantTile(await evaluateScalar(args[0]!, context));
      return;
    default:
      throw new ExecutionError(`BUG: no operator for the function ${func}`);
  }
}
