/**
 * From syntax tree to plan: the same typed nodes, plain data that can travel, with everything settled that does not
 * need data. A pass is a function of a tree; `planQuery` runs them in order.
 *
 *   resolve   `@ start()` and `@ end()` become times
 *   fold      arithmetic of numbers becomes a number, parentheses go
 *   invariant what gives the same at every step is evaluated once
 */
import { type AtModifier, type Expr, isComparison, isSetOp, isTrim } from "../parser/ast.ts";
import { scalarBinary } from "../operators/scalar-binary.ts";

export interface QueryRange {
  readonly startMs: number;
  readonly endMs: number;
}

/** Plans a parsed query for a range; pure. */
export function planQuery(expr: Expr, range: QueryRange): Expr {
  return markInvariant(fold(resolveAt(expr, range)));
}

/** Applies `f` to the direct children. */
function mapChildren(expr: Expr, f: (child: Expr) => Expr): Expr {
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

function resolveAt(expr: Expr, range: QueryRange): Expr {
  const resolve = (at: AtModifier | undefined): AtModifier | undefined =>
    at === undefined || at.kind === "time"
      ? at
      : { kind: "time", timeMs: at.kind === "start" ? range.startMs : range.endMs };
  const mapped = mapChildren(expr, (child) => resolveAt(child, range));
  if (mapped.kind === "selector" || mapped.kind === "subquery") return { ...mapped, at: resolve(mapped.at) };
  if (mapped.kind === "matrix") return { ...mapped, selector: { ...mapped.selector, at: resolve(mapped.selector.at) } };
  return mapped;
}

function fold(expr: Expr): Expr {
  const mapped = mapChildren(expr, fold);
  if (mapped.kind === "paren") return mapped.expr;
  if (mapped.kind === "unary" && mapped.expr.kind === "number") {
    return { ...mapped.expr, value: mapped.op === "-" ? -mapped.expr.value : mapped.expr.value };
  }
  if (
    mapped.kind === "binary" &&
    mapped.lhs.kind === "number" &&
    mapped.rhs.kind === "number" &&
    !isSetOp(mapped.op) &&
    !isTrim(mapped.op)
  ) {
    return { kind: "number", span: mapped.span, value: scalarBinary(mapped.op, mapped.lhs.value, mapped.rhs.value) };
  }
  return mapped;
}

/** Functions whose result depends on the evaluation time even over a fixed selector. */
const TIME_DEPENDENT = new Set([
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
      return isInvariant(expr.expr) && (expr.param === undefined || isInvariant(expr.param));
    case "binary":
      return isInvariant(expr.lhs) && isInvariant(expr.rhs);
    case "call":
      return !TIME_DEPENDENT.has(expr.func) && expr.args.every(isInvariant);
  }
}

/** Wraps the largest subtrees that are worth evaluating once. */
function markInvariant(expr: Expr): Expr {
  if (expr.kind === "number" || expr.kind === "string" || expr.kind === "matrix" || expr.kind === "subquery")
    return expr;
  if (isInvariant(expr) && !isOnlyNumbers(expr)) return { kind: "invariant", span: expr.span, expr };
  // Sorting ignores range queries, and comparisons keep their operands: nothing else needs care.
  return mapChildren(expr, (child) =>
    child.kind === "matrix" || child.kind === "subquery" ? child : markInvariant(child),
  );
}

function isOnlyNumbers(expr: Expr): boolean {
  if (expr.kind === "number" || expr.kind === "string") return true;
  return expr.kind === "binary" && !isComparison(expr.op) && isOnlyNumbers(expr.lhs) && isOnlyNumbers(expr.rhs);
}
