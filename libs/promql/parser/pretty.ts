/** Expressions over several lines, as Prometheus formats queries: what is too wide for a line is opened. */
import type { Expr } from "./ast.ts";
import { formatAggregation, formatExpr, formatOperator, formatSubqueryTimes } from "./print.ts";
import { childrenOf } from "./walk.ts";

const LINE_MAX = 100;

/** Lines of at most `lineMax` bytes as far as the rules allow; two blanks a level. */
export function prettyExpr(expr: Expr, lineMax = LINE_MAX): string {
  return new Prettifier(lineMax).pretty(expr, 0);
}

class Prettifier {
  readonly #lineMax: number;
  readonly #lines = new Map<Expr, string | undefined>();

  constructor(lineMax: number) {
    this.#lineMax = lineMax;
  }

  /** The expression on one line, undefined when that is too long. Each is tried once, from the inside. */
  #line(expr: Expr): string | undefined {
    if (this.#lines.has(expr)) return this.#lines.get(expr);
    const fits = childrenOf(expr).every((child) => this.#line(child) !== undefined);
    const text = fits ? formatExpr(expr) : undefined;
    const line = text !== undefined && Buffer.byteLength(text) <= this.#lineMax ? text : undefined;
    this.#lines.set(expr, line);
    return line;
  }

  pretty(expr: Expr, level: number): string {
    const indent = "  ".repeat(level);
    switch (expr.kind) {
      case "number":
      case "string":
      case "selector":
      case "matrix":
        return `${indent}${formatExpr(expr)}`;
      case "invariant":
      case "shared":
        return this.pretty(expr.expr, level);
      case "unary":
        return `${indent}${expr.op}${this.pretty(expr.expr, level).trim()}`;
      case "subquery":
        // Not indented, in Prometheus neither.
        return this.#line(expr) ?? `${this.pretty(expr.expr, level)}${formatSubqueryTimes(expr)}`;
      default:
        break;
    }
    const line = this.#line(expr);
    if (line !== undefined) return `${indent}${line}`;
    const inner = (child: Expr): string => this.pretty(child, level + 1);
    switch (expr.kind) {
      case "paren":
        return `${indent}(\n${inner(expr.expr)}\n${indent})`;
      case "binary":
        return `${inner(expr.lhs)}\n${indent}${formatOperator(expr)}\n${inner(expr.rhs)}`;
      case "aggregate": {
        const param = expr.param === undefined ? "" : `${inner(expr.param)},\n`;
        return `${indent}${formatAggregation(expr)}(\n${param}${inner(expr.expr)}\n${indent})`;
      }
      case "call":
        return `${indent}${expr.func}(\n${expr.args.map(inner).join(",\n")}\n${indent})`;
    }
  }
}
