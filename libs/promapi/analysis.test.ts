/** `query_explain`, `analyze`, `stats` and what is told of each query. */
import { expect, test } from "vitest";
import type { SampleColumns } from "#libs/model/columns.ts";
import { NotFoundError } from "#libs/kit/errors.ts";
import { Engine } from "#libs/promql/engine.ts";
import type { QueryStorage } from "#libs/promql/storage.ts";
import { type DataSource, PrometheusApi, type QueryEntry } from "./api.ts";

/** Three series x{i}, with a sample of i a minute. */
const STORAGE: QueryStorage = {
  // oxlint-disable-next-line typescript/require-await -- the contract is asynchronous
  async *select() {
    let i = -1;
    yield {
      next: () => ++i < 3,
      labels: () => ["__name__", "x", "i", String(i)],
      samples(columns: SampleColumns) {
        columns.reserve(11);
        for (let at = 0; at < 11; at++) {
          columns.times[at] = at * 60_000;
          columns.values[at] = i;
        }
        columns.length = 11;
      },
    };
  },
};

const nowhere = (): never => {
  throw new NotFoundError("not asked here");
};

const SOURCE: DataSource = {
  storage: () => STORAGE,
  labelNames: nowhere,
  labelValues: nowhere,
  series: nowhere,
  metadata: nowhere,
  exemplars: nowhere,
};

interface Answer {
  readonly data: Record<string, unknown>;
  readonly warnings?: string[];
  readonly error?: string;
}

async function ask(path: string, params: Record<string, string>): Promise<{ answer: Answer; told: QueryEntry[] }> {
  const told: QueryEntry[] = [];
  const api = new PrometheusApi({
    engine: new Engine({ lookbackMs: 300_000, timeoutMs: 60_000, samplesMax: 1e6, defaultStepMs: 60_000 }),
    source: SOURCE,
    now: () => 0,
    flags: {},
    startedAtMs: 0,
    retentionText: "",
    onQuery: (entry) => told.push(entry),
  });
  const query = new URLSearchParams(params).toString();
  const request = { method: "GET", path, query, form: "", tenant: "t1" };
  const response = await api.handle(request, new AbortController().signal);
  return { answer: JSON.parse(Buffer.from(response.body).toString()) as Answer, told };
}

const RANGE = { start: "300", end: "600", step: "60" };

test("query_range_explain: the operators as Thanos tells them, and the plan before and after", async () => {
  const { answer } = await ask("query_range_explain", { query: "sum(x) * (1 + 2)", ...RANGE });
  expect(answer.data).toEqual({
    name: "*",
    children: [
      { name: "sum", children: [{ name: "select x (labels __name__ only)", children: [] }] },
      { name: "3", children: [] },
    ],
    before: "*\n  sum\n    select x\n  ()\n    +\n      1\n      2",
    after: "*\n  sum\n    select x (labels __name__ only)\n  3",
  });
});

test("query_explain refuses as query does", async () => {
  const { answer } = await ask("query_explain", { query: "sum(" });
  expect(answer.error).toBe('invalid parameter "query": 1:5: parse error: unclosed left parenthesis');
});

test("analyze: what each operator did", async () => {
  const { answer } = await ask("query_range", { query: "sum(rate(x[2m])) + sum(rate(x[2m]))", ...RANGE, analyze: "1" });
  /** Without times, which must be some. */
  const plain = (node: Record<string, unknown>): object => {
    const { executionTime, selfTime, peakBytes, children, ...rest } = node;
    if (rest["series"] !== undefined) {
      expect(executionTime).toMatch(/^\d+\.\d{3}ms$/);
      expect(selfTime).toMatch(/^\d+\.\d{3}ms$/);
      expect(peakBytes).toBeTypeOf("number");
    }
    return { ...rest, children: (children as Record<string, unknown>[]).map(plain) };
  };
  const rate = { name: "rate", totalSamples: 33, peakSamples: 11, series: 3, values: 18 };
  const sum = { name: "sum", totalSamples: 0, peakSamples: 6, series: 1, values: 6 };
  const shared = { name: "shared #1", totalSamples: 0, peakSamples: 0, series: 1, values: 6 };
  expect(plain(answer.data["analysis"] as Record<string, unknown>)).toEqual({
    name: "+",
    totalSamples: 0,
    peakSamples: 12,
    series: 1,
    values: 6,
    children: [
      {
        ...shared,
        children: [{ ...sum, children: [{ ...rate, children: [{ name: "select x[2m] (no labels)", children: [] }] }] }],
      },
      // The second has not been evaluated.
      {
        ...shared,
        children: [
          { name: "sum", children: [{ name: "rate", children: [{ name: "select x[2m] (no labels)", children: [] }] }] },
        ],
      },
    ],
  });
});

test("stats: samples by Prometheus's rules", async () => {
  const counts = async (query: string): Promise<unknown> => {
    const { answer } = await ask("query_range", { query, ...RANGE, stats: "all" });
    const { samples } = answer.data["stats"] as { samples: Record<string, number> };
    return [samples["totalQueryableSamples"], samples["samplesRead"]];
  };
  expect(await counts("x")).toEqual([18, 18]);
  expect(await counts("x + x")).toEqual([36, 36]);
  expect(await counts("sum_over_time(x[2m])")).toEqual([36, 21]);
  expect(await counts("x @ 300")).toEqual([18, 3]);
  expect(await counts("max_over_time(sum(x)[3m:1m])")).toEqual([18, 24]);
  expect(await counts("1")).toEqual([0, 0]);
});

test("stats: values that will be refused", async () => {
  const { answer } = await ask("query", { query: "1", stats: "yes" });
  expect(answer.warnings).toEqual([
    'value "yes" for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all"',
  ]);
  expect((await ask("query", { query: "1", stats: "true" })).answer.warnings).toBeUndefined();
});

test("each query is told of, with what it gave or how it failed", async () => {
  const range = { tenant: "t1", startMs: 300_000, endMs: 600_000, stepMs: 60_000 };
  const tookMs: unknown = expect.any(Number);
  const bytes: unknown = expect.any(Number);
  expect((await ask("query_range", { query: "x", ...RANGE })).told).toEqual([
    { ...range, query: "x", status: 200, series: 3, samples: 33, bytes, tookMs },
  ]);
  expect((await ask("query_range", { query: "x + on () x", ...RANGE })).told).toEqual([
    { ...range, query: "x + on () x", status: 422, tookMs },
  ]);
  expect((await ask("query_range", { query: "x +", ...RANGE })).told).toEqual([
    { ...range, query: "x +", status: 400, tookMs },
  ]);
});
