/** What passes do to queries, and what stores are asked in the end. */
import { describe, expect, test } from "vitest";
import type { SampleColumns } from "#libs/model/columns.ts";
import type { Labels } from "#libs/model/labels.ts";
import { formatMatcher, type MatcherSpec } from "#libs/model/matcher.ts";
import { Engine } from "../engine.ts";
import type { Expr } from "../parser/ast.ts";
import { parseQuery } from "../parser/parser.ts";
import { selectorsOf } from "../parser/walk.ts";
import { ALL_FEATURES } from "../promqltest/run.ts";
import type { QueryStorage, SeriesBatch } from "../storage.ts";
import { mapChildren } from "./pass.ts";
import { planQuery } from "./plan.ts";

const RANGE = { startMs: 0, endMs: 600_000, stepMs: 60_000 };

const show = (matchers: readonly MatcherSpec[]): string => matchers.map(formatMatcher).join(",");

describe("matchers", () => {
  const check = (query: string, ...want: readonly string[]): void =>
    test(query, () => {
      const { expr } = planQuery(parseQuery(query, ALL_FEATURES), RANGE, query);
      expect(selectorsOf(expr).map(show)).toEqual(want);
    });
  check('x{b="1",a=~"2"}', '__name__="x",a=~"2",b="1"');
  check('x{a=~"2",a=~"2",a!="3"}', '__name__="x",a=~"2",a!="3"');
  check('x{a!="3",a=~".+",a!~"4|5",a="1"}', '__name__="x",a="1"');
  check('x{a="",a!~".+"}', '__name__="x",a=""');
  check('x{a="1",a="2"}', '__name__="x",a="1",a="2"');
  check('sum(rate(x{a="1",a=~"1|2"}[5m]))', '__name__="x",a="1"');
  check('absent(x{a="1",a="1"})', 'a="1",a="1",__name__="x"');
  check('absent(sum(x{a="1",a="1"}))', '__name__="x",a="1"');
  check('absent_over_time(x{a="1",a="1"}[5m])', 'a="1",a="1",__name__="x"');
  check('info(x{a="1",a="1"}, {b="1",b="1"})', '__name__="x",a="1"', 'b="1",b="1"');
});

describe("labels that are looked at", () => {
  const check = (query: string, ...want: readonly (string | undefined)[]): void =>
    test(query, () => {
      const picked: (string | undefined)[] = [];
      const visit = (expr: Expr): Expr => {
        const selector = expr.kind === "matrix" ? expr.selector : expr.kind === "selector" ? expr : undefined;
        if (selector !== undefined) picked.push(selector.labels?.join());
        return mapChildren(expr, visit);
      };
      visit(planQuery(parseQuery(query, ALL_FEATURES), RANGE, query).expr);
      expect(picked).toEqual(want);
    });
  check("x", undefined);
  check("count(x)", "__name__");
  check("sum by (b, a) (x)", "__name__,a,b");
  check("sum without (a) (x)", undefined);
  check("topk by (a) (1, x)", undefined);
  check("sum by (b, a, __name__, __type__) (rate(x[5m]))", "a,b");
  check("max by (a) (last_over_time(x[5m]))", "__name__,a");
  check('sum(rate({a="1"}[5m]))', undefined);
  check('count(last_over_time({a="1"}[5m]))', "__name__");
  check("quantile(scalar(sum(x)), quantile_over_time(scalar(max(y)), z[5m]))", "__name__", "", "__name__");
  check("sum(abs(x))", undefined);
  check("sum by (a) (rate(x[5m])) / sum by (b) (rate(x[5m]))", undefined, undefined);
  check("sum by (a) (rate(x[5m])) / sum by (a) (rate(x[6m]))", "a", "a");
  check("sum by (le) (absent_over_time(x[5m]))", undefined);
});

/** `count` series, each with a sample a minute; `asked` grows by the matchers of each request. */
function storage(count: number, asked: string[]): QueryStorage {
  return {
    // oxlint-disable-next-line typescript/require-await -- the contract is asynchronous
    async *select({ matchers }) {
      asked.push(show(matchers));
      yield new Minutes(count);
    },
  };
}

class Minutes implements SeriesBatch {
  readonly #count: number;
  #at = -1;

  constructor(count: number) {
    this.#count = count;
  }

  next(): boolean {
    return ++this.#at < this.#count;
  }

  labels(): Labels {
    return ["__name__", "x", "i", String(this.#at).padStart(6, "0")];
  }

  samples(columns: SampleColumns): void {
    columns.reserve(11);
    for (let i = 0; i < 11; i++) {
      columns.times[i] = i * 60_000;
      columns.values[i] = this.#at + i;
    }
    columns.length = 11;
  }
}

const signal = new AbortController().signal;
const OPTIONS = {
  lookbackMs: 300_000,
  timeoutMs: 60_000,
  samplesMax: 1e7,
  defaultStepMs: 60_000,
  parser: ALL_FEATURES,
};
const engine = new Engine(OPTIONS);

describe("stores are asked", () => {
  const check = (query: string, ...want: readonly string[]): void =>
    test(query, async () => {
      const asked: string[] = [];
      await engine.range(query, RANGE, storage(3, asked), {}, signal);
      expect(asked).toEqual(want);
    });
  const x = '__name__="x"';
  check("x / x", x);
  check("x - (  x)", x);
  check("x > 1 and x < 5", x);
  check("sum(rate(x[5m])) / count(rate(x[5m]))", x);
  check("rate(x[5m]) / rate(x[6m])", x, x);
  check("x - x offset 1m", x, x);
  check("max_over_time(sum(x)[5m:1m]) - sum(x)", x, x);
  check("max_over_time(sum(x)[5m:1m]) - min_over_time(sum(x)[5m:1m])", x);
  check("max_over_time(sum(x)[5m:1m]) - min_over_time(sum(x)[6m:1m])", x, x);
  check("x @ 0 + sum(x @ 0)", x);
  check("timestamp(x) - timestamp(x)", x);
  check("timestamp(x) - x", x, x);
  check("absent(x) or absent(x)", x);
  check('x{a="1",a="2"} or x{a="1",a!~"1|2"}');
  check('rate(x{a="1",a="2"}[5m])');
});

describe("a result that stands in a query twice", () => {
  test("is kept while it is small", async () => {
    const asked: string[] = [];
    const { value } = await engine.range("x * 2 - x", RANGE, storage(2, asked), {}, signal);
    expect(asked).toHaveLength(1);
    // What became of the first is not seen by the second.
    expect(value.type === "matrix" && Array.from(value.tile.values.subarray(0, 22))).toEqual([
      ...Array.from({ length: 11 }, (_, i) => i),
      ...Array.from({ length: 11 }, (_, i) => 1 + i),
    ]);
  });

  test("is evaluated twice when it is large, and then not held", async () => {
    const asked: string[] = [];
    const sums = await engine.range("sum(x) - sum(x + 0)", RANGE, storage(200_000, asked), {}, signal);
    expect(asked).toHaveLength(2);
    expect(sums.stats.bytesPeak).toBeLessThan(17 * 1024 * 1024);
  });

  test("is evaluated twice when memory is short", async () => {
    const asked: string[] = [];
    const frugal = new Engine({ ...OPTIONS, memoryBytesMax: 100_000 });
    await frugal.range("sum(x) - sum(x + 0)", RANGE, storage(1000, asked), {}, signal);
    expect(asked).toHaveLength(2);
  });

  test("says what it has to say at the last of its places", async () => {
    const query = "quantile(2, x) +\n quantile(2, x)";
    const asked: string[] = [];
    const { warnings } = await engine.range(query, RANGE, storage(3, asked), {}, signal);
    expect(asked).toHaveLength(1);
    expect(warnings).toEqual(["PromQL warning: quantile value should be between 0 and 1, got 2 (2:11)"]);
  });
});
