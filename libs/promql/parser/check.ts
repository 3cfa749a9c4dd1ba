/** Types of expressions, and what Prometheus refuses about them. */
import { METRIC_NAME } from "#libs/model/labels.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { signatureOf } from "../functions/signatures.ts";
import {
  type AggregateExpr,
  type BinaryExpr,
  type CallExpr,
  type Draft,
  type Expr,
  isComparison,
  isSetOp,
  type Span,
  type ValueType,
  type VectorMatching,
  type VectorSelector,
} from "./ast.ts";
import { quoteText } from "./go-string.ts";
import { type Fault, ParseError } from "./parse-error.ts";

export const TYPE_NAMES: Readonly<Record<ValueType, string>> = {
  scalar: "scalar",
  vector: "instant vector",
  matrix: "range vector",
  string: "string",
};

export function typeOf(expr: Expr): ValueType {
  // By a loop, for long sums: an operator gives a scalar only where all its operands are.
  let node = expr;
  let combined = false;
  for (;;) {
    switch (node.kind) {
      case "unary":
      case "paren":
      case "invariant":
      case "shared":
        node = node.expr;
        break;
      case "binary":
        if (typeOf(node.rhs) !== "scalar") return "vector";
        combined = true;
        node = node.lhs;
        break;
      default: {
        const type = typeOfOperand(node);
        return combined && type !== "scalar" ? "vector" : type;
      }
    }
  }
}

type Spine = Extract<Expr, { kind: "unary" | "paren" | "invariant" | "shared" | "binary" | "subquery" }>;

function typeOfOperand(expr: Exclude<Expr, Exclude<Spine, { kind: "subquery" }>>): ValueType {
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
    case "call":
      return signatureOf(expr.func)?.returns ?? "vector";
  }
}

/**
 * Checks a tree that was just parsed, and settles the matching of its binary operators: none unless both sides are
 * vectors, many-to-many for sets.
 *
 * @throws ParseError with all that does not fit.
 */
export function checkTypes(query: string, expr: Expr): void {
  const checker = new Checker(query);
  checker.check(expr);
  if (checker.faults.length > 0) throw new ParseError(query, checker.faults);
}

/** More are not looked for: two lists of labels have as many as the product of their lengths. */
const FAULTS_MAX = 20_000;

class Checker {
  readonly faults: Fault[] = [];
  readonly #query: string;

  constructor(query: string) {
    this.#query = query;
  }

  /** Returns the type. Down to the first operand by a loop: sums may be as long as a query is allowed to be. */
  check(expr: Expr): ValueType {
    const spine: Spine[] = [];
    let node = expr;
    while (isSpine(node)) {
      spine.push(node);
      node = node.kind === "binary" ? node.lhs : node.expr;
    }
    let type = this.#operand(node);
    for (let outer = spine.pop(); outer !== undefined; outer = spine.pop()) type = this.#around(outer, type);
    return type;
  }

  #operand(expr: Exclude<Expr, Spine>): ValueType {
    switch (expr.kind) {
      case "selector":
        this.#selector(expr, false);
        break;
      case "matrix":
        this.#selector(expr.selector, false);
        break;
      case "aggregate":
        this.#aggregate(expr);
        break;
      case "call":
        this.#call(expr);
        break;
      default:
        break;
    }
    return typeOfOperand(expr);
  }

  /** @param inner type of the (left) operand. */
  #around(expr: Spine, inner: ValueType): ValueType {
    switch (expr.kind) {
      case "paren":
      case "invariant":
      case "shared":
        return inner;
      case "unary":
        if (inner !== "scalar" && inner !== "vector") {
          const allowed = "unary expression only allowed on expressions of type scalar or instant vector";
          this.#fault(`${allowed}, got "${TYPE_NAMES[inner]}"`, expr.span);
        }
        return inner;
      case "subquery":
        if (inner !== "vector") {
          this.#fault(`subquery is only allowed on instant vector, got ${inner} instead`, expr.span);
        }
        return "matrix";
      case "binary":
        return this.#binary(expr, inner, this.check(expr.rhs));
    }
  }

  #fault(message: string, at: Span): void {
    this.faults.push({ message, from: at.from, to: at.to });
    if (this.faults.length >= FAULTS_MAX) throw new ParseError(this.#query, this.faults);
  }

  #expect(expr: Expr, wanted: ValueType, context: string): void {
    const type = this.check(expr);
    if (type !== wanted) this.#mismatch(expr, type, wanted, context);
  }

  #mismatch(expr: Expr, type: ValueType, wanted: ValueType, context: string): void {
    this.#fault(`expected type ${TYPE_NAMES[wanted]} in ${context}, got ${TYPE_NAMES[type]}`, expr.span);
  }

  #selector(expr: VectorSelector, mayMatchAll: boolean): void {
    const { name, matchers } = expr;
    if (name === "") {
      if (!mayMatchAll && matchers.every((matcher) => createMatcher(matcher).matches(""))) {
        this.#fault("vector selector must contain at least one non-empty matcher", expr.span);
      }
      return;
    }
    // The last matcher is that of the name.
    for (const other of matchers.slice(0, -1)) {
      if (other.name !== METRIC_NAME) continue;
      this.#fault(`metric name must not be set twice: ${quoteText(name)} or ${quoteText(other.value)}`, expr.span);
    }
  }

  #aggregate(expr: AggregateExpr): void {
    this.#expect(expr.expr, "vector", "aggregation expression");
    if (expr.param === undefined) return;
    this.#expect(expr.param, expr.op === "count_values" ? "string" : "scalar", "aggregation parameter");
  }

  #binary(expr: BinaryExpr, left: ValueType, right: ValueType): ValueType {
    const { op, lhs, rhs, bool } = expr;
    const scalars = left === "scalar" && right === "scalar";
    if (bool && !isComparison(op)) {
      this.#fault("bool modifier can only be used on comparison operators", this.#between(lhs, rhs));
    }
    if (isComparison(op) && !bool && scalars) {
      this.#fault("comparisons between scalars must use BOOL modifier", this.#between(lhs, rhs));
    }
    const matching = expr.matching!;
    if (matching.on) {
      const included = new Set(matching.include);
      for (const label of matching.labels.filter((name) => included.has(name))) {
        for (const other of matching.include) {
          if (label !== other) continue;
          const message = `label ${quoteText(label)} must not occur in ON and GROUP clause at once`;
          this.#fault(message, this.#between(lhs, rhs));
        }
      }
    }
    for (const [side, type] of [[lhs, left] as const, [rhs, right] as const]) {
      if (type !== "scalar" && type !== "vector") {
        this.#fault("binary expression must contain only scalar and instant vector types", side.span);
      }
    }
    (expr as Draft<BinaryExpr>).matching = this.#matching(expr, matching, left === "vector" && right === "vector");
    if (isSetOp(op) && (left === "scalar" || right === "scalar")) {
      this.#fault(`set operator "${op}" not allowed in binary scalar expression`, expr.span);
    }
    return scalars ? "scalar" : "vector";
  }

  #matching(expr: BinaryExpr, matching: VectorMatching, vectors: boolean): VectorMatching | undefined {
    const filled = matching.fillLeft !== undefined || matching.fillRight !== undefined;
    if (!vectors) {
      if (matching.labels.length > 0) this.#fault("vector matching only allowed between instant vectors", expr.span);
      if (filled) this.#fault("filling in missing series only allowed between instant vectors", expr.span);
      return undefined;
    }
    if (!isSetOp(expr.op)) return matching;
    if (matching.card !== "one-to-one") {
      this.#fault(`no grouping allowed for "${expr.op}" operation`, expr.span);
      this.#fault("set operations must always be many-to-many", expr.span);
    }
    if (filled) this.#fault("filling in missing series not allowed for set operators", expr.span);
    return { ...matching, card: "many-to-many" };
  }

  /** Where the operator and its modifiers stand: between the operands, without blanks. */
  #between(lhs: Expr, rhs: Expr): Span {
    let from = lhs.span.to;
    while (isBlank(this.#query[from])) from++;
    let to = rhs.span.from - 1;
    while (isBlank(this.#query[to])) to--;
    return { from, to };
  }

  #call(expr: CallExpr): void {
    const { func, args } = expr;
    const { args: types, variadic } = signatureOf(func)!;
    const context = `call to function "${func}"`;
    const least = variadic === 0 ? types.length : types.length - 1;
    const most = variadic < 0 ? Infinity : least + variadic;
    if (args.length < least || args.length > most) {
      const count = variadic === 0 ? least : args.length < least ? `at least ${least}` : `at most ${most}`;
      this.#fault(`expected ${count} argument(s) in call to "${func}", got ${args.length}`, expr.span);
    }
    const labels = func === "info" ? args[1] : undefined;
    if (labels !== undefined) {
      const type = typeOf(labels);
      if (type !== "vector") this.#mismatch(expr, type, "vector", context);
      if (labels.kind !== "selector") this.#fault("expected label selectors only", labels.span);
      else if (labels.name !== "") {
        this.#fault("expected label selectors only, got vector selector instead", labels.span);
      }
    }
    args.forEach((arg, i) => {
      if (i >= types.length && variadic === 0) return;
      const wanted = types[Math.min(i, types.length - 1)]!;
      if (arg === labels && arg.kind === "selector") this.#selector(arg, true);
      else this.#expect(arg, wanted, context);
    });
  }
}

function isSpine(expr: Expr): expr is Spine {
  return SPINE.has(expr.kind);
}

const SPINE: ReadonlySet<Expr["kind"]> = new Set([
  "unary",
  "paren",
  "invariant",
  "shared",
  "binary",
  "subquery",
] satisfies Spine["kind"][]);

function isBlank(char: string | undefined): boolean {
  return char === " " || char === "\t" || char === "\n" || char === "\r";
}
