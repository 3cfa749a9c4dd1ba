import { describe, expect, test } from "vitest";
import { explainQuery } from "./explain.ts";
import { parseQuery } from "./parser/parser.ts";
import { ALL_FEATURES } from "./promqltest/run.ts";

const RANGE = { startMs: 0, endMs: 3_600_000, stepMs: 60_000 };

describe("a plan before and after", () => {
  const check = (query: string, before: readonly string[], after: readonly string[]): void =>
    test(query, () => {
      const explained = explainQuery(parseQuery(query, ALL_FEATURES), RANGE, query);
      expect(explained.before.split("\n")).toEqual(before);
      expect(explained.after.split("\n")).toEqual(after);
    });

  check(
    'sum by (job) (rate(x{b="1",a=~"2"}[5m * 2] offset 1m)) / (2 * 50)',
    [
      "/",
      "  sum by (job)",
      "    rate",
      '      select x{a=~"2",b="1"}[5m * 2] offset 1m',
      "  ()",
      "    *",
      "      2",
      "      50",
    ],
    ["/", "  sum by (job)", "    rate", '      select x{a=~"2",b="1"}[10m] offset 1m (labels job only)', "  100"],
  );
  check(
    "x - on (a) group_left (b) max_over_time(sum(x)[5m:1m]) + sum(x @ end())",
    [
      "+",
      "  - on (a) group_left (b)",
      "    select x",
      "    max_over_time",
      "      subquery [5m:1m]",
      "        sum",
      "          select x",
      "  sum",
      "    select x @ end()",
    ],
    [
      "+",
      "  - on (a) group_left (b)",
      "    select x",
      "    max_over_time",
      "      subquery [5m:1m]",
      "        sum",
      "          select x (labels __name__ only)",
      "  once for all steps",
      "    sum",
      "      select x @ 3600.000 (labels __name__ only)",
    ],
  );
  check(
    'histogram_count(x) and histogram_count(x) unless x{a="1",a="2"}',
    [
      "unless",
      "  and",
      "    histogram_count",
      "      select x",
      "    histogram_count",
      "      select x",
      '  select x{a="1",a="2"} (matchers contradict: stores are not asked)',
    ],
    [
      "unless",
      "  and",
      "    shared #1",
      "      histogram_count",
      "        select x (of histograms count and sum only)",
      "    shared #1",
      "      histogram_count",
      "        select x (of histograms count and sum only)",
      '  select x{a="1",a="2"} (matchers contradict: stores are not asked)',
    ],
  );
});
