/** Each check of a script can fail: a faked engine answers wrongly in one way at a time. */
import { describe, expect, test } from "vitest";
import { BadRequestError, ExecutionError } from "#libs/kit/errors.ts";
import { type Labels, labelsFrom } from "#libs/model/labels.ts";
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import type { QueryResult, QueryValue, RangeParams } from "../engine.ts";
import { createTile, FLOAT, HISTOGRAM, type Steps, type Tile } from "../tile.ts";
import { formatReport } from "./report.ts";
import { runScript, type ScriptEngine, type ScriptStorage } from "./run.ts";
import type { LoadedSeries } from "./script.ts";

type Value = number | NativeHistogram;
type Row = readonly [labels: Record<string, string>, value: Value];

interface Answer {
  readonly rows?: readonly Row[];
  readonly scalar?: number;
  readonly text?: string;
  readonly warnings?: readonly string[];
  readonly infos?: readonly string[];
  readonly error?: Error;
  /** Instead of the rows, at every step of a range query. */
  readonly inRange?: readonly Row[];
}

/** Answers the same at every time. */
function engineOf(answer: Answer): ScriptEngine {
  const result = (value: QueryValue): Promise<QueryResult> => {
    if (answer.error !== undefined) return Promise.reject(answer.error);
    const { warnings = [], infos = [] } = answer;
    return Promise.resolve({
      value,
      warnings,
      infos,
      stats: { samplesLoaded: 0, samplesPeak: 0, bytesPeak: 0, tookMs: 0 },
    });
  };
  const rows = answer.rows ?? [];
  return {
    instant: (_query, timeMs) => {
      if (answer.scalar !== undefined) return result({ type: "scalar", value: answer.scalar, timeMs });
      if (answer.text !== undefined) return result({ type: "string", value: answer.text, timeMs });
      return result({ type: "vector", tile: tileOf(rows, 1), timeMs });
    },
    range: (_query, range) => {
      const steps = stepsOf(range);
      const scalar: Row[] = answer.scalar === undefined ? [] : [[{}, answer.scalar]];
      return result({ type: "matrix", tile: tileOf(answer.inRange ?? [...rows, ...scalar], steps.count), steps });
    },
  };
}

function stepsOf({ startMs, endMs, stepMs }: RangeParams): Steps {
  return { startMs, stepMs, count: Math.floor((endMs - startMs) / stepMs) + 1 };
}

function tileOf(rows: readonly Row[], count: number): Tile {
  const tile = createTile(rows.length, count);
  rows.forEach(([labels, value], s) => {
    tile.labels.push(labelsFrom(Object.entries(labels)));
    for (let at = s * count; at < (s + 1) * count; at++) {
      tile.present[at] = typeof value === "number" ? FLOAT : HISTOGRAM;
      if (typeof value === "number") tile.values[at] = value;
      else (tile.histograms ??= [])[at] = value;
    }
  });
  return tile;
}

class LoadedLabels implements ScriptStorage {
  readonly series: Labels[] = [];

  clear(): Promise<void> {
    this.series.length = 0;
    return Promise.resolve();
  }

  append({ labels }: LoadedSeries): void {
    if (labels.includes("refused")) throw new BadRequestError("no room");
    this.series.push(labels);
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  queryable(): never {
    return {} as never;
  }
}

/** The report of a script, as people read it. */
async function report(script: string, answer: Answer): Promise<string> {
  const signal = new AbortController().signal;
  return formatReport(await runScript(script, "x.test", engineOf(answer), new LoadedLabels(), "", signal));
}

const PASSED = "x.test: 1 passed, 0 failed";

function histogram(buckets: readonly number[]): NativeHistogram {
  const h = new NativeHistogram();
  h.positiveSpans = [[0, buckets.length]];
  h.positive = Float64Array.from(buckets);
  h.count = 6;
  h.sum = 9;
  return h;
}

describe("a check that holds, and the same that does not", () => {
  /** `wrong` gives a report that says `wanted` and `got`. */
  const check = (what: string, block: string, right: Answer, wrong: Answer, wanted: string, got: string): void => {
    test(what, async () => {
      const script = `eval instant at 1m time()\n${block}`;
      expect(await report(script, right)).toBe(PASSED);
      const text = await report(script, wrong);
      expect(text).toContain(`\n  wanted: ${wanted}\n  got:    ${got}\n`);
      expect(text).toMatch(/^x\.test:1: time\(\)\n[^]*\nx\.test: 0 passed, 1 failed$/);
    });
  };
  const one: Answer = { rows: [[{ a: "b" }, 1]] };

  check("value", '{a="b"} 1', one, { rows: [[{ a: "b" }, 1.00001]] }, '{a="b"} 1', '{a="b"} 1.00001');
  check("labels", '{a="b"} 1', one, { rows: [[{ a: "c" }, 1]] }, "no such series", '{a="c"} 1');
  check("a series too few", '{a="b"} 1', one, {}, '{a="b"} 1', "no such series");
  check("a series too many", "", {}, one, "no such series", '{a="b"} 1');
  check(
    "a series twice",
    '{a="b"} 1',
    one,
    { rows: [...one.rows!, ...one.rows!], inRange: one.rows! },
    "the series once",
    '{a="b"} 1',
  );
  check(
    "order",
    'expect ordered\n{a="2"} 1\n{a="1"} 1',
    { rows: ["2", "1"].map((a) => [{ a }, 1]) },
    { rows: ["1", "2"].map((a) => [{ a }, 1]) },
    'at position 1: {a="2"} 1',
    'at position 1: {a="1"} 1',
  );
  check("scalar", "1.5", { scalar: 1.5 }, { scalar: 1.6 }, "scalar 1.5", "scalar 1.6");
  check("a vector for a scalar", "1", { scalar: 1 }, one, "scalar 1", 'vector {a="b"} 1');
  check("a scalar for a vector", '{a="b"} 1', one, { scalar: 1 }, '{a="b"} 1', "scalar 1");
  check("string", 'expect string "x\\n"', { text: "x\n" }, { text: "x" }, 'string "x\\n"', 'string "x"');
  check("NaN", "{} NaN", { rows: [[{}, NaN]] }, { rows: [[{}, 0]] }, "{} NaN", "{} 0");
  check(
    "a float for a histogram",
    "{} {{count:6 sum:9 buckets:[1 2 3]}}",
    { rows: [[{}, histogram([1, 2, 3])]] },
    { rows: [[{}, 6]] },
    "{} {{count:6 sum:9 buckets:[1 2 3]}}",
    "{} 6",
  );
  check(
    "a bucket of a histogram",
    "{} {{count:6 sum:9 buckets:[1 2 3]}}",
    { rows: [[{}, histogram([1, 2, 3])]] },
    { rows: [[{}, histogram([1, 3, 2])]] },
    "{} {{count:6 sum:9 buckets:[1 2 3]}}",
    "{} {{count:6 sum:9 buckets:[1 3 2]}}",
  );
  const warned: Answer = { warnings: ["PromQL warning: a", "PromQL warning: b"] };
  check("a warning", "expect warn", warned, {}, "warning: any text", "no warning");
  check("no warning", "expect no_warn", {}, warned, "no warning like the one got", "warning: PromQL warning: a");
  check(
    "a warning's text",
    "expect warn msg: PromQL warning: a\nexpect warn regex: b$",
    warned,
    { warnings: ["PromQL warning: a"] },
    "warning: /b$/",
    "warning: PromQL warning: a",
  );
  check(
    "a warning that no line wants",
    "expect warn msg: PromQL warning: a",
    { warnings: ["PromQL warning: a"] },
    warned,
    "no warning like the one got",
    "warning: PromQL warning: b",
  );
  check("an info", "expect info", { infos: ["PromQL info: a"] }, warned, "info: any text", "no info");
  check(
    "no info",
    "expect no_info",
    warned,
    { infos: ["PromQL info: a"] },
    "no info like the one got",
    "info: PromQL info: a",
  );
  const failed: Answer = { error: new ExecutionError("too many") };
  check("a failure", "expect fail", failed, one, "error: any text", 'vector {a="b"} 1');
  check("no failure", '{a="b"} 1', one, failed, "a result", "error: too many");
  check(
    "a failure's text",
    "expect fail msg: too many",
    failed,
    { error: new ExecutionError("too many!") },
    "error: too many",
    "error: too many!",
  );
  check(
    "the value in a range query",
    '{a="b"} 1',
    one,
    { ...one, inRange: [[{ a: "b" }, 2]] },
    '{a="b"} 1',
    '{a="b"} 2',
  );
  check(
    "the order of a range query",
    '{a="1"} 1\n{a="2"} 1',
    { rows: ["1", "2"].map((a) => [{ a }, 1]) },
    { rows: ["2", "1"].map((a) => [{ a }, 1]) },
    "series sorted by labels, each once",
    '{a="2"} before {a="1"}',
  );
});

test("a crash is no failure that a script can want", async () => {
  const text = await report("eval instant at 1m time()\n  expect fail", { error: new TypeError("x is undefined") });
  expect(text).toContain("wanted: no crash\n  got:    TypeError: x is undefined at ");
});

test("range queries: values are wanted at their steps, and none at others", async () => {
  const script = (values: string): string => `eval range from 1m to 3m step 1m x\n  {a="b"} ${values}`;
  const answer: Answer = { rows: [[{ a: "b" }, 7]] };
  expect(await report(script("7x2"), answer)).toBe(PASSED);
  expect(await report(script("7 7"), answer)).toContain(
    '  wanted: {a="b"} at 3m: no value\n  got:    {a="b"} at 3m: 7; all: 7 @1m, 7 @2m, 7 @3m\n',
  );
  expect(await report(script("7 8 7"), answer)).toContain('  wanted: {a="b"} at 2m: 8\n  got:    {a="b"} at 2m: 7;');
  expect(await report("eval range from 1m to 3m step 1m x\n  expect ordered\n  {} 1", answer)).toContain(
    "wanted: a vector in order",
  );
});

test("instant queries run at six times, fixed to theirs, and around each time as a range query", async () => {
  const runs: string[] = [];
  const answers = engineOf({ rows: [[{ a: "b" }, 1]] });
  const engine: ScriptEngine = {
    instant: (query, timeMs, ...rest) => {
      runs.push(`${query} at ${timeMs}`);
      return answers.instant(query, timeMs, ...rest);
    },
    range: (query, range, ...rest) => {
      runs.push(`${query} from ${range.startMs} to ${range.endMs} step ${range.stepMs}`);
      return answers.range(query, range, ...rest);
    },
  };
  const run = async (script: string): Promise<string[]> => {
    runs.length = 0;
    await runScript(script, "x.test", engine, new LoadedLabels(), "", new AbortController().signal);
    return [...runs];
  };
  expect(await run('eval instant at 50s x\n  {a="b"} 1')).toEqual([
    "x at 50000",
    "x from -10000 to 110000 step 60000",
    "x @ 50.000 at -500000",
    "x @ 50.000 from -560000 to -440000 step 60000",
    "x @ 50.000 at 0",
    "x @ 50.000 from -60000 to 60000 step 60000",
    "x @ 50.000 at 10000",
    "x @ 50.000 from -50000 to 70000 step 60000",
    "x @ 50.000 at 50000",
    "x @ 50.000 from -10000 to 110000 step 60000",
    "x @ 50.000 at 500000",
    "x @ 50.000 from 440000 to 560000 step 60000",
  ]);
  const pinned = async (query: string): Promise<string[]> =>
    (await run(`eval instant at 0 ${query}\n  {a="b"} 1`)).filter((text) => text.includes(" at ")).slice(1);
  expect(await pinned("x offset 5s + y @ 3")).toEqual(
    [-1000, 0, 1000].map((timeMs) => `x @ 0.000 offset 5s + y @ 3.000 at ${timeMs}`),
  );
  expect((await pinned("rate(x[5m])"))[0]).toBe("rate(x[5m] @ 0.000) at -1000");
  // What is inside a subquery is fixed by it, and so are functions of time there.
  expect((await pinned("sum_over_time(timestamp(x)[5m:1m])"))[0]).toBe(
    "sum_over_time(timestamp(x)[5m:1m] @ 0.000) at -1000",
  );
  expect(await pinned("timestamp(x)")).toEqual([]);
});

test("loads", async () => {
  const load = (metric: string): string => `load 1m\n  ${metric} 1 2\n\neval instant at 1m time()\n  {} 1`;
  expect(await report(load("x"), { rows: [[{}, 1]] })).toBe(PASSED);
  expect(await report(load('x{a="refused"}'), { rows: [[{}, 1]] })).toBe(
    ["x.test:1: load", "  wanted: samples that can be stored", "  got:    no room", "x.test: 1 passed, 1 failed"].join(
      "\n",
    ),
  );
});

test("a query that does not parse fails, even where a failure is wanted", async () => {
  expect(await report("eval instant at 1m sum(\n  expect fail", {})).toContain(
    "x.test:1: sum(\n  wanted: a query that parses\n",
  );
});

test("a script that is none says where", async () => {
  expect(await report("clear\n\nload 5m\n  x 1 2\n  y 1+1\n", {})).toBe(
    [
      "x.test:5: script",
      "  wanted: a line of a script",
      "  got:    1:6: parse error: unexpected end of input in series values",
      "x.test: 0 passed, 1 failed",
    ].join("\n"),
  );
});

test("only evals whose query contains the text run", async () => {
  const script = "eval instant at 1m time()\n  {} 2\n\neval instant at 1m time() + 1\n  {} 1";
  const signal = new AbortController().signal;
  const engine = engineOf({ rows: [[{}, 1]] });
  const run = (only: string): ReturnType<typeof runScript> =>
    runScript(script, "x.test", engine, new LoadedLabels(), only, signal);
  expect(await run("")).toMatchObject({ passed: 1, failures: [{ line: 1 }] });
  expect(await run("+ 1")).toMatchObject({ passed: 1, failures: [] });
});
