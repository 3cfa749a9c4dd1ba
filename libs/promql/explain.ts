/** Plans for people: one node a line, as a tree, and with what each operator did. */
import type { Expr, VectorSelector } from "./parser/ast.ts";
import { formatAggregation, formatExpr, formatOperator, formatSubqueryTimes } from "./parser/print.ts";
import { childrenOf } from "./parser/walk.ts";
import { selectsNothing } from "./plan/passes/matchers.ts";
import { planQuery } from "./plan/plan.ts";
import type { QueryRange } from "./plan/pass.ts";
import type { OperatorStatistics, Statistics } from "./statistics.ts";

export interface PlanTree {
  readonly name: string;
  readonly children: readonly PlanTree[];
}

export interface Explanation {
  /** As parsed, then behind the passes: a node a line, indented by two. */
  readonly before: string;
  readonly after: string;
  readonly tree: PlanTree;
}

/** @throws BadRequestError for a query that cannot be planned. */
export function explainQuery(expr: Expr, range: QueryRange, query: string): Explanation {
  const after = treeOf(planQuery(expr, range, query).expr);
  return { before: formatTree(treeOf(expr)), after: formatTree(after), tree: after };
}

export interface Analysis {
  readonly name: string;
  /** Undefined where nothing was evaluated: by way of sharing, or because the operator above does it. */
  readonly statistics: OperatorStatistics | undefined;
  /** Without what is below. */
  readonly selfMs: number;
  readonly children: readonly Analysis[];
}

export function analyze(expr: Expr, statistics: Statistics): Analysis {
  const children = inputsOf(expr).map((child) => analyze(child, statistics));
  const own = statistics.of(expr);
  return { name: nameOf(expr), statistics: own, selfMs: Math.max(0, (own?.totalMs ?? 0) - below(children)), children };
}

/** Time of the operators under a node; those that were not asked themselves are part of it. */
function below(children: readonly Analysis[]): number {
  return children.reduce((sum, { statistics, children: inner }) => sum + (statistics?.totalMs ?? below(inner)), 0);
}

function treeOf(expr: Expr): PlanTree {
  return { name: nameOf(expr), children: inputsOf(expr).map(treeOf) };
}

function formatTree({ name, children }: PlanTree, indent = ""): string {
  return [`${indent}${name}`, ...children.map((child) => formatTree(child, `${indent}  `))].join("\n");
}

/** A range selector is one line. */
function inputsOf(expr: Expr): readonly Expr[] {
  return expr.kind === "matrix" ? [] : childrenOf(expr);
}

function nameOf(expr: Expr): string {
  switch (expr.kind) {
    case "number":
    case "string":
      return formatExpr(expr);
    case "selector":
      return `select ${formatExpr(expr)}${remarks(expr)}`;
    case "matrix":
      return `select ${formatExpr(expr)}${remarks(expr.selector)}`;
    case "subquery":
      return `subquery ${formatSubqueryTimes(expr)}`;
    case "unary":
      return expr.op;
    case "paren":
      return "()";
    case "binary":
      return formatOperator(expr);
    case "aggregate":
      return formatAggregation(expr).trim();
    case "call":
      return expr.func;
    case "invariant":
      return "once for all steps";
    case "shared":
      return `shared #${expr.id + 1}`;
  }
}

function remarks({ statsOnly, labels, matchers }: VectorSelector): string {
  const found = [
    statsOnly === true ? "of histograms count and sum only" : "",
    labels === undefined ? "" : labels.length === 0 ? "no labels" : `labels ${labels.join(", ")} only`,
    selectsNothing(matchers) ? "matchers contradict: stores are not asked" : "",
  ].filter((text) => text !== "");
  return found.length === 0 ? "" : ` (${found.join("; ")})`;
}
