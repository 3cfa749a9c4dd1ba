/** Start timestamps that remote write 2.0 brings, up to PromQL. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, type Cairn, startCairn, temporaryFolder } from "../support/process.ts";
import { type TestHistogram, write, writeV2 } from "../support/write.ts";

const NOW = Math.floor(Date.now() / 1000) * 1000;
const LAST = NOW - 15_000;
const STARTED = NOW - 3_600_000;
const RESTARTED = NOW - 20_000;

const HISTOGRAM: TestHistogram = {
  count: { case: "countInt", value: 3n },
  sum: 5,
  positiveSpans: [{ offset: 0, length: 1 }],
  positiveDeltas: [3n],
  timestamp: BigInt(LAST),
};

/** A counter that restarts, a gauge, a histogram, and a start timestamp that no clock has. */
async function fill(cairn: Cairn): Promise<void> {
  const answer = await writeV2(cairn.remoteWrite, [
    {
      labels: { __name__: "m", kind: "counter" },
      samples: [
        [LAST - 30_000, 100, STARTED],
        [LAST - 15_000, 130, STARTED],
        [LAST, 140, RESTARTED],
      ],
    },
    { labels: { __name__: "m", kind: "gauge" }, samples: [[LAST, 20, 0]] },
    { labels: { __name__: "m", kind: "histogram" }, histograms: [[HISTOGRAM, STARTED]] },
    { labels: { __name__: "m", kind: "odd" }, samples: [[LAST, 1, -(2 ** 53) + 1]] },
  ]);
  expect([answer.status, await answer.text()]).toEqual([204, ""]);
}

/** By kind. */
async function query(cairn: Cairn, expression: string): Promise<Record<string, string>> {
  const { data } = await ask(cairn.http, "query", { query: expression, time: String(NOW / 1000) });
  return Object.fromEntries(data.result.map(({ metric, value }) => [metric["kind"]!, value![1]]));
}

function withCairn(name: string, flags: readonly string[], body: (cairn: () => Cairn) => void): void {
  describe(name, () => {
    const { path, cleanup } = temporaryFolder("starts");
    let cairn: Cairn;
    beforeAll(async () => {
      cairn = await startCairn(path, [...flags, "--enable-feature=use-start-timestamps,promql-experimental-functions"]);
      await fill(cairn);
    });
    afterAll(async () => {
      expect(await cairn.stop()).toBe(0);
      cleanup();
    });
    body(() => cairn);
  });
}

withCairn("with st-storage", ["--enable-feature=st-storage"], (cairn) => {
  test("functions have them", async () => {
    expect(await query(cairn(), "start_timestamp(m)")).toEqual({
      counter: String(RESTARTED / 1000),
      gauge: "0",
      histogram: String(STARTED / 1000),
      odd: "0",
    });
    expect(await query(cairn(), 'resets(m{kind="counter"}[1m])')).toEqual({ counter: "1" });
  });

  test("remote write 1.0 has none", async () => {
    await write(cairn().remoteWrite, [{ labels: { __name__: "m", kind: "old" }, samples: [[LAST, 1]] }]);
    expect(await query(cairn(), 'start_timestamp(m{kind="old"})')).toEqual({ old: "0" });
  });
});

withCairn("without st-storage", [], (cairn) => {
  test("they are dropped", async () => {
    const none = { counter: "0", gauge: "0", histogram: "0", odd: "0" };
    expect(await query(cairn(), "start_timestamp(m)")).toEqual(none);
    expect(await query(cairn(), 'resets(m{kind="counter"}[1m])')).toEqual({ counter: "0" });
  });
});
