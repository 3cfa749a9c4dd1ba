/** What a pass is: a function of a tree that changes neither answers, warnings nor errors. */
import type { Expr } from "../parser/ast.ts";

export interface QueryRange {
  readonly startMs: number;
  readonly endMs: number;
  /** 0 at an instant. */
  readonly stepMs: number;
}

/** What a pass may know besides the tree. */
export interface PassContext {
  readonly range: QueryRange;
  /** The text that was parsed. */
  readonly query: string;
}

export interface Pass {
  readonly name: string;
  /** Why it pays, in a line. */
  readonly reason: string;
  /** @throws BadRequestError for what cannot be planned. */
  readonly run: (expr: Expr, context: PassContext) => Expr;
}

/** Applies `f` to the direct children; ranges have none. */
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
    case "shared":
      return { ...expr, expr: f(expr.expr) };
    case "aggregate":
      return { ...expr, expr: f(expr.expr), param: expr.param === undefined ? undefined : f(expr.param) };
    case "binary":
      return { ...expr, lhs: f(expr.lhs), rhs: f(expr.rhs) };
    case "call":
      return { ...expr, args: expr.args.map(f) };
  }
}
