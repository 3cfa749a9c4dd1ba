/**
 * Parser of PromQL: precedence climbing over `Token`s, then a type check (check.ts). Prometheus's grammar of 2.x
 * and the parts of 3.x that need no feature flag: UTF-8 names, numbers as durations and durations as numbers.
 */
import { parseDuration } from "#libs/kit/duration.ts";
import { messageOf } from "#libs/kit/errors.ts";
import { METRIC_NAME } from "#libs/model/labels.ts";
import { createMatcher, type MatchType, type MatcherSpec } from "#libs/model/matcher.ts";
import { parseGoFloat } from "#libs/model/float.ts";
import {
  AGGREGATIONS,
  type AggregationOp,
  type AtModifier,
  type BinaryOp,
  type Expr,
  isComparison,
  isSetOp,
  type Span,
  type VectorMatching,
  type VectorSelector,
} from "./ast.ts";
import { checkTypes, typeOf } from "./check.ts";
import { ParseError, type Token, tokenize } from "./lexer.ts";

const PRECEDENCE: Readonly<Record<BinaryOp, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  "==": 3,
  "!=": 3,
  "<": 3,
  "<=": 3,
  ">": 3,
  ">=": 3,
  "</": 3,
  ">/": 3,
  "+": 4,
  "-": 4,
  "*": 5,
  "/": 5,
  "%": 5,
  atan2: 5,
  "^": 6,
};

const NO_FILL = { fillLeft: undefined, fillRight: undefined };
const NO_OFFSET = { offsetMs: 0, offsetExpr: undefined, at: undefined };

/** Deepest nesting: a query of brackets alone must not exhaust the stack. */
const DEPTH_MAX = 500;

/** @throws ParseError (400 `bad_data`) at the first thing that is wrong. */
export function parseQuery(input: string): Expr {
  const parser = new Parser(input);
  const expr = parser.whole();
  checkTypes(input, expr);
  return expr;
}

/** Parses a series selector such as `match[]` holds. */
export function parseSelector(input: string): readonly MatcherSpec[] {
  const expr = new Parser(input, true).whole();
  if (expr.kind !== "selector") throw new ParseError(input, 0, "expected a series selector");
  return expr.matchers;
}

class Parser {
  readonly #input: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  /** `match[]` has its own words for a selector that selects everything. */
  readonly #allowEmptySelector: boolean;

  constructor(input: string, allowEmptySelector = false) {
    this.#input = input;
    this.#allowEmptySelector = allowEmptySelector;
    this.#tokens = tokenize(input);
  }

  whole(): Expr {
    if (this.#token.kind === "end") throw new ParseError(this.#input, 0, "no expression found in input");
    const expr = this.#expression(1);
    if (this.#peek(0).kind !== "end") this.#unexpected("");
    return expr;
  }

  get #token(): Token {
    return this.#tokens[this.#at]!;
  }

  #peek(offset: number): Token {
    return this.#tokens[Math.min(this.#at + offset, this.#tokens.length - 1)]!;
  }

  #fail(message: string, token: Token = this.#token): never {
    throw new ParseError(this.#input, token.from, message);
  }

  #unexpected(context: string, expected = ""): never {
    const token = this.#token;
    const shown =
      token.kind === "end"
        ? "end of input"
        : token.kind === "name"
          ? `identifier ${JSON.stringify(token.text)}`
          : token.kind === "op"
            ? describeOp(token.text)
            : `${token.kind} ${JSON.stringify(token.text)}`;
    this.#fail(
      `unexpected ${shown}${context === "" ? "" : ` in ${context}`}${expected === "" ? "" : `, expected ${expected}`}`,
    );
  }

  #isOp(text: string): boolean {
    return this.#token.kind === "op" && this.#token.text === text;
  }

  #isWord(word: string): boolean {
    return this.#token.kind === "name" && this.#token.text.toLowerCase() === word;
  }

  #take(text: string, context: string): Token {
    if (!this.#isOp(text)) this.#unexpected(context, JSON.stringify(text));
    return this.#tokens[this.#at++]!;
  }

  #accept(text: string): boolean {
    if (!this.#isOp(text)) return false;
    this.#at++;
    return true;
  }

  #binaryOp(): BinaryOp | undefined {
    const { kind, text } = this.#token;
    if (kind !== "op" && kind !== "name") return undefined;
    const word = kind === "name" ? text.toLowerCase() : text;
    return Object.hasOwn(PRECEDENCE, word) ? (word as BinaryOp) : undefined;
  }

  #expression(least: number): Expr {
    if (++this.#depth > DEPTH_MAX) this.#fail(`expression is nested deeper than ${DEPTH_MAX}`);
    let lhs = this.#unary();
    for (;;) {
      const op = this.#binaryOp();
      if (op === undefined || PRECEDENCE[op] < least) break;
      const sign = spanOf(this.#tokens[this.#at++]!);
      const bool = this.#isWord("bool");
      if (bool) {
        if (!isComparison(op)) this.#fail("bool modifier can only be used on comparison operators");
        this.#at++;
      }
      const matching = this.#matching(op);
      // `^` is right associative.
      const rhs = this.#expression(op === "^" ? PRECEDENCE[op] : PRECEDENCE[op] + 1);
      lhs = this.#binary(op, sign, lhs, rhs, bool, matching);
    }
    this.#depth--;
    return lhs;
  }

  #binary(op: BinaryOp, opSpan: Span, lhs: Expr, rhs: Expr, bool: boolean, given: VectorMatching | undefined): Expr {
    const vectors = typeOf(lhs) === "vector" && typeOf(rhs) === "vector";
    let matching: VectorMatching | undefined = given;
    if (vectors && given === undefined)
      matching = { card: "one-to-one", on: false, labels: [], include: [], ...NO_FILL };
    if (vectors && matching !== undefined && isSetOp(op)) {
      if (matching.card !== "one-to-one") {
        throw new ParseError(this.#input, lhs.span.from, `no grouping allowed for ${JSON.stringify(op)} operation`);
      }
      matching = { ...matching, card: "many-to-many" };
    }
    return { kind: "binary", span: { from: lhs.span.from, to: rhs.span.to }, opSpan, op, lhs, rhs, bool, matching };
  }

  #matching(op: BinaryOp): VectorMatching | undefined {
    const on = this.#isWord("on");
    if (!on && !this.#isWord("ignoring")) return undefined;
    this.#at++;
    const labels = this.#labelList("grouping opts");
    const side = this.#isWord("group_left") ? "many-to-one" : this.#isWord("group_right") ? "one-to-many" : undefined;
    if (side === undefined) return { card: "one-to-one", on, labels, include: [], ...NO_FILL };
    if (isSetOp(op)) this.#fail(`no grouping allowed for ${JSON.stringify(op)} operation`);
    this.#at++;
    const include = this.#isOp("(") ? this.#labelList("grouping opts") : [];
    if (on) {
      const shared = labels.find((label) => include.includes(label));
      if (shared !== undefined)
        this.#fail(`label ${JSON.stringify(shared)} must not occur in ON and GROUP clause at once`);
    }
    return { card: side, on, labels, include, ...NO_FILL };
  }

  #labelList(context: string): string[] {
    const labels: string[] = [];
    this.#take("(", context);
    while (!this.#isOp(")")) {
      const token = this.#token;
      if (token.kind !== "name" && token.kind !== "string") this.#unexpected(context, "label");
      labels.push(token.text);
      this.#at++;
      if (!this.#accept(",")) break;
    }
    this.#take(")", context);
    return labels;
  }

  #unary(): Expr {
    const token = this.#token;
    if (this.#isOp("-") || this.#isOp("+")) {
      if (++this.#depth > DEPTH_MAX) this.#fail(`expression is nested deeper than ${DEPTH_MAX}`);
      this.#at++;
      // Binds like `*`, so that -1^2 is -(1^2).
      const expr = this.#power();
      this.#depth--;
      if (expr.kind === "number") {
        return {
          ...expr,
          span: { from: token.from, to: expr.span.to },
          value: token.text === "-" ? -expr.value : expr.value,
        };
      }
      return { kind: "unary", span: { from: token.from, to: expr.span.to }, op: token.text as "+" | "-", expr };
    }
    return this.#postfix(this.#primary());
  }

  #power(): Expr {
    const base = this.#unary();
    if (this.#binaryOp() !== "^") return base;
    const sign = spanOf(this.#tokens[this.#at++]!);
    const matching = this.#matching("^");
    return this.#binary("^", sign, base, this.#expression(PRECEDENCE["^"]), false, matching);
  }

  #primary(): Expr {
    const token = this.#token;
    switch (token.kind) {
      case "number":
        this.#at++;
        return { kind: "number", span: spanOf(token), value: this.#number(token) };
      case "duration":
        this.#at++;
        return { kind: "number", span: spanOf(token), value: this.#durationMs(token) / 1000 };
      case "string":
        this.#at++;
        return { kind: "string", span: spanOf(token), value: token.text };
      case "name":
        return this.#named();
      case "op":
        if (token.text === "(") return this.#parenthesised();
        if (token.text === "{") return this.#selector("", token.from);
        return this.#unexpected("");
      default:
        return this.#unexpected("");
    }
  }

  #parenthesised(): Expr {
    const open = this.#take("(", "paren expression");
    const expr = this.#expression(1);
    const close = this.#take(")", "paren expression");
    return { kind: "paren", span: { from: open.from, to: close.to }, expr };
  }

  #named(): Expr {
    const token = this.#token;
    const next = this.#peek(1);
    const called = next.kind === "op" && next.text === "(";
    const word = token.text.toLowerCase();
    const aggregation = AGGREGATIONS.find((name) => name === word);
    if (
      aggregation !== undefined &&
      (called ||
        (next.kind === "name" && ["by", "without"].includes(next.text.toLowerCase()) && this.#peek(2).text === "("))
    ) {
      return this.#aggregate(aggregation);
    }
    if (called) return this.#call();
    if ((word === "inf" || word === "nan") && !(next.kind === "op" && next.text === "{")) {
      this.#at++;
      return { kind: "number", span: spanOf(token), value: word === "inf" ? Infinity : NaN };
    }
    this.#at++;
    return this.#selector(token.text, token.from);
  }

  #aggregate(op: AggregationOp): Expr {
    const start = this.#tokens[this.#at++]!;
    let modifier = this.#grouping();
    this.#take("(", "aggregation");
    const args: Expr[] = [];
    while (!this.#isOp(")")) {
      args.push(this.#expression(1));
      if (!this.#accept(",")) break;
    }
    const close = this.#take(")", "aggregation");
    let to = close.to;
    if (modifier === undefined) {
      modifier = this.#grouping();
      to = this.#tokens[this.#at - 1]!.to;
    }
    const needsParam = ["topk", "bottomk", "quantile", "count_values"].includes(op);
    if (args.length === 0) this.#fail("no arguments for aggregate expression provided", start);
    const wanted = needsParam ? 2 : 1;
    if (args.length !== wanted) {
      this.#fail(
        `wrong number of arguments for aggregate expression provided, expected ${wanted}, got ${args.length}`,
        start,
      );
    }
    return {
      kind: "aggregate",
      span: { from: start.from, to },
      op,
      expr: args.at(-1)!,
      param: needsParam ? args[0] : undefined,
      grouping: modifier?.labels ?? [],
      without: modifier?.without ?? false,
    };
  }

  #grouping(): { without: boolean; labels: string[] } | undefined {
    const without = this.#isWord("without");
    if (!without && !this.#isWord("by")) return undefined;
    this.#at++;
    return { without, labels: this.#labelList("grouping opts") };
  }

  #call(): Expr {
    const name = this.#tokens[this.#at++]!;
    this.#take("(", "function call");
    const args: Expr[] = [];
    while (!this.#isOp(")")) {
      args.push(this.#expression(1));
      if (!this.#accept(",")) break;
      if (this.#isOp(")")) this.#fail("trailing commas not allowed in function call args");
    }
    const close = this.#take(")", "function call");
    return { kind: "call", span: { from: name.from, to: close.to }, func: name.text, args };
  }

  #selector(name: string, from: number): VectorSelector {
    const matchers: MatcherSpec[] = [];
    let metric = name;
    if (this.#accept("{")) {
      while (!this.#isOp("}")) {
        const label = this.#token;
        if (label.kind !== "name" && label.kind !== "string") this.#unexpected("label matching", 'identifier or "}"');
        this.#at++;
        const op = this.#token;
        if (label.kind === "string" && (this.#isOp(",") || this.#isOp("}"))) {
          if (metric !== "")
            this.#fail(
              `metric name must not be set twice: ${JSON.stringify(metric)} or ${JSON.stringify(label.text)}`,
              label,
            );
          metric = label.text;
        } else {
          if (op.kind !== "op" || !["=", "!=", "=~", "!~"].includes(op.text))
            this.#unexpected("label matching", "label matching operator");
          this.#at++;
          const value = this.#token;
          if (value.kind !== "string") this.#unexpected("label matching", "string");
          this.#at++;
          const matcher: MatcherSpec = { type: op.text as MatchType, name: label.text, value: value.text };
          this.#checkMatcher(matcher, label);
          matchers.push(matcher);
        }
        if (!this.#accept(",")) break;
      }
      this.#take("}", "label matching");
    }
    if (metric !== "") {
      const twice = name !== "" && matchers.find((matcher) => matcher.name === METRIC_NAME);
      if (twice) {
        throw new ParseError(
          this.#input,
          from,
          `metric name must not be set twice: ${JSON.stringify(name)} or ${JSON.stringify(twice.value)}`,
        );
      }
      matchers.push({ type: "=", name: METRIC_NAME, value: metric });
    }
    const span = { from, to: this.#tokens[this.#at - 1]!.to };
    if (!this.#allowEmptySelector && matchers.every((matcher) => createMatcher(matcher).matches(""))) {
      throw new ParseError(this.#input, from, "vector selector must contain at least one non-empty matcher");
    }
    return { kind: "selector", span, name: metric, matchers, ...NO_OFFSET, borders: "extrapolated" };
  }

  #checkMatcher(matcher: MatcherSpec, token: Token): void {
    try {
      createMatcher(matcher);
    } catch (error) {
      this.#fail(messageOf(error), token);
    }
  }

  /** Ranges, subqueries, `offset` and `@` behind a primary. */
  #postfix(primary: Expr): Expr {
    let expr = primary;
    let hasOffset = false;
    for (;;) {
      if (this.#isOp("[")) expr = this.#bracket(expr);
      else if (this.#isWord("offset")) {
        const word = this.#tokens[this.#at++]!;
        if (hasOffset && offsetOf(expr) !== 0) this.#fail("offset may not be set multiple times", word);
        hasOffset = true;
        expr = this.#withModifier(expr, word, "offset", (node) => ({ ...node, offsetMs: this.#signedDurationMs() }));
        continue;
      } else if (this.#isOp("@")) {
        const sign = this.#tokens[this.#at++]!;
        if (atOf(expr) !== undefined) this.#fail("@ <timestamp> may not be set multiple times", sign);
        expr = this.#withModifier(expr, sign, "@", (node) => ({ ...node, at: this.#atModifier() }));
        continue;
      } else return expr;
      hasOffset = false;
    }
  }

  #withModifier(
    expr: Expr,
    token: Token,
    what: string,
    apply: <T extends { offsetMs: number; at: AtModifier | undefined }>(node: T) => T,
  ): Expr {
    if (expr.kind === "selector" || expr.kind === "subquery") return { ...apply(expr), span: this.#spanFrom(expr) };
    if (expr.kind === "matrix") {
      const selector = apply(expr.selector);
      return { ...expr, selector, span: this.#spanFrom(expr) };
    }
    const name = what === "@" ? "@ modifier" : "offset modifier";
    return this.#fail(
      `${name} must be preceded by an instant vector selector or range vector selector or a subquery`,
      token,
    );
  }

  #spanFrom(expr: Expr): { from: number; to: number } {
    return { from: expr.span.from, to: this.#tokens[this.#at - 1]!.to };
  }

  #bracket(expr: Expr): Expr {
    const open = this.#take("[", "subquery or range");
    const range = this.#positiveDurationMs("subquery or range selector");
    if (this.#accept(":")) {
      const stepMs = this.#isOp("]") ? 0 : this.#positiveDurationMs("subquery selector");
      this.#take("]", "subquery selector");
      const fixed = { rangeExpr: undefined, stepExpr: undefined, ...NO_OFFSET };
      return { kind: "subquery", span: this.#spanFrom(expr), expr, rangeMs: range, stepMs, ...fixed };
    }
    this.#take("]", "subquery or range");
    if (expr.kind !== "selector") this.#fail("ranges only allowed for vector selectors", open);
    if (expr.offsetMs !== 0) this.#fail("no offset modifiers allowed before range", open);
    if (expr.at !== undefined) this.#fail("no @ modifiers allowed before range", open);
    return { kind: "matrix", span: this.#spanFrom(expr), selector: expr, rangeMs: range, rangeExpr: undefined };
  }

  #positiveDurationMs(context: string): number {
    const token = this.#token;
    const ms = this.#plainDurationMs(context);
    if (ms <= 0) this.#fail("duration must be greater than 0", token);
    return ms;
  }

  #plainDurationMs(context: string): number {
    const token = this.#token;
    if (token.kind !== "duration" && token.kind !== "number") this.#unexpected(context, "number or duration");
    this.#at++;
    return token.kind === "duration" ? this.#durationMs(token) : Math.trunc(this.#number(token) * 1000);
  }

  #signedDurationMs(): number {
    const negative = this.#isOp("-");
    if (negative || this.#isOp("+")) this.#at++;
    const ms = this.#plainDurationMs("offset");
    return negative ? -ms : ms;
  }

  #atModifier(): AtModifier {
    if (this.#isWord("start") || this.#isWord("end")) {
      const kind = this.#token.text.toLowerCase() as "start" | "end";
      this.#at++;
      this.#take("(", "@");
      this.#take(")", "@");
      return { kind };
    }
    const negative = this.#isOp("-");
    if (negative || this.#isOp("+")) this.#at++;
    const token = this.#token;
    if (token.kind !== "number" && token.kind !== "duration") this.#unexpected("@", "timestamp");
    this.#at++;
    const seconds = token.kind === "number" ? this.#number(token) : this.#durationMs(token) / 1000;
    const timeMs = Math.round((negative ? -seconds : seconds) * 1000);
    if (!Number.isFinite(timeMs)) this.#fail(`timestamp out of bounds for @ modifier: ${seconds}`, token);
    return { kind: "time", timeMs };
  }

  #durationMs(token: Token): number {
    try {
      return parseDuration(token.text);
    } catch (error) {
      return this.#fail(messageOf(error), token);
    }
  }

  #number(token: Token): number {
    const text = token.text.replaceAll("_", "");
    // Go's base prefixes; a leading 0 alone is octal.
    if (/^0[xXbBoO]/.test(text)) return Number(text);
    if (/^0[0-7]+$/.test(text)) return parseInt(text, 8);
    const value = parseGoFloat(text);
    if (value === undefined || !Number.isFinite(value))
      this.#fail(
        `error parsing number: strconv.ParseFloat: parsing ${JSON.stringify(token.text)}: value out of range`,
        token,
      );
    return value;
  }
}

function spanOf(token: Token): { from: number; to: number } {
  return { from: token.from, to: token.to };
}

function offsetOf(expr: Expr): number {
  if (expr.kind === "selector" || expr.kind === "subquery") return expr.offsetMs;
  return expr.kind === "matrix" ? expr.selector.offsetMs : 0;
}

function atOf(expr: Expr): AtModifier | undefined {
  if (expr.kind === "selector" || expr.kind === "subquery") return expr.at;
  return expr.kind === "matrix" ? expr.selector.at : undefined;
}

function describeOp(text: string): string {
  if (
    text === "(" ||
    text === ")" ||
    text === "{" ||
    text === "}" ||
    text === "[" ||
    text === "]" ||
    text === "," ||
    text === ":" ||
    text === "@" ||
    text === "="
  ) {
    return JSON.stringify(text);
  }
  return `<op:${text}>`;
}
