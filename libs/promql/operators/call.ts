/** Function calls: one place a function is bound to its operator. */
import type { RE2JS } from "re2js";
import { ExecutionError } from "#libs/kit/errors.ts";
import { formatValue, parseGoFloat } from "#libs/model/float.ts";
import { dropLabels, type Labels, labelsKey, labelValue, METRIC_NAME, withLabel } from "#libs/model/labels.ts";
import { compileRe2 } from "#libs/model/matcher.ts";
import { bucketQuantile, type Bucket, type Monotonicity } from "../functions/histogram-quantile.ts";
import { RANGE_FUNCTIONS } from "../functions/over-time.ts";
import { DATE_FUNCTIONS, VALUE_FUNCTIONS } from "../functions/scalar-math.ts";
import { type CallExpr, type Expr, unwrapParens } from "../parser/ast.ts";
import { createTile, stepTime, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectVector, evaluateScalar, evaluateVector } from "./evaluator.ts";
import { dropName, UniqueSeries } from "./labels.ts";
import { rangeFunction, rangeSeries, selectInstant } from "./select.ts";

export async function* callFunction(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  if (!dropsNames(call)) return yield* bind(call, context);
  // Series that differ in nothing but their name become equal.
  const unique = new UniqueSeries();
  for await (const tile of bind(call, context)) {
    unique.add(tile, context.steps.count);
    yield tile;
  }
}

/** Whether the result may have equal label sets: names go, and more than one name is selected. */
function dropsNames(call: CallExpr): boolean {
  if (call.func === "label_replace" || call.func === "label_join") return true;
  if (
    ["sort", "sort_desc", "last_over_time", "first_over_time", "vector", "absent", "absent_over_time"].includes(
      call.func,
    )
  )
    return false;
  return !call.args.some(selectsOneName);
}

function selectsOneName(expr: Expr): boolean {
  const inner = unwrapParens(expr);
  const selector = inner.kind === "matrix" ? inner.selector : inner;
  return (
    selector.kind === "selector" &&
    selector.matchers.some((matcher) => matcher.name === METRIC_NAME && matcher.type === "=")
  );
}

function bind(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { func, args } = call;
  const range = RANGE_FUNCTIONS[func];
  if (range !== undefined) return overRange(call, context);
  if (VALUE_FUNCTIONS[func] !== undefined) return mapValues(call, context);
  if (DATE_FUNCTIONS[func] !== undefined) return mapDates(call, context);
  switch (func) {
    case "absent":
      return absent(args[0]!, context);
    case "absent_over_time":
      return absentOverTime(args[0]!, context);
    case "histogram_quantile":
      return histogramQuantile(call, context);
    case "label_join":
      return labelJoin(call, context);
    case "label_replace":
      return labelReplace(call, context);
    case "sort":
    case "sort_desc":
      return sorted(call, context);
    case "timestamp":
      return timestamps(args[0]!, context);
    case "vector":
      return scalarVector(args[0]!, context);
    default:
      throw new ExecutionError(`function ${func} is not supported yet`);
  }
}

async function* overRange(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { func, args } = call;
  const scalarAt = func === "quantile_over_time" ? 0 : func === "predict_linear" ? 1 : -1;
  const param = scalarAt < 0 ? undefined : await evaluateScalar(args[scalarAt]!, context);
  if (func === "quantile_over_time") warnQuantiles(param!, args[0]!, context);
  const range = args[scalarAt === 0 ? 1 : 0]!;
  if (func === "rate" || func === "increase") adviseCounter(range, context);
  yield* rangeFunction(func, RANGE_FUNCTIONS[func]!, unwrapParens(range), param, context);
}

function adviseCounter(range: Expr, context: EvalContext): void {
  const inner = unwrapParens(range);
  const name = inner.kind === "matrix" ? inner.selector.name : "";
  if (name === "" || /_(total|sum|count|bucket)$/.test(name)) return;
  context.annotations.info(
    `metric might not be a counter, name does not end in _total/_sum/_count/_bucket: ${JSON.stringify(name)}`,
    inner.span,
  );
}

function warnQuantiles(params: Float64Array, at: Expr, context: EvalContext): void {
  for (const q of params) {
    if (Number.isNaN(q) || q < 0 || q > 1) {
      context.annotations.warn(`quantile value should be between 0 and 1, got ${formatValue(q)}`, at.span);
    }
  }
}

async function* mapValues(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const apply = VALUE_FUNCTIONS[call.func]!;
  const fallback = call.func === "round" ? 1 : NaN;
  const scalarOf = async (i: number): Promise<Float64Array> =>
    call.args[i] === undefined ? new Float64Array(count).fill(fallback) : evaluateScalar(call.args[i]!, context);
  const first = await scalarOf(1);
  const second = await scalarOf(2);
  for await (const tile of evaluateVector(call.args[0]!, context)) {
    const { labels, values, present } = tile;
    for (let s = 0; s < labels.length; s++) {
      labels[s] = dropName(labels[s]!);
      for (let i = 0; i < count; i++) {
        const at = s * count + i;
        if (call.func === "clamp" && second[i]! < first[i]!) present[at] = 0;
        else if (present[at] === 1) values[at] = apply(values[at]!, first[i]!, second[i]!);
      }
    }
    yield tile;
  }
}

async function* mapDates(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { steps } = context;
  const apply = DATE_FUNCTIONS[call.func]!;
  if (call.args.length === 0) {
    const tile = createTile(1, steps.count);
    tile.labels.push([]);
    for (let i = 0; i < steps.count; i++) tile.values[i] = apply(stepTime(steps, i) / 1000);
    tile.present.fill(1);
    yield tile;
    return;
  }
  for await (const tile of evaluateVector(call.args[0]!, context)) {
    tile.labels.forEach((labels, s) => (tile.labels[s] = dropName(labels)));
    for (let i = 0; i < tile.values.length; i++) if (tile.present[i] === 1) tile.values[i] = apply(tile.values[i]!);
    yield tile;
  }
}

async function* timestamps(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const inner = unwrapParens(expr);
  if (inner.kind === "selector") {
    for await (const tile of selectInstant(inner, context, true)) {
      tile.labels.forEach((labels, s) => (tile.labels[s] = dropName(labels)));
      yield tile;
    }
    return;
  }
  const { steps } = context;
  for await (const tile of evaluateVector(inner, context)) {
    tile.labels.forEach((labels, s) => {
      tile.labels[s] = dropName(labels);
      for (let i = 0; i < steps.count; i++) tile.values[s * steps.count + i] = stepTime(steps, i) / 1000;
    });
    yield tile;
  }
}

async function* scalarVector(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const tile = createTile(1, count);
  tile.labels.push([]);
  tile.values.set(await evaluateScalar(expr, context));
  tile.present.fill(1);
  yield tile;
}

/** Series by value; a range query is ordered by labels anyway. */
async function* sorted(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const all = await collectVector(call.args[0]!, context);
  if (context.steps.count > 1) {
    context.annotations.warn(
      "sort is ineffective for range queries since results are always ordered by labels",
      call.span,
    );
    yield all;
    return;
  }
  const direction = call.func === "sort" ? 1 : -1;
  const order = all.labels.map((_, s) => s);
  order.sort((a, b) => {
    const [x, y] = [all.values[a]!, all.values[b]!];
    if (Number.isNaN(x)) return Number.isNaN(y) ? a - b : 1;
    if (Number.isNaN(y)) return -1;
    return direction * (x - y) || a - b;
  });
  const out = createTile(order.length, 1);
  order.forEach((s, row) => {
    out.labels.push(all.labels[s]!);
    out.values[row] = all.values[s]!;
    out.present[row] = 1;
  });
  yield out;
}

/** Labels of an absent result: what the selector's equality matchers say, each name once. */
function labelsOfAbsent(expr: Expr): Labels {
  const inner = unwrapParens(expr);
  const selector = inner.kind === "matrix" ? inner.selector : inner;
  if (selector.kind !== "selector") return [];
  let labels: Labels = [];
  const seen = new Set<string>();
  for (const { type, name, value } of selector.matchers) {
    if (name === METRIC_NAME) continue;
    labels = withLabel(labels, name, type === "=" && !seen.has(name) ? value : "");
    seen.add(name);
  }
  return labels;
}

async function* absent(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const out = createTile(1, count);
  out.values.fill(1);
  out.present.fill(1);
  for await (const tile of evaluateVector(expr, context)) {
    for (let s = 0; s < tile.labels.length; s++) {
      for (let i = 0; i < count; i++) if (tile.present[s * count + i] === 1) out.present[i] = 0;
    }
  }
  out.labels.push(labelsOfAbsent(expr));
  yield out;
}

async function* absentOverTime(expr: Expr, context: EvalContext): AsyncGenerator<Tile> {
  const { steps } = context;
  const out = createTile(1, steps.count);
  out.values.fill(1);
  out.present.fill(1);
  for await (const series of rangeSeries(unwrapParens(expr), "absent_over_time", context)) {
    const { columns, fixedMs, offsetMs, rangeMs } = series;
    let to = 0;
    for (let i = 0; i < steps.count; i++) {
      const end = (fixedMs ?? stepTime(steps, i)) - offsetMs;
      while (to < columns.length && columns.times[to]! <= end) to++;
      if (to > 0 && columns.times[to - 1]! > end - rangeMs) out.present[i] = 0;
    }
  }
  out.labels.push(labelsOfAbsent(expr));
  yield out;
}

async function* labelReplace(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const [target, replacement, source, pattern] = call.args
    .slice(1)
    .map((arg) => (arg.kind === "string" ? arg.value : "")) as [string, string, string, string];
  if (target === "") throw new ExecutionError(`invalid destination label name in label_replace(): ${target}`);
  let re: RE2JS;
  try {
    re = compileRe2(`^(?s:${pattern})$`, pattern);
  } catch (cause) {
    throw new ExecutionError(`invalid regular expression in label_replace(): ${pattern}`, { cause });
  }
  for await (const tile of evaluateVector(call.args[0]!, context)) {
    tile.labels.forEach((labels, s) => {
      const match = re.matcher(labelValue(labels, source));
      if (match.matches()) tile.labels[s] = withLabel(labels, target, expand(replacement, match));
    });
    yield tile;
  }
}

/** Go's Regexp.Expand: `$1`, `${name}`, `$$`; an unbraced name is as long as it can be. */
function expand(template: string, match: ReturnType<RE2JS["matcher"]>): string {
  return template.replace(
    /\$(?:\$|\{(\w+)\}|(\w+))/g,
    (whole, braced: string | undefined, bare: string | undefined) => {
      if (whole === "$$") return "$";
      const name = braced ?? bare!;
      try {
        return (/^\d+$/.test(name) ? match.group(Number(name)) : match.group(name)) ?? "";
      } catch (error) {
        if (error instanceof Error) return ""; // no such group: empty, as in Go
        throw error;
      }
    },
  );
}

async function* labelJoin(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const [target, separator, ...sources] = call.args.slice(1).map((arg) => (arg.kind === "string" ? arg.value : "")) as [
    string,
    string,
    ...string[],
  ];
  if (target === "") throw new ExecutionError(`invalid destination label name in label_join(): ${target}`);
  for await (const tile of evaluateVector(call.args[0]!, context)) {
    tile.labels.forEach((labels, s) => {
      tile.labels[s] = withLabel(labels, target, sources.map((source) => labelValue(labels, source)).join(separator));
    });
    yield tile;
  }
}

const BUCKET_LABEL: ReadonlySet<string> = new Set(["le", METRIC_NAME]);

async function* histogramQuantile(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const { count } = context.steps;
  const quantiles = await evaluateScalar(call.args[0]!, context);
  warnQuantiles(quantiles, call.args[0]!, context);
  const input = await collectVector(call.args[1]!, context);
  const groups = new Map<string, { labels: Labels; rows: { s: number; upperBound: number }[] }>();
  input.labels.forEach((labels, s) => {
    const le = labelValue(labels, "le");
    const upperBound = parseGoFloat(le);
    if (upperBound === undefined) {
      const name = labelValue(labels, METRIC_NAME);
      context.annotations.warn(
        `bucket label "le" is missing or has a malformed value of ${JSON.stringify(le)}${name === "" ? "" : ` for metric name ${JSON.stringify(name)}`}`,
        call.args[1]!.span,
      );
      return;
    }
    const groupLabels = dropLabels(labels, BUCKET_LABEL);
    const key = labelsKey(groupLabels);
    let group = groups.get(key);
    if (group === undefined) {
      group = { labels: groupLabels, rows: [] };
      groups.set(key, group);
    }
    group.rows.push({ s, upperBound });
  });
  const out = createTile(groups.size, count);
  let g = 0;
  for (const { labels, rows } of groups.values()) {
    out.labels.push(labels);
    for (let i = 0; i < count; i++) {
      const buckets: Bucket[] = [];
      for (const { s, upperBound } of rows) {
        if (input.present[s * count + i] === 1) buckets.push({ upperBound, count: input.values[s * count + i]! });
      }
      if (buckets.length === 0) continue;
      const fixed: Monotonicity = { forced: false, minBucket: 0, maxBucket: 0, maxDiff: 0 };
      out.values[g * count + i] = bucketQuantile(quantiles[i]!, buckets, fixed);
      out.present[g * count + i] = 1;
      if (fixed.forced) {
        context.annotations.info(
          "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
          call.args[1]!.span,
        );
      }
    }
    g++;
  }
  yield out;
}
