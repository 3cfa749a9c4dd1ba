/**
 * From syntax tree to plan: the same typed nodes with everything settled that does not need data, by passes (passes.ts).
 * Plain data: plan-text.ts writes and reads it.
 */
import type { Expr } from "../parser/ast.ts";
import type { Pass, QueryRange } from "./pass.ts";
import { PASSES } from "./passes.ts";

/** Raised when a node gets another meaning: who reads a plan of another version refuses it. */
export const PLAN_VERSION = 1;

export interface Plan {
  readonly version: typeof PLAN_VERSION;
  readonly range: QueryRange;
  /** The text that was parsed, which spans of nodes point into. */
  readonly query: string;
  /** Without parentheses, duration expressions, `@ start()` and `@ end()`. */
  readonly expr: Expr;
}

/** Plans a parsed query for a range; pure. @throws BadRequestError for a duration that cannot be. */
export function planQuery(expr: Expr, range: QueryRange, query: string, passes: readonly Pass[] = PASSES): Plan {
  const planned = passes.reduce((tree, pass) => pass.run(tree, { range, query }), expr);
  return { version: PLAN_VERSION, range, query, expr: planned };
}
