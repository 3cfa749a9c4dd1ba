/** A syntax tree as `parse_query` shows it: plain JSON, each node with its `type`. */
import { formatPlain } from "#libs/model/float.ts";
import { signatureOf } from "#libs/promql/functions/signatures.ts";
import type { DurationExpr, Expr, Subquery, VectorMatching, VectorSelector } from "#libs/promql/parser/ast.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export function exprToJson(expr: Expr): Json {
  switch (expr.kind) {
    case "number":
      return { type: "numberLiteral", val: formatPlain(expr.value) };
    case "string":
      return { type: "stringLiteral", val: expr.value.toWellFormed() };
    case "selector":
      return { type: "vectorSelector", ...selectorToJson(expr), ...timesToJson(expr) };
    case "matrix":
      return {
        type: "matrixSelector",
        ...selectorToJson(expr.selector),
        ...timesToJson(expr.selector),
        range: expr.rangeMs,
        rangeExpr: durationToJson(expr.rangeExpr),
      };
    case "subquery":
      return {
        type: "subquery",
        expr: exprToJson(expr.expr),
        range: expr.rangeMs,
        rangeExpr: durationToJson(expr.rangeExpr),
        step: expr.stepMs,
        stepExpr: durationToJson(expr.stepExpr),
        ...timesToJson(expr),
      };
    case "unary":
      return { type: "unaryExpr", op: expr.op, expr: exprToJson(expr.expr) };
    case "paren":
      return { type: "parenExpr", expr: exprToJson(expr.expr) };
    case "invariant":
    case "shared":
      return exprToJson(expr.expr);
    case "binary":
      return {
        type: "binaryExpr",
        op: expr.op,
        lhs: exprToJson(expr.lhs),
        rhs: exprToJson(expr.rhs),
        matching: expr.matching === undefined ? null : matchingToJson(expr.matching),
        bool: expr.bool,
      };
    case "aggregate":
      return {
        type: "aggregation",
        op: expr.op,
        expr: exprToJson(expr.expr),
        param: expr.param === undefined ? null : exprToJson(expr.param),
        grouping: expr.grouping,
        without: expr.without,
      };
    case "call": {
      const { args, variadic, returns } = signatureOf(expr.func)!;
      const func = { name: expr.func, argTypes: args, variadic, returnType: returns };
      return { type: "call", func, args: expr.args.map(exprToJson) };
    }
  }
}

function selectorToJson({ name, matchers, borders }: VectorSelector): Record<string, Json> {
  return {
    name,
    matchers: matchers.map((matcher) => ({
      name: matcher.name.toWellFormed(),
      value: matcher.value.toWellFormed(),
      type: matcher.type,
    })),
    anchored: borders === "anchored",
    smoothed: borders === "smoothed",
  };
}

function timesToJson({ offsetMs, offsetExpr, at }: VectorSelector | Subquery): Record<string, Json> {
  return {
    offset: offsetMs,
    offsetExpr: durationToJson(offsetExpr),
    timestamp: at?.kind === "time" ? at.timeMs : null,
    startOrEnd: at === undefined || at.kind === "time" ? null : at.kind,
  };
}

function matchingToJson({ card, labels, on, include, fillLeft, fillRight }: VectorMatching): Json {
  return { card, labels, on, include, fillValues: { lhs: fillLeft ?? null, rhs: fillRight ?? null } };
}

function durationToJson(expr: DurationExpr | undefined): Json {
  if (expr === undefined) return null;
  const node = (op: string, lhs: Json, rhs: Json): Record<string, Json> => ({
    type: "durationExpr",
    op,
    lhs,
    rhs,
    wrapped: false,
  });
  switch (expr.kind) {
    case "duration-number":
      return { type: "numberLiteral", val: formatPlain(expr.seconds), duration: expr.isDuration };
    case "duration-step":
      return node("step", null, null);
    case "duration-range":
      return node("range", null, null);
    case "duration-unary":
      return node(expr.op, null, durationToJson(expr.expr));
    case "duration-binary":
      return node(expr.op, durationToJson(expr.lhs), durationToJson(expr.rhs));
    case "duration-call":
      return node(expr.func, durationToJson(expr.lhs), durationToJson(expr.rhs));
    case "duration-paren": {
      const inner = durationToJson(expr.expr);
      // A number cannot be marked as wrapped: it becomes the operand of a plus.
      const wrappable = expr.expr.kind === "duration-number" ? node("+", null, inner) : (inner as Record<string, Json>);
      return { ...wrappable, wrapped: true };
    }
  }
}
