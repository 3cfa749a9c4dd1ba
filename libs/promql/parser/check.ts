/** Types of expressions, and what Prometheus refuses about them. */
import { type Expr, isComparison, isSetOp, type ValueType } from "./ast.ts";
import { SIGNATURES } from "../functions/signatures.ts";
import { ParseError } from "./lexer.ts";

export const TYPE_NAMES: Readonly<Record<ValueType, string>> = {
  scalar: "scalar",
  vector: "instant vector",
  matrix: "range vector",
  string: "string",
};

export function typeOf(expr: Expr): ValueType {
  switch (expr.kind) {
    case "number":
      return "scalar";
    case "string":
      return "string";
    case "selector":
    case "aggregate":
      return "vector";
    case "matrix":
    case "subquery":
      return "matrix";
    case "unary":
    case "paren":
    case "invariant":
      return typeOf(expr.expr);
    case "binary":
      return typeOf(expr.lhs) === "scalar" && typeOf(expr.rhs) === "scalar" ? "scalar" : "vector";
    case "call":
      return Object.hasOwn(SIGNATURES, expr.func) ? SIGNATURES[expr.func]!.returns : "vector";
  }
}

/** @throws ParseError at the first expression whose parts do not fit. */
export function checkTypes(input: string, expr: Expr): void {
  const fail = (at: Expr, message: string): never => {
    throw new ParseError(input, at.span.from, message);
  };
  const expect = (part: Expr, wanted: ValueType, context: string): void => {
    const got = typeOf(part);
    if (got !== wanted) fail(part, `expected type ${TYPE_NAMES[wanted]} in ${context}, got ${TYPE_NAMES[got]}`);
  };
  switch (expr.kind) {
    case "number":
    case "string":
    case "selector":
    case "matrix":
      return;
    case "paren":
    case "invariant":
      return checkTypes(input, expr.expr);
    case "unary": {
      checkTypes(input, expr.expr);
      const type = typeOf(expr.expr);
      if (type !== "scalar" && type !== "vector") {
        fail(
          expr,
          `unary expression only allowed on expressions of type scalar or instant vector, got ${JSON.stringify(TYPE_NAMES[type])}`,
        );
      }
      return;
    }
    case "subquery": {
      checkTypes(input, expr.expr);
      const type = typeOf(expr.expr);
      if (type !== "vector" && type !== "scalar") {
        fail(expr, `subquery is only allowed on instant vector, got ${type} instead`);
      }
      return;
    }
    case "aggregate":
      checkTypes(input, expr.expr);
      expect(expr.expr, "vector", "aggregation expression");
      if (expr.param !== undefined) {
        checkTypes(input, expr.param);
        expect(expr.param, expr.op === "count_values" ? "string" : "scalar", "aggregation parameter");
      }
      return;
    case "binary": {
      checkTypes(input, expr.lhs);
      checkTypes(input, expr.rhs);
      const [left, right] = [typeOf(expr.lhs), typeOf(expr.rhs)];
      for (const side of [expr.lhs, expr.rhs]) {
        const type = typeOf(side);
        if (type !== "scalar" && type !== "vector") {
          fail(side, "binary expression must contain only scalar and instant vector types");
        }
      }
      if (left === "scalar" && right === "scalar" && isComparison(expr.op) && !expr.bool) {
        throw new ParseError(input, expr.opSpan.from, "comparisons between scalars must use BOOL modifier");
      }
      if (isSetOp(expr.op) && (left === "scalar" || right === "scalar")) {
        fail(expr, `set operator ${JSON.stringify(expr.op)} not allowed in binary scalar expression`);
      }
      if (expr.matching !== undefined && (left === "scalar" || right === "scalar") && expr.matching.labels.length > 0) {
        fail(expr, "vector matching only allowed between instant vectors");
      }
      return;
    }
    case "call":
      checkCall(input, expr, fail, expect);
  }
}

function checkCall(
  input: string,
  expr: Expr & { kind: "call" },
  fail: (at: Expr, message: string) => never,
  expect: (part: Expr, wanted: ValueType, context: string) => void,
): void {
  const signature = Object.hasOwn(SIGNATURES, expr.func) ? SIGNATURES[expr.func] : undefined;
  if (signature === undefined) fail(expr, `unknown function with name ${JSON.stringify(expr.func)}`);
  const { args, optional, variadic } = signature!;
  const count = expr.args.length;
  const plural = (n: number): string => `${n} argument(s) in call to ${JSON.stringify(expr.func)}, got ${count}`;
  const least = args.length - optional;
  if (optional === 0 && !variadic && count !== args.length) fail(expr, `expected ${plural(args.length)}`);
  if (count < least) fail(expr, `expected at least ${plural(least)}`);
  if (!variadic && count > args.length) fail(expr, `expected at most ${plural(args.length)}`);
  expr.args.forEach((arg, i) => {
    checkTypes(input, arg);
    expect(arg, args[Math.min(i, args.length - 1)]!, `call to function ${JSON.stringify(expr.func)}`);
  });
}
