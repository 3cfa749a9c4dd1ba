/** PromQL by scripts: our own, and those of Prometheus 3.14. */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { SampleColumns } from "#libs/model/columns.ts";
import { RESET_HINT } from "#libs/model/histogram.ts";
import { labelsToObject } from "#libs/model/labels.ts";
import { isStale } from "#libs/model/stale.ts";
import { nativeFromClassic } from "#libs/promql/promqltest/classic-to-native.ts";
import { formatReport } from "#libs/promql/promqltest/report.ts";
import { parseScript } from "#libs/promql/promqltest/script.ts";
import { ChunkStorage } from "../../tools/promqltest-storage.ts";
import { promqltest, runFile } from "../../tools/promqltest.ts";
import { CONFORMANCE, describeShared } from "../support/shared.ts";

const OURS = resolve(import.meta.dirname, "../promql");
const PROMETHEUS = join(CONFORMANCE, "promqltest");

const signal = new AbortController().signal;

/** Every eval of the scripts in a folder passes, over both storages. */
function testScripts(folder: string): void {
  for (const file of scriptsIn(folder)) {
    const path = join(folder, file);
    for (const storage of ["chunks", "head"] as const) {
      test(`${file} over ${storage}`, async () => {
        const report = await runFile(path, { run: "", storage }, signal);
        expect(formatReport(report)).toMatch(/^\S+: [1-9]\d* passed, 0 failed$/);
      });
    }
  }
}

function scriptsIn(folder: string): string[] {
  return readdirSync(folder).filter((file) => file.endsWith(".test"));
}

describe("our scripts", () => testScripts(OURS));

describeShared("scripts of Prometheus", PROMETHEUS, () => {
  test("are all there", () => expect(scriptsIn(PROMETHEUS).length).toBe(16));
  testScripts(PROMETHEUS);
});

test("the tool prints what failed, totals of each file and all, and exits with 1", async () => {
  const printed: string[] = [];
  const files = ["staleness.test", "expectations.test"].map((file) => join(OURS, file));
  const code = await promqltest(files, { run: "", storage: "chunks" }, (text) => printed.push(text), signal);
  expect(code).toBe(0);
  expect(printed).toEqual([
    `${files[0]}: 9 passed, 0 failed`,
    `${files[1]}: 7 passed, 0 failed`,
    "16 passed, 0 failed",
  ]);
  const wrong = await promqltest(
    [import.meta.filename],
    { run: "", storage: "chunks" },
    (text) => printed.push(text),
    signal,
  );
  expect(wrong).toBe(1);
  expect(printed.at(-1)).toBe("0 passed, 1 failed");
});

describe("the storage behind scripts", () => {
  /** The samples of all series that a load leaves, `time start value` each. */
  async function stored(...lines: readonly string[]): Promise<Record<string, string[]>> {
    const storage = new ChunkStorage();
    for (const command of parseScript(["load_with_nhcb 1s", ...lines].join("\n"))) {
      if (command.kind !== "load") throw new Error(command.kind);
      for (const series of [...command.series, ...nativeFromClassic(command.series)]) storage.append(series);
    }
    await storage.commit();
    const found: Record<string, string[]> = {};
    const request = { matchers: [], mint: 0, maxt: 1e9, func: "", stepMs: 0, rangeMs: 0 };
    for await (const batch of storage.queryable().select(request, () => undefined, signal)) {
      while (batch.next()) {
        const columns = new SampleColumns();
        batch.samples(columns);
        found[labelsToObject(batch.labels())["__name__"]!] = Array.from({ length: columns.length }, (_, i) => {
          const start = columns.starts?.[i] ?? 0;
          return `${columns.times[i]} ${start} ${isStale(columns.words, i) ? "stale" : valueAt(columns, i)}`;
        });
      }
    }
    return found;
  }

  function valueAt(columns: SampleColumns, i: number): string {
    const histogram = columns.histograms?.[i];
    if (histogram === undefined) return `${columns.values[i]}`;
    const hint = Object.entries(RESET_HINT).find(([, value]) => value === histogram.counterResetHint)![0];
    return `[${histogram.positive.join(",")}] ${hint}`;
  }

  /** Of the one series x. */
  const check = (what: string, lines: readonly string[], want: readonly string[]): void =>
    test(what, async () => expect(await stored(...lines)).toEqual({ x: want }));

  check("floats with start timestamps", ["x@st _ -1s _ -3s", "x 1 2 _ stale"], ["0 0 1", "1000 0 2", "3000 0 stale"]);
  check(
    "counters are unknown at first, then not reset",
    ["x {{count:1 buckets:[1]}} {{count:2 buckets:[2]}} {{count:3 buckets:[2 1]}}"],
    ["0 0 [1,0] UNKNOWN", "1000 0 [2,0] NOT_RESET", "2000 0 [2,1] NOT_RESET"],
  );
  check(
    "a reset begins a chunk, whether it is seen or said",
    ["x {{count:2 buckets:[2]}} {{count:1 buckets:[1]}} {{count:3 buckets:[3] counter_reset_hint:reset}}"],
    ["0 0 [2] UNKNOWN", "1000 0 [1] UNKNOWN", "2000 0 [3] UNKNOWN"],
  );
  check(
    "gauges stay gauges",
    ["x {{count:2 buckets:[2] counter_reset_hint:gauge}} {{count:1 buckets:[1] counter_reset_hint:gauge}} {{count:3}}"],
    ["0 0 [2] GAUGE", "1000 0 [1] GAUGE", "2000 0 [] UNKNOWN"],
  );
  check(
    "another schema and other bounds begin a chunk",
    [
      "x {{count:1 buckets:[1]}} {{schema:1 count:1 buckets:[1]}} {{schema:-53 count:1 buckets:[1] custom_values:[1]}} {{schema:-53 count:2 buckets:[1 1] custom_values:[2]}}",
    ],
    ["0 0 [1] UNKNOWN", "1000 0 [1] UNKNOWN", "2000 0 [1] UNKNOWN", "3000 0 [1,1] UNKNOWN"],
  );
  check(
    "floats between histograms",
    ["x {{count:1 buckets:[1]}}x1 5 {{count:1 buckets:[1]}} stale"],
    ["0 0 [1] UNKNOWN", "1000 0 [1] NOT_RESET", "2000 0 5", "3000 0 [1] UNKNOWN", "4000 0 stale"],
  );

  test("chunks of 120 samples", async () => {
    const { x } = await stored("x {{count:1 buckets:[1]}}x250");
    expect(x!.flatMap((sample, i) => (sample.endsWith("UNKNOWN") ? [i] : []))).toEqual([0, 120, 240]);
    expect((await stored("x 0+1x250"))["x"]).toHaveLength(251);
  });

  test("classic histograms beside native ones of their name", async () => {
    const { x, x_count: count } = await stored('x_bucket{le="1"} 1 2', "x_count 3 3");
    expect(x).toEqual(["0 0 [1,2] UNKNOWN", "1000 0 [2,1] UNKNOWN"]);
    expect(count).toEqual(["0 0 3", "1000 0 3"]);
  });

  test("the last sample may come again, but not another one at its time or one before it", async () => {
    expect(await stored("x 1 2", "", "load 1s", "x _ 2")).toEqual({ x: ["0 0 1", "1000 0 2"] });
    await expect(stored("x 1 2", "", "load 1s", "x _ 3")).rejects.toThrow(
      '{__name__="x"}: a sample at 1000 ms behind one at 1000 ms',
    );
  });
});
