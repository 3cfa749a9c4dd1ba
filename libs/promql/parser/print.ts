/** Expressions as text: Prometheus's `String()`, which its API, rules and annotations show. */
import { formatE, formatPlain, formatValue } from "#libs/model/float.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { isLegacyLabelName, METRIC_NAME } from "#libs/model/labels.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import type { AggregateExpr, AtModifier, BinaryExpr, DurationExpr, Expr, Subquery, VectorSelector } from "./ast.ts";
import { formatDuration } from "#libs/kit/duration.ts";
import { secondsToMs } from "./go-number.ts";
import { quoteText } from "./go-string.ts";

/** The whole expression on one line, in normal form. */
export function formatExpr(expr: Expr): string {
  switch (expr.kind) {
    case "number":
      return formatNumber(expr.value, expr.isDuration === true);
    case "string":
      return quoteText(expr.value);
    case "selector":
      return `${formatSeries(expr)}${formatAt(expr.at)}${formatBorders(expr)}${formatOffset(expr)}`;
    case "matrix": {
      const { selector } = expr;
      const range = formatMs(expr.rangeMs, expr.rangeExpr);
      return `${formatSeries(selector)}[${range}]${formatBorders(selector)}${formatAt(selector.at)}${formatOffset(selector)}`;
    }
    case "subquery":
      return `${formatExpr(expr.expr)}${formatSubqueryTimes(expr)}`;
    case "unary":
      return `${expr.op}${formatExpr(expr.expr)}`;
    case "paren":
      return `(${formatExpr(expr.expr)})`;
    case "invariant":
    case "shared":
      return formatExpr(expr.expr);
    case "binary":
      return `${formatExpr(expr.lhs)} ${formatOperator(expr)} ${formatExpr(expr.rhs)}`;
    case "aggregate": {
      const param = expr.param === undefined ? "" : `${formatExpr(expr.param)}, `;
      return `${formatAggregation(expr)}(${param}${formatExpr(expr.expr)})`;
    }
    case "call":
      return `${expr.func}(${expr.args.map(formatExpr).join(", ")})`;
  }
}

/** `sum by (job) `: what stands before the parenthesis. */
export function formatAggregation({ op, grouping, without }: AggregateExpr): string {
  if (without) return `${op} without (${formatLabelList(grouping)}) `;
  return grouping.length > 0 ? `${op} by (${formatLabelList(grouping)}) ` : op;
}

/** `== bool on (job) group_left (a) fill (0)`: what stands between the operands. */
export function formatOperator({ op, bool, matching }: BinaryExpr): string {
  let text = bool ? `${op} bool` : op;
  if (matching === undefined) return text;
  const { card, on, labels, include, fillLeft, fillRight } = matching;
  const grouped = card === "many-to-one" || card === "one-to-many";
  if (labels.length > 0 || on || grouped) text += ` ${on ? "on" : "ignoring"} (${formatLabelList(labels)})`;
  if (grouped) text += ` group_${card === "many-to-one" ? "left" : "right"} (${formatLabelList(include)})`;
  if (fillLeft !== undefined && fillLeft === fillRight) return `${text} fill (${formatShort(fillLeft)})`;
  if (fillLeft !== undefined) text += ` fill_left (${formatShort(fillLeft)})`;
  if (fillRight !== undefined) text += ` fill_right (${formatShort(fillRight)})`;
  return text;
}

/** `[5m:1m] @ 1.000 offset 1m`. */
export function formatSubqueryTimes(expr: Subquery): string {
  const step = expr.stepMs !== 0 || expr.stepExpr !== undefined ? formatMs(expr.stepMs, expr.stepExpr) : "";
  return `[${formatMs(expr.rangeMs, expr.rangeExpr)}:${step}]${formatAt(expr.at)}${formatOffset(expr)}`;
}

function formatSeries({ name, matchers }: VectorSelector): string {
  const shown = matchers.filter(
    (matcher) => name === "" || matcher.name !== METRIC_NAME || matcher.type !== "=" || matcher.value !== name,
  );
  if (shown.length === 0) return name;
  return `${name}{${shown.map(formatMatcher).sort(compareUtf8).join(",")}}`;
}

function formatMatcher({ name, type, value }: MatcherSpec): string {
  return `${formatLabel(name)}${type}${quoteText(value)}`;
}

function formatLabelList(labels: readonly string[]): string {
  return labels.map(formatLabel).join(", ");
}

function formatLabel(name: string): string {
  return isLegacyLabelName(name) ? name : quoteText(name);
}

function formatAt(at: AtModifier | undefined): string {
  if (at === undefined) return "";
  return at.kind === "time" ? ` @ ${(at.timeMs / 1000).toFixed(3)}` : ` @ ${at.kind}()`;
}

function formatBorders({ borders }: VectorSelector): string {
  return borders === "extrapolated" ? "" : ` ${borders}`;
}

function formatOffset({ offsetMs, offsetExpr }: VectorSelector | Subquery): string {
  if (offsetExpr !== undefined) return ` offset ${formatDurationExpr(offsetExpr)}`;
  return offsetMs === 0 ? "" : ` offset ${formatDuration(offsetMs)}`;
}

function formatMs(ms: number, expr: DurationExpr | undefined): string {
  return expr === undefined ? formatDuration(ms) : formatDurationExpr(expr);
}

function formatDurationExpr(expr: DurationExpr): string {
  switch (expr.kind) {
    case "duration-number":
      return formatNumber(expr.seconds, expr.isDuration);
    case "duration-step":
      return "step()";
    case "duration-range":
      return "range()";
    case "duration-unary":
      return `${expr.op === "-" ? "-" : ""}${formatDurationExpr(expr.expr)}`;
    case "duration-binary":
      return `${formatDurationExpr(expr.lhs)} ${expr.op} ${formatDurationExpr(expr.rhs)}`;
    case "duration-call":
      return `${expr.func}(${formatDurationExpr(expr.lhs)}, ${formatDurationExpr(expr.rhs)})`;
    case "duration-paren":
      return `(${formatDurationExpr(expr.expr)})`;
  }
}

function formatNumber(value: number, isDuration: boolean): string {
  return isDuration ? formatDuration(secondsToMs(value)) : formatPlain(value);
}

/** Go's `%v`: an exponent below 1e-4 and from 1e6. */
function formatShort(value: number): string {
  const absolute = Math.abs(value);
  if (value !== 0 && (absolute < 1e-4 || absolute >= 1e6)) return formatE(value);
  return Number.isFinite(value) ? formatPlain(value) : formatValue(value);
}
