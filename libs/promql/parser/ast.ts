/**
 * The syntax tree of a query: plain data, so that it can travel. Positions are UTF-16 offsets into the text, `to`
 * exclusive; texts for users count bytes (annotations.ts, errors of the parser).
 */
import type { MatcherSpec } from "#libs/model/matcher.ts";

export interface Span {
  readonly from: number;
  readonly to: number;
}

export type ValueType = "scalar" | "vector" | "matrix" | "string";

/** `@ 1.5` in ms, `@ start()`, `@ end()`. */
export type AtModifier = { readonly kind: "time"; readonly timeMs: number } | { readonly kind: "start" | "end" };

export interface NumberLiteral {
  readonly kind: "number";
  readonly span: Span;
  readonly value: number;
  /** Written as a duration, `5m`, and printed so. */
  readonly isDuration?: true | undefined;
}

export interface StringLiteral {
  readonly kind: "string";
  readonly span: Span;
  /** Bytes that are no UTF-8 as lone surrogates (go-string.ts). */
  readonly value: string;
}

export type DurationOp = "+" | "-" | "*" | "/" | "%" | "^";

/**
 * Arithmetic where a duration is asked for, in float seconds: `[5m * 2]`, `offset -step()`. It has no value before the
 * steps of the query are known: the planner puts the milliseconds into the field beside it (`rangeExpr` → `rangeMs`).
 */
export type DurationExpr =
  | { readonly kind: "duration-number"; readonly span: Span; readonly seconds: number; readonly isDuration: boolean }
  | { readonly kind: "duration-step" | "duration-range"; readonly span: Span }
  | { readonly kind: "duration-unary"; readonly span: Span; readonly op: "+" | "-"; readonly expr: DurationExpr }
  | {
      readonly kind: "duration-binary";
      readonly span: Span;
      readonly op: DurationOp;
      readonly lhs: DurationExpr;
      readonly rhs: DurationExpr;
    }
  | {
      readonly kind: "duration-call";
      readonly span: Span;
      readonly func: "min_of" | "max_of";
      readonly lhs: DurationExpr;
      readonly rhs: DurationExpr;
    }
  | { readonly kind: "duration-paren"; readonly span: Span; readonly expr: DurationExpr };

/** How the borders of a range are treated: by extrapolation, by the samples at or before them, by interpolation. */
export type RangeBorders = "extrapolated" | "anchored" | "smoothed";

export interface VectorSelector {
  readonly kind: "selector";
  readonly span: Span;
  /** The name before the braces, "" when there is none. */
  readonly name: string;
  /** All matchers, that of the name among them. */
  readonly matchers: readonly MatcherSpec[];
  readonly offsetMs: number;
  readonly offsetExpr: DurationExpr | undefined;
  readonly at: AtModifier | undefined;
  readonly borders: RangeBorders;
  /** Set by the planner: of histograms only count and sum are asked for. */
  readonly statsOnly?: true | undefined;
  /** Set by the planner: sorted, the only labels that are looked at; undefined: all. */
  readonly labels?: readonly string[] | undefined;
}

export interface MatrixSelector {
  readonly kind: "matrix";
  readonly span: Span;
  readonly selector: VectorSelector;
  readonly rangeMs: number;
  readonly rangeExpr: DurationExpr | undefined;
}

export interface Subquery {
  readonly kind: "subquery";
  readonly span: Span;
  readonly expr: Expr;
  readonly rangeMs: number;
  readonly rangeExpr: DurationExpr | undefined;
  /** 0: the default of the server. */
  readonly stepMs: number;
  readonly stepExpr: DurationExpr | undefined;
  readonly offsetMs: number;
  readonly offsetExpr: DurationExpr | undefined;
  readonly at: AtModifier | undefined;
}

export interface UnaryExpr {
  readonly kind: "unary";
  readonly span: Span;
  readonly op: "+" | "-";
  readonly expr: Expr;
}

export interface ParenExpr {
  readonly kind: "paren";
  readonly span: Span;
  readonly expr: Expr;
}

export type ArithmeticOp = "+" | "-" | "*" | "/" | "%" | "^" | "atan2";
export type ComparisonOp = "==" | "!=" | "<" | "<=" | ">" | ">=";
export type SetOp = "and" | "or" | "unless";
/** Cut a histogram: keep what lies below, above a scalar. */
export type TrimOp = "</" | ">/";
export type BinaryOp = ArithmeticOp | ComparisonOp | SetOp | TrimOp;

export interface VectorMatching {
  readonly card: "one-to-one" | "many-to-one" | "one-to-many" | "many-to-many";
  /** True: `on(labels)`; false: `ignoring(labels)`. */
  readonly on: boolean;
  readonly labels: readonly string[];
  /** Labels that group_left or group_right copies from the one side. */
  readonly include: readonly string[];
  /** `fill_left(v)`, `fill_right(v)`: stands in for a missing partner on that side. */
  readonly fillLeft: number | undefined;
  readonly fillRight: number | undefined;
}

export interface BinaryExpr {
  readonly kind: "binary";
  readonly span: Span;
  readonly opSpan: Span;
  readonly op: BinaryOp;
  readonly lhs: Expr;
  readonly rhs: Expr;
  readonly bool: boolean;
  /** Between two vectors only. */
  readonly matching: VectorMatching | undefined;
}

export const AGGREGATIONS = [
  "sum",
  "avg",
  "min",
  "max",
  "count",
  "group",
  "stddev",
  "stdvar",
  "topk",
  "bottomk",
  "quantile",
  "count_values",
  "limitk",
  "limit_ratio",
] as const;
export type AggregationOp = (typeof AGGREGATIONS)[number];

export interface AggregateExpr {
  readonly kind: "aggregate";
  readonly span: Span;
  readonly op: AggregationOp;
  readonly expr: Expr;
  readonly param: Expr | undefined;
  readonly grouping: readonly string[];
  readonly without: boolean;
}

export interface CallExpr {
  readonly kind: "call";
  readonly span: Span;
  readonly func: string;
  readonly args: readonly Expr[];
}

/** Made by the planner only: the same at every step, evaluated once. */
export interface StepInvariant {
  readonly kind: "invariant";
  readonly span: Span;
  readonly expr: Expr;
}

/** Made by the planner only: stands in the query more than once, everywhere with the same `id`. */
export interface SharedExpr {
  readonly kind: "shared";
  readonly span: Span;
  readonly id: number;
  readonly expr: Expr;
}

export type Expr =
  | NumberLiteral
  | StringLiteral
  | VectorSelector
  | MatrixSelector
  | Subquery
  | UnaryExpr
  | ParenExpr
  | BinaryExpr
  | AggregateExpr
  | CallExpr
  | StepInvariant
  | SharedExpr;

/** Whether an operator compares. */
export function isComparison(op: BinaryOp): op is ComparisonOp {
  return op === "==" || op === "!=" || op === "<" || op === "<=" || op === ">" || op === ">=";
}

export function isSetOp(op: BinaryOp): op is SetOp {
  return op === "and" || op === "or" || op === "unless";
}

/** Whether an operator cuts histograms. */
export function isTrim(op: BinaryOp): op is TrimOp {
  return op === "</" || op === ">/";
}

/** The expression inside any parentheses. */
export function unwrapParens(expr: Expr): Expr {
  return expr.kind === "paren" ? unwrapParens(expr.expr) : expr;
}

/** A node that is being built. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] };
