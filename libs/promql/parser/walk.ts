/** Walks over the tree. */
import type { MatcherSpec } from "#libs/model/matcher.ts";
import type { DurationExpr, Expr } from "./ast.ts";
import { ParseError } from "./parse-error.ts";
import { DEPTH_MAX, TOO_DEEP } from "./tokens.ts";

/** The expressions directly inside; of an aggregation its vector comes first. */
export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case "number":
    case "string":
    case "selector":
      return [];
    case "matrix":
      return [expr.selector];
    case "subquery":
    case "unary":
    case "paren":
    case "invariant":
    case "shared":
      return [expr.expr];
    case "aggregate":
      return expr.param === undefined ? [expr.expr] : [expr.expr, expr.param];
    case "binary":
      return [expr.lhs, expr.rhs];
    case "call":
      return expr.args;
  }
}

/** The matchers of each selector, in the order of the text but for parameters of aggregations. */
export function selectorsOf(expr: Expr): (readonly MatcherSpec[])[] {
  return expr.kind === "selector" ? [expr.matchers] : childrenOf(expr).flatMap(selectorsOf);
}

/** @throws ParseError when the tree is too deep to be walked by recursion. */
export function assertDepth(query: string, root: Expr): void {
  const stack: { node: Expr | DurationExpr; depth: number }[] = [{ node: root, depth: 1 }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, depth } = top;
    if (depth > DEPTH_MAX) throw new ParseError(query, [{ message: TOO_DEEP, ...node.span }]);
    for (const child of isDuration(node) ? partsOf(node) : [...childrenOf(node), ...durationsOf(node)]) {
      stack.push({ node: child, depth: depth + 1 });
    }
  }
}

function isDuration(node: Expr | DurationExpr): node is DurationExpr {
  return node.kind.startsWith("duration-");
}

function durationsOf(expr: Expr): DurationExpr[] {
  const durations =
    expr.kind === "selector"
      ? [expr.offsetExpr]
      : expr.kind === "matrix"
        ? [expr.rangeExpr]
        : expr.kind === "subquery"
          ? [expr.rangeExpr, expr.stepExpr, expr.offsetExpr]
          : [];
  return durations.filter((duration) => duration !== undefined);
}

function partsOf(duration: DurationExpr): readonly DurationExpr[] {
  switch (duration.kind) {
    case "duration-number":
    case "duration-step":
    case "duration-range":
      return [];
    case "duration-unary":
    case "duration-paren":
      return [duration.expr];
    case "duration-binary":
    case "duration-call":
      return [duration.lhs, duration.rhs];
  }
}
