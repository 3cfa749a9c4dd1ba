import { describe, expect, test } from "vitest";
import { parseQuery } from "../parser/parser.ts";
import { planQuery } from "./plan.ts";
import { formatPlan, parsePlan } from "./plan-text.ts";

const RANGE = { startMs: 0, endMs: 600_000, stepMs: 60_000 };
const ALL_ON = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
};
const planOf = (query: string): ReturnType<typeof planQuery> => planQuery(parseQuery(query, ALL_ON), RANGE, query);

describe("a plan as text and back", () => {
  for (const query of [
    "1",
    '"\\xff"',
    "-0 + x",
    "NaN * Inf / -Inf * x",
    'sum without (a) (rate(x{b=~"c.+"}[5m * 2] offset -step()))',
    "max_over_time(x[1h:step()] @ end()) > bool 1",
    "a / on (b) group_left (c) fill_left (NaN) d",
    'topk(3, a) and ignoring ("ü") b',
    'histogram_count(info(x, {k8s=~".+"}))',
    "rate(x[5m] smoothed)",
    "x[5m]",
  ]) {
    test(query, () => {
      const plan = planOf(query);
      expect(parsePlan(formatPlan(plan))).toEqual(plan);
    });
  }
});

describe("what is no plan", () => {
  /** The plan of `query` with the text `from` replaced. */
  const check = (query: string, from: string, to: string, want: string): void =>
    test(want, () => {
      const changed = formatPlan(planOf(query)).replace(from, to);
      expect(changed).toContain(to);
      expect(() => parsePlan(changed)).toThrow(want);
    });
  check("x", '"version":1', '"version":2', "version 2, but this querier reads 1; run one version everywhere");
  check("x", '"kind":"selector"', '"kind":"constructor"', 'plan.expr: unknown node "constructor"');
  check("x", '"kind":"selector"', '"kind":"paren"', "plan.expr: want nothing: plans have it resolved");
  check("x", '"offsetMs":0', '"offsetMs":0.5', "plan.expr.offsetMs: want a whole number");
  check("x", '"offsetMs":0', '"offsetMs":0,"more":1', 'plan.expr: unknown field "more"');
  check('x{a="b"}', '"type":"="', '"type":"=="', "plan.expr.matchers[0].type: want one of =, !=, =~, !~");
  check("sum(x)", '"op":"sum"', '"op":"mode"', "plan.expr.op: want one of sum, avg");
  check("sum(x)", '"op":"sum"', '"op":"topk"', "plan.expr: want a scalar as parameter");
  check("abs(x)", '"func":"abs"', '"func":"rate"', "plan.expr: want a matrix as argument 1 of rate");
  check("abs(x)", '"func":"abs"', '"func":"toString"', 'plan.expr: want a known function, not "toString"');
  check("x + y", '"card":"one-to-one"', '"card":"many-to-many"', "plan.expr: want matching of one side to one");
  check("x + y", '"op":"+"', '"op":"and"', "plan.expr: want vectors and many-to-many matching");

  test("no JSON", () => expect(() => parsePlan("{")).toThrow("plan: "));
  test("null", () => expect(() => parsePlan("null")).toThrow("plan: version undefined"));
  test("too deep a tree", () => {
    let text = formatPlan(planOf("-x"));
    const unary = /\{"kind":"unary".*?"expr":/.exec(text)![0];
    text = text.replace(unary, unary.repeat(100_000)).replace(/\}$/, `${"}".repeat(99_999)}}`);
    expect(() => parsePlan(text)).toThrow("nested deeper than 1500 levels");
  });
});
