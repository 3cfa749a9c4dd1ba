import { describe, expect, test } from "vitest";
import type { DurationExpr, Expr } from "./ast.ts";
import { typeOf } from "./check.ts";
import { evaluateDuration } from "./evaluate-duration.ts";
import { formatDuration } from "#libs/kit/duration.ts";
import { parseDurationLiteral, parseNumberLiteral, secondsToMs } from "./go-number.ts";
import { quoteText, unquoteLiteral } from "./go-string.ts";
import { ParseError } from "./parse-error.ts";
import type { ParserOptions } from "./options.ts";
import { parseQuery, parseSelector } from "./parser.ts";
import { prettyExpr } from "./pretty.ts";
import { formatExpr } from "./print.ts";

const ALL: ParserOptions = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
};

const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ParseError);
    return (error as ParseError).message;
  }
  return "no error";
};

describe("without options", () => {
  const refuses = (query: string, message: string): void =>
    test(query, () => {
      expect(messageOf(() => parseQuery(query))).toBe(message);
      expect(formatExpr(parseQuery(query, ALL))).toBe(query);
    });

  refuses("mad_over_time(foo[5m])", '1:1: parse error: function "mad_over_time" is not enabled');
  refuses(
    "limitk(1, foo)",
    "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
  );
  refuses("foo[5m * 2]", "1:5: parse error: experimental duration expression is not enabled");
  refuses("foo offset -step()", "1:12: parse error: experimental duration expression is not enabled");
  refuses("foo[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled");
  refuses("foo smoothed", "1:1: parse error: smoothed modifier is experimental and not enabled");
  refuses("foo + fill (0) bar", "1:1: parse error: binop fill modifiers are experimental and not enabled");
});

describe("faults", () => {
  const issues = (query: string, ...want: [message: string, start: number, end: number][]): void =>
    test(query, () => {
      let found: unknown;
      try {
        parseQuery(query, ALL);
      } catch (error) {
        found = (error as ParseError).issues;
      }
      expect(found).toEqual(want.map(([message, start, end]) => ({ message, start, end })));
    });

  // Recorded from Prometheus 3.14's parser.
  issues(
    "(sum(foo bar + 2)",
    ['unexpected identifier "bar" in aggregation', 9, 12],
    ["no arguments for aggregate expression provided", 1, 0],
    ["unclosed left parenthesis", 17, 17],
  );
  issues("sum() ~", ["unexpected character: '~'", 6, 7], ["no arguments for aggregate expression provided", 0, 5]);
  issues(
    'foo @ end()[5 > ] "x"',
    ['unexpected <op:>> in subquery or range, expected ":" or "]"', 14, 15],
    ['unexpected "]"', 16, 17],
  );
  issues('{a="ä"} + {b="",', ["unexpected end of input inside braces", 17, 17]);
  issues('"ä" + 😀', ["unexpected character: '😀'", 7, 11]);
  issues("foo{a=~'a)(b'}", ["error parsing regexp: unexpected ): `a)(b`", 4, 13]);

  test("the column counts bytes of the line", () => {
    expect(messageOf(() => parseQuery('"ä" +\n  "ö" bar'))).toBe('2:8: parse error: unexpected identifier "bar"');
  });

  test("half a character at the end is no reason to read on", () => {
    const query = "foo 😀".slice(0, 5);
    expect(messageOf(() => parseQuery(query))).toBe("1:5: parse error: unexpected character: '\uFFFD'");
  });
});

describe("nesting", () => {
  const tooDeep = (what: string, query: string): void =>
    test(what, () => expect(messageOf(() => parseQuery(query, ALL))).toMatch(/nested deeper than 500 levels$/));

  tooDeep("parentheses", `${"(".repeat(100_000)}1`);
  tooDeep("calls", `${"abs(".repeat(501)}a${")".repeat(501)}`);
  tooDeep("signs", `${"-".repeat(100_000)}1`);
  tooDeep("a sum", `1${"+1".repeat(100_000)}`);
  tooDeep("powers", `1${"^1".repeat(100_000)}`);
  tooDeep("durations", `a[${"(".repeat(100_000)}1`);
  tooDeep("a sum of durations", `a[1${"+1".repeat(100_000)}]`);

  test("400 levels are fine", () => {
    const query = `${"abs(".repeat(400)}a${")".repeat(400)}`;
    expect(formatExpr(parseQuery(query))).toBe(query);
    expect(typeOf(parseQuery(`1${" + 1".repeat(400)}`))).toBe("scalar");
  });
});

describe("selectors of match[]", () => {
  test("only the syntax is checked", () => {
    expect(parseSelector("{}")).toEqual([]);
    expect(parseSelector('sum{a=~".*"}')).toEqual([
      { type: "=~", name: "a", value: ".*" },
      { type: "=", name: "__name__", value: "sum" },
    ]);
  });
  test("an expression is refused", () => {
    expect(messageOf(() => parseSelector("rate(up[5m])"))).toBe('1:5: parse error: unexpected "("');
    expect(messageOf(() => parseSelector(""))).toBe("unknown position: parse error: unexpected end of input");
  });
});

describe("durations evaluated", () => {
  const evaluate = (query: string): number => {
    const expr = parseQuery(query, ALL) as Expr & { kind: "matrix" | "selector" };
    const duration = expr.kind === "matrix" ? expr.rangeExpr : expr.offsetExpr;
    const isOffset = expr.kind === "selector";
    return evaluateDuration(duration as DurationExpr, { stepMs: 15_000, rangeMs: 3_600_000, query, isOffset });
  };
  const gives = (query: string, ms: number): void => test(query, () => expect(evaluate(query)).toBe(ms));
  const fails = (query: string, message: string): void =>
    test(query, () => expect(() => evaluate(query)).toThrow(message));

  gives("foo[step() + 1]", 16_000);
  gives("foo[2m*(10+5)]", 1_800_000);
  gives("foo[range() / 7]", 514_285);
  gives("foo[max_of(step(), 5s) % 4]", 3000);
  gives("foo offset -(1h30m / 2)", -2_700_000);
  gives("foo offset (5m - 5m)", 0);
  fails("foo[5m - 10m]", "4:12: duration must be greater than 0");
  fails("foo[(1 - 1) * 2]", "5:15: duration must be greater than 0");
  fails("foo[max_of(step() - 1h, -5)]", "11:26: duration must be greater than 0");
  fails("foo[5 / (step() - 15)]", "4:20: division by zero");
  fails("foo[5 % (step() - 15)]", "4:20: modulo by zero");
  fails("foo offset (-1) ^ 0.5", "11:21: duration is NaN or infinite");
  fails("foo[10 ^ 400]", "4:12: duration is NaN or infinite");
  fails("foo[100y * 3]", "4:12: duration is out of range");
  fails('foo{a="ä"}[1-1]', "12:15: duration must be greater than 0");
});

describe("literals", () => {
  const number = (text: string, want: number): void => test(text, () => expect(parseNumberLiteral(text)).toBe(want));
  number("0755", 493);
  number("08", 8);
  number("0x_1F", 31);
  number("0b11", 3);
  number("1_000.5", 1000.5);
  number("9223372036854775808", 9223372036854775808);
  number("iNf", Infinity);
  const notANumber = (text: string, message: string): void =>
    test(text, () => expect(() => parseNumberLiteral(text)).toThrow(message));
  notANumber("1__0", 'strconv.ParseFloat: parsing "1__0": invalid syntax');
  notANumber("0xffffffffffffffffff", 'strconv.ParseFloat: parsing "0xffffffffffffffffff": invalid syntax');
  notANumber("1e999", 'strconv.ParseFloat: parsing "1e999": value out of range');

  const duration = (text: string, want: number): void =>
    test(text, () => expect(parseDurationLiteral(text)).toBe(want));
  duration("1h30m", 5400);
  duration("1s1ms", 1.001);
  const notADuration = (text: string, message: string): void =>
    test(text, () => expect(() => parseDurationLiteral(text)).toThrow(message));
  notADuration("1m1h", 'not a valid duration string: "1m1h"');
  notADuration("1.5m", 'unknown unit "." in duration "1.5m"');
  notADuration("293y", "duration out of range");

  test("durations as text", () => {
    expect([0, 90_000_000, 7_776_000_000, 604_800_000, -1500].map(formatDuration)).toEqual([
      "0s",
      "1d1h",
      "90d",
      "1w",
      "-1s500ms",
    ]);
  });

  test("seconds are cut to milliseconds", () => {
    expect([1.0019, 0.0009, -1.0019].map(secondsToMs)).toEqual([1001, 0, -1001]);
  });

  test("bytes that are no UTF-8 survive", () => {
    const value = unquoteLiteral(String.raw`"a\xff\303\244\xe4\u00e4"`);
    expect(value).toBe("a\udcffä\udce4ä");
    expect(quoteText(value)).toBe(String.raw`"a\xffä\xe4ä"`);
  });
});

describe("printing", () => {
  const prints = (query: string, want: string): void =>
    test(query, () => expect(formatExpr(parseQuery(query, ALL))).toBe(want));

  prints("SUM(a) BY (b, `c.d`)", 'sum by (b, "c.d") (a)');
  prints('{"a.b", x!="1"} @ END() offset -1.5', '{__name__="a.b",x!="1"} @ end() offset -1s500ms');
  prints("a + on(x) group_left() fill_right(1e6) b", "a + on (x) group_left () fill_right (1e+06) b");
  prints("foo[5m] smoothed offset (step())", "foo[5m] smoothed offset (step())");
  prints("a </ 0.5 >/ 2", "a </ 0.5 >/ 2");
  prints("-5m", "-5m");

  test("what is too wide is opened", () => {
    const expr = parseQuery("sum by (job) (rate(foo[5m])) / on (job) -sum by (job) (rate(bar[5m:1m]))");
    expect(prettyExpr(expr, 30)).toBe(
      ["  sum by (job) (rate(foo[5m]))", "/ on (job)", "  -sum by (job) (", "    rate(bar[5m:1m])", "  )"].join("\n"),
    );
    expect(prettyExpr(expr)).toBe(formatExpr(expr));
  });
});
