/**
 * From syntax tree to plan: the same typed nodes, plain data that can travel, with everything settled that does not
 * need data. A pass is a function of a tree; `planQuery` runs them in order.
 *
 *   resolve   `start()`, `end()`, `range()` and `step()` become numbers, durations milliseconds, `@ end()` a time
 *   fold      arithmetic of numbers becomes a number, parentheses go
 *   stats     selectors of whose histograms only count and sum are asked for
 *   invariant what gives the same at every step is evaluated once (the rules are Prometheus's: promql/engine.go)
 */
import { evaluateDuration } from "../parser/evaluate-duration.ts";
import { type AtModifier, type DurationExpr, type Expr, isSetOp, isTrim, unwrapParens } from "../parser/ast.ts";
import { scalarBinary } from "../operators/scalar-binary.ts";

export interface QueryRange {
  readonly startMs: number;
  readonly endMs: number;
  /** 0 at an instant. */
  readonly stepMs: number;
}

/** Plans a parsed query for a range; pure. @throws BadRequestError for a duration that cannot be. */
export function planQuery(expr: Expr, range: QueryRange, query: string): Expr {
  return markInvariant(markStats(fold(resolve(expr, range, query)), false));
}

/** Applies `f` to the direct children. */
export function mapChildren(expr: Expr, f: (child: Expr) => Expr): Expr {
  switch (expr.kind) {
    case "number":
    case "string":
    case "selector":
    case "matrix":
      return expr;
    case "subquery":
    case "unary":
    case "paren":
    case "invariant":
      return { ...expr, expr: f(expr.expr) };
    case "aggregate":
      return { ...expr, expr: f(expr.expr), param: expr.param === undefined ? undefined : f(expr.param) };
    case "binary":
      return { ...expr, lhs: f(expr.lhs), rhs: f(expr.rhs) };
    case "call":
      return { ...expr, args: expr.args.map(f) };
  }
}

function resolve(expr: Expr, range: QueryRange, query: string): Expr {
  const at = (given: AtModifier | undefined): AtModifier | undefined =>
    given === undefined || given.kind === "time"
      ? given
      : { kind: "time", timeMs: given.kind === "start" ? range.startMs : range.endMs };
  const durations = {
    stepMs: range.startMs === range.endMs ? 0 : range.stepMs,
    rangeMs: range.endMs - range.startMs,
    query,
  };
  const ms = (known: number, duration: DurationExpr | undefined, isOffset: boolean): number =>
    duration === undefined ? known : evaluateDuration(duration, { ...durations, isOffset });
  const mapped = mapChildren(expr, (child) => resolve(child, range, query));
  switch (mapped.kind) {
    case "selector":
      return { ...mapped, at: at(mapped.at), offsetMs: ms(mapped.offsetMs, mapped.offsetExpr, true) };
    case "matrix": {
      const selector = resolve(mapped.selector, range, query) as typeof mapped.selector;
      return { ...mapped, selector, rangeMs: ms(mapped.rangeMs, mapped.rangeExpr, false) };
    }
    case "subquery":
      return {
        ...mapped,
        at: at(mapped.at),
        rangeMs: ms(mapped.rangeMs, mapped.rangeExpr, false),
        stepMs: ms(mapped.stepMs, mapped.stepExpr, false),
        offsetMs: ms(mapped.offsetMs, mapped.offsetExpr, true),
      };
    case "call": {
      const value = ofQuery(mapped.func, range);
      return value === undefined ? mapped : { kind: "number", span: mapped.span, value };
    }
    default:
      return mapped;
  }
}

/** Functions of the query itself, in seconds. */
function ofQuery(func: string, { startMs, endMs, stepMs }: QueryRange): number | undefined {
  switch (func) {
    case "start":
      return startMs / 1000;
    case "end":
      return endMs / 1000;
    case "range":
      return (endMs - startMs) / 1000;
    case "step":
      return startMs === endMs ? 0 : stepMs / 1000;
    default:
      return undefined;
  }
}

function fold(expr: Expr): Expr {
  const mapped = mapChildren(expr, fold);
  if (mapped.kind === "paren") return mapped.expr;
  if (mapped.kind === "unary" && mapped.expr.kind === "number") {
    return { ...mapped.expr, value: mapped.op === "-" ? -mapped.expr.value : mapped.expr.value };
  }
  if (mapped.kind === "binary" && mapped.lhs.kind === "number" && mapped.rhs.kind === "number") {
    const { op } = mapped;
    if (isSetOp(op) || isTrim(op)) return mapped;
    return { kind: "number", span: mapped.span, value: scalarBinary(op, mapped.lhs.value, mapped.rhs.value) };
  }
  return mapped;
}

/** Functions that need no buckets, and those that need them whatever is asked for above. */
const STATS_FUNCTIONS: ReadonlySet<string> = new Set(["histogram_avg", "histogram_count", "histogram_sum"]);
const BUCKET_FUNCTIONS: ReadonlySet<string> = new Set([
  "histogram_fraction",
  "histogram_quantile",
  "histogram_quantiles",
]);

/** The rules are those of Prometheus's detectHistogramStatsDecoding: resets are then told apart before buckets go. */
function markStats(expr: Expr, wanted: boolean): Expr {
  switch (expr.kind) {
    case "selector":
      return wanted ? { ...expr, statsOnly: true } : expr;
    case "matrix":
      return wanted ? { ...expr, selector: { ...expr.selector, statsOnly: true } } : expr;
    case "subquery":
      return expr;
    case "call":
      if (BUCKET_FUNCTIONS.has(expr.func)) return expr;
      return mapChildren(expr, (child) => markStats(child, wanted || STATS_FUNCTIONS.has(expr.func)));
    case "binary":
      return isTrim(expr.op) ? expr : mapChildren(expr, (child) => markStats(child, wanted));
    default:
      return mapChildren(expr, (child) => markStats(child, wanted));
  }
}

/** Functions whose result depends on the evaluation time even over a fixed selector. */
const TIME_DEPENDENT: ReadonlySet<string> = new Set([
  "days_in_month",
  "day_of_month",
  "day_of_week",
  "day_of_year",
  "hour",
  "minute",
  "month",
  "year",
  "predict_linear",
  "time",
  "timestamp",
]);

function isInvariant(expr: Expr): boolean {
  switch (expr.kind) {
    case "number":
    case "string":
    case "invariant":
      return true;
    case "selector":
      return expr.at !== undefined;
    case "matrix":
      return expr.selector.at !== undefined;
    case "subquery":
      return expr.at !== undefined;
    case "unary":
    case "paren":
      return isInvariant(expr.expr);
    case "aggregate":
      // Whatever the parameter does, as in Prometheus.
      return isInvariant(expr.expr);
    case "binary":
      return isInvariant(expr.lhs) && isInvariant(expr.rhs);
    case "call":
      if (expr.func === "timestamp")
        return unwrapParens(expr.args[0]!).kind === "selector" && isInvariant(expr.args[0]!);
      return !TIME_DEPENDENT.has(expr.func) && expr.args.every(isInvariant);
  }
}

/** Wraps the largest subtrees that are worth evaluating once; ranges are not wrapped, what is inside a subquery is. */
function markInvariant(expr: Expr): Expr {
  switch (expr.kind) {
    case "number":
    case "string":
    case "matrix":
      return expr;
    case "subquery":
      return mapChildren(expr, markInvariant);
    default:
      if (isInvariant(expr)) return { kind: "invariant", span: expr.span, expr };
      return mapChildren(expr, markInvariant);
  }
}
