/** The parser, printer and prettifier against the cases of Prometheus 3.14's own tests. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BadRequestError } from "#libs/kit/errors.ts";
import { formatMatcher, type MatcherSpec } from "#libs/model/matcher.ts";
import type { AtModifier, DurationExpr, Expr, Span, VectorSelector } from "#libs/promql/parser/ast.ts";
import { Lexer } from "#libs/promql/parser/lexer.ts";
import { unquoteLiteral } from "#libs/promql/parser/go-string.ts";
import { ParseError, utf8Offset } from "#libs/promql/parser/parse-error.ts";
import type { ParserOptions } from "#libs/promql/parser/options.ts";
import { parseQuery } from "#libs/promql/parser/parser.ts";
import { prettyExpr } from "#libs/promql/parser/pretty.ts";
import { formatExpr } from "#libs/promql/parser/print.ts";
import { selectorsOf } from "#libs/promql/parser/walk.ts";
import { CONFORMANCE, describeShared } from "../support/shared.ts";

const CASES = join(CONFORMANCE, "parser_cases.json");

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

interface ExpressionCase {
  id: number;
  input?: string;
  input_base64?: string;
  input_expr?: string;
  fail: boolean;
  expected_ast?: Json;
  error_string?: string;
  errors?: { message: string; start: number; end: number }[];
  errors_total?: number;
}

interface PrintCase {
  in: string;
  out?: string;
}

interface LexerCase {
  input: string;
  input_base64?: string;
  fail?: boolean;
  expected?: { Pos: number; Typ: string; Val: string }[];
}

interface Cases {
  expressions: ExpressionCase[];
  extract_selectors: { input: string; expected: string[] }[];
  lexer: { name: string; seriesDesc?: boolean; tests: LexerCase[] }[];
  prettier: Record<string, PrintCase[]>;
  printer: {
    TestExprString: PrintCase[];
    TestBinaryExprUTF8Labels: { name: string; input: string; expected: string }[];
    TestVectorSelector_String: {
      name: string;
      expected: string;
      vs: { Name?: string; LabelMatchers?: { type: string; name: string; value: string }[] };
    }[];
  };
}

/** As the cases of `expressions` were recorded; the printer's had fill modifiers too. */
const OPTIONS: ParserOptions = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: false,
};
const ALL: ParserOptions = { ...OPTIONS, fillModifiers: true };

describeShared("parser as Prometheus 3.14's", CASES, () => {
  const cases = JSON.parse(readFileSync(CASES, "utf8")) as Cases;

  describe("expressions", () => {
    for (const c of cases.expressions) {
      const input = inputOf(c);
      const title = `#${c.id} ${input.slice(0, 100)}`;
      if (c.fail) test(title, () => checkFaults(c, input));
      else
        test(title, () =>
          expect(withoutZeros(goShape(parseQuery(input, OPTIONS), input))).toEqual(withoutZeros(c.expected_ast!)),
        );
    }
  });

  describe("printer", () => {
    for (const c of cases.printer.TestExprString) {
      test(c.in, () => expect(formatExpr(parseQuery(c.in, ALL))).toBe(c.out ?? c.in));
    }
    for (const c of cases.printer.TestBinaryExprUTF8Labels) {
      test(c.name, () => expect(formatExpr(parseQuery(c.input, ALL))).toBe(c.expected));
    }
    for (const c of cases.printer.TestVectorSelector_String) {
      test(`selector: ${c.name}`, () => {
        const span = { from: 0, to: 0 };
        const matchers = (c.vs.LabelMatchers ?? []).map(({ type, name, value }) => ({
          type: TYPE_OF[type]!,
          name,
          value,
        }));
        const selector: VectorSelector = {
          kind: "selector",
          span,
          name: c.vs.Name ?? "",
          matchers,
          offsetMs: 0,
          offsetExpr: undefined,
          at: undefined,
          borders: "extrapolated",
        };
        expect(formatExpr(selector)).toBe(c.expected);
      });
    }
  });

  describe("prettier", () => {
    for (const [group, list] of Object.entries(cases.prettier)) {
      for (const c of list) {
        test(`${group} ${c.in}`, () => expect(prettyExpr(parseQuery(c.in, ALL), 10)).toBe(c.out ?? c.in));
      }
    }
  });

  describe("selectors of an expression", () => {
    for (const { input, expected } of cases.extract_selectors) {
      test(input, () => {
        const shown = selectorsOf(parseQuery(input)).map((matchers) => `{${matchers.map(formatMatcher).join(", ")}}`);
        expect(shown).toEqual(expected);
      });
    }
  });

  // Series descriptions belong to the test scripts, not to the language.
  describe("lexer", () => {
    for (const group of cases.lexer.filter(({ name }) => !name.includes("series descriptions"))) {
      for (const c of group.tests) test(`${group.name} ${c.input}`, () => checkTokens(c));
    }
  });
});

function inputOf({ input, input_expr, input_base64 }: ExpressionCase): string {
  if (input_base64 !== undefined) return Buffer.from(input_base64, "base64").toString("utf8");
  if (input_expr !== undefined) return `(${"-{}-1".repeat(10_000)})${"[1m:]".repeat(1000)}`;
  return input!;
}

function checkFaults(c: ExpressionCase, input: string): void {
  const error = faultOf(input);
  expect(error.message).toBe(c.error_string);
  const { issues } = error;
  if (c.errors_total === undefined) {
    // Bytes that are no UTF-8 are three bytes long by the time a query is text.
    const scale = (end: number): number => (end === input_base64Length(c) ? Buffer.byteLength(input) : end);
    expect(issues).toEqual(c.errors!.map((e) => ({ ...e, end: scale(e.end) })));
    return;
  }
  expect(issues.length).toBe(c.errors_total);
  for (const issue of c.errors!.slice(0, 2)) expect(issues).toContainEqual(issue);
}

function input_base64Length({ input_base64 }: ExpressionCase): number {
  return input_base64 === undefined ? -1 : Buffer.from(input_base64, "base64").length;
}

function faultOf(input: string): ParseError {
  try {
    parseQuery(input, OPTIONS);
  } catch (error) {
    expect(error).toBeInstanceOf(BadRequestError);
    if (error instanceof ParseError) return error;
    throw error;
  }
  throw new Error(`parsed: ${input}`);
}

const TOKEN_NAMES: Readonly<Record<string, string>> = {
  and: "LAND",
  or: "LOR",
  unless: "LUNLESS",
  "+": "ADD",
  "-": "SUB",
  "*": "MUL",
  "/": "DIV",
  "%": "MOD",
  "^": "POW",
  "==": "EQLC",
  "!=": "NEQ",
  "<": "LSS",
  "<=": "LTE",
  ">": "GTR",
  ">=": "GTE",
  "</": "TRIM_UPPER",
  ">/": "TRIM_LOWER",
  "=~": "EQL_REGEX",
  "!~": "NEQ_REGEX",
  "=": "EQL",
  "@": "AT",
  "(": "LEFT_PAREN",
  ")": "RIGHT_PAREN",
  "{": "LEFT_BRACE",
  "}": "RIGHT_BRACE",
  "[": "LEFT_BRACKET",
  "]": "RIGHT_BRACKET",
  ",": "COMMA",
  ":": "COLON",
  "metric identifier": "METRIC_IDENTIFIER",
};
const nameOf = (token: string): string => TOKEN_NAMES[token] ?? token.toUpperCase();

function checkTokens(c: LexerCase): void {
  const input = c.input_base64 === undefined ? c.input : Buffer.from(c.input_base64, "base64").toString("utf8");
  const lexer = new Lexer(input);
  const found = [];
  let token = lexer.next();
  for (; token.type !== "eof" && token.type !== "error"; token = lexer.next()) {
    const { type, from, to } = token;
    found.push({ Pos: utf8Offset(input, from), Typ: nameOf(type), Val: input.slice(from, to) });
  }
  if (c.fail === true) return expect(token.type).toBe("error");
  // Comments are no tokens here, and behind an error there are none.
  const items = c.expected!.filter((item) => item.Typ !== "COMMENT");
  const failure = items.findIndex((item) => item.Typ === "ERROR");
  expect(found).toEqual(
    (failure < 0 ? items : items.slice(0, failure)).map(({ Pos, Typ, Val }) => ({ Pos, Typ, Val })),
  );
  if (failure >= 0) expect(token.message).toBe(items[failure]!.Val);
}

const TYPE_OF: Readonly<Record<string, MatcherSpec["type"]>> = {
  MatchEqual: "=",
  MatchNotEqual: "!=",
  MatchRegexp: "=~",
  MatchNotRegexp: "!~",
};
const TYPE_NAMES = Object.fromEntries(Object.entries(TYPE_OF).map(([name, type]) => [type, name]));
const CARD_NAMES = {
  "one-to-one": "CardOneToOne",
  "many-to-one": "CardManyToOne",
  "one-to-many": "CardOneToMany",
  "many-to-many": "CardManyToMany",
};

/** Our tree in the shape in which Go's was recorded. */
function goShape(root: Expr, input: string): Json {
  const at = (offset: number): number => utf8Offset(input, offset);
  const range = ({ from, to }: Span): Json => ({ Start: at(from), End: at(to) });
  const number = (value: number): Json =>
    Number.isFinite(value) ? value : value > 0 ? "+Inf" : value < 0 ? "-Inf" : "NaN";
  const ns = (ms: number): number => ms * 1e6;
  const time = (modifier: AtModifier | undefined): Record<string, Json> =>
    modifier === undefined
      ? {}
      : modifier.kind === "time"
        ? { Timestamp: modifier.timeMs }
        : { StartOrEnd: modifier.kind.toUpperCase() };

  const duration = (expr: DurationExpr | undefined): Json => {
    if (expr === undefined) return null;
    const positions = { StartPos: at(expr.span.from), EndPos: at(expr.span.to) };
    switch (expr.kind) {
      case "duration-number":
        return {
          $t: "NumberLiteral",
          Val: number(expr.seconds),
          Duration: expr.isDuration,
          PosRange: range(expr.span),
        };
      case "duration-step":
        return { $t: "DurationExpr", Op: "STEP", ...positions };
      case "duration-range":
        return { $t: "DurationExpr", Op: "RANGE", ...positions };
      case "duration-unary": {
        const { expr: inner } = expr;
        const unary = { $t: "DurationExpr", Op: nameOf(expr.op), StartPos: positions.StartPos };
        if (inner.kind !== "duration-call") return { ...unary, RHS: duration(inner) };
        // Go ends both at the last argument where a sign stands before the function.
        const EndPos = at(inner.rhs.span.to);
        return { ...unary, EndPos, RHS: { ...(duration(inner) as object), EndPos } };
      }
      case "duration-binary":
        return { $t: "DurationExpr", Op: nameOf(expr.op), LHS: duration(expr.lhs), RHS: duration(expr.rhs) };
      case "duration-call":
        return {
          $t: "DurationExpr",
          Op: nameOf(expr.func),
          LHS: duration(expr.lhs),
          RHS: duration(expr.rhs),
          ...positions,
        };
      case "duration-paren":
        return expr.expr.kind === "duration-number"
          ? { $t: "DurationExpr", Op: "ADD", RHS: duration(expr.expr), Wrapped: true, ...positions }
          : { ...(duration(expr.expr) as object), Wrapped: true };
    }
  };

  const shape = (expr: Expr): Json => {
    const PosRange = range(expr.span);
    switch (expr.kind) {
      case "number":
        return { $t: "NumberLiteral", Val: number(expr.value), Duration: expr.isDuration === true, PosRange };
      case "string":
        return expr.value.isWellFormed()
          ? { $t: "StringLiteral", Val: expr.value, PosRange }
          : { $t: "StringLiteral", Val_base64: bytesOf(expr.value).toString("base64"), PosRange };
      case "selector":
        return {
          $t: "VectorSelector",
          Name: expr.name,
          LabelMatchers: expr.matchers.map(({ type, name, value }) => ({ type: TYPE_NAMES[type]!, name, value })),
          OriginalOffset: ns(expr.offsetMs),
          OriginalOffsetExpr: duration(expr.offsetExpr),
          Anchored: expr.borders === "anchored",
          Smoothed: expr.borders === "smoothed",
          PosRange,
          ...time(expr.at),
        };
      case "matrix":
        return {
          $t: "MatrixSelector",
          VectorSelector: shape(expr.selector),
          Range: ns(expr.rangeMs),
          RangeExpr: duration(expr.rangeExpr),
          EndPos: at(expr.span.to),
        };
      case "subquery":
        return {
          $t: "SubqueryExpr",
          Expr: shape(expr.expr),
          Range: ns(expr.rangeMs),
          RangeExpr: duration(expr.rangeExpr),
          Step: ns(expr.stepMs),
          StepExpr: duration(expr.stepExpr),
          OriginalOffset: ns(expr.offsetMs),
          OriginalOffsetExpr: duration(expr.offsetExpr),
          EndPos: at(expr.span.to),
          ...time(expr.at),
        };
      case "unary":
        return { $t: "UnaryExpr", Op: nameOf(expr.op), Expr: shape(expr.expr), StartPos: at(expr.span.from) };
      case "paren":
        return { $t: "ParenExpr", Expr: shape(expr.expr), PosRange };
      case "invariant":
      case "shared":
        throw new Error("a parser makes none");
      case "binary":
        return {
          $t: "BinaryExpr",
          Op: nameOf(expr.op),
          LHS: shape(expr.lhs),
          RHS: shape(expr.rhs),
          ReturnBool: expr.bool,
          VectorMatching:
            expr.matching === undefined
              ? null
              : {
                  $t: "VectorMatching",
                  Card: CARD_NAMES[expr.matching.card],
                  MatchingLabels: expr.matching.labels,
                  On: expr.matching.on,
                  Include: expr.matching.include,
                },
        };
      case "aggregate":
        return {
          $t: "AggregateExpr",
          Op: nameOf(expr.op),
          Expr: shape(expr.expr),
          Param: expr.param === undefined ? null : shape(expr.param),
          Grouping: expr.grouping,
          Without: expr.without,
          PosRange,
        };
      case "call": {
        const Args = expr.args.map(shape);
        if (expr.func === "info" && Args.length > 1)
          Args[1] = { ...(Args[1] as object), BypassEmptyMatcherCheck: true };
        return { $t: "Call", Func: expr.func, Args, PosRange };
      }
    }
  };
  return shape(root);
}

/** The bytes of a string literal whose value is no UTF-8. */
function bytesOf(text: string): Buffer {
  const parts = Array.from(text, (char) =>
    char.isWellFormed() ? Buffer.from(char) : Buffer.from([char.charCodeAt(0) - 0xdc00]),
  );
  return Buffer.concat(parts);
}

const ZEROS: readonly Json[] = [null, 0, "", false, "CardOneToOne"];

/** Zero values may be recorded or not. */
function withoutZeros(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutZeros);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value as Record<string, Json>)
    .map(([key, part]) => [key, withoutZeros(part)] as const)
    .filter(([, part]) => !ZEROS.includes(part) && !isEmpty(part))
    // What cannot be shown as text was recorded as bytes too.
    .filter(([key]) => key !== "Val" || !("Val_base64" in value));
  return Object.fromEntries(kept);
}

function isEmpty(value: Json): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

test("bytes of literals that are no UTF-8 are kept", () => {
  expect(bytesOf(unquoteLiteral(String.raw`"\xff\xc3\xa4\377"`)).toString("hex")).toBe("ffc3a4ff");
});
