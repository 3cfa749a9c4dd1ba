/**
 * `cairn all` on a data folder that Prometheus 3.14 left by SIGKILL (log, late samples, a deletion, exemplars), against
 * what Prometheus 3.14 answered after its replay: status and body, to the last digit.
 */
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiAnswer, type Cairn, canonical, startCairn, temporaryFolder } from "../support/process.ts";
import { describeShared, GOLDEN } from "../support/shared.ts";

interface Case {
  readonly id: number;
  readonly dataset: string;
  readonly path: string;
  readonly params: string;
  readonly status: number;
  readonly body: ApiAnswer & { readonly infos?: unknown };
}

const FEATURES =
  "promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors,promql-binop-fill-modifiers";
const CASES = join(GOLDEN, "http-api/cases.ndjson.gz");

describeShared("HTTP API over a replayed log, as Prometheus 3.14 answers", CASES, () => {
  const { path: folder, cleanup } = temporaryFolder("api-wal");
  const startCopy = (name: string, flags: readonly string[]): Promise<Cairn> => {
    const tenant = join(folder, name, "receive/default-tenant");
    mkdirSync(tenant, { recursive: true });
    cpSync(join(GOLDEN, "wal/snappy/data"), tenant, { recursive: true });
    return startCairn(join(folder, name), ["--tsdb.out-of-order.time-window", "6h", ...flags]);
  };
  let cairn: Cairn;
  beforeAll(async () => {
    cairn = await startCopy("plain", ["--tsdb.max-exemplars", "100000", "--enable-feature", FEATURES]);
  });
  afterAll(async () => {
    await cairn.stop();
    cleanup();
  });

  const get = async (path: string, from = cairn): Promise<{ status: number; body: Case["body"] }> => {
    const answer = await fetch(`${from.http}${path}`);
    return { status: answer.status, body: (await answer.json()) as Case["body"] };
  };

  const chosen = gunzipSync(readFileSync(CASES))
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Case)
    .filter(({ dataset, path }) => dataset === "wal" && path.startsWith("/api/v1/query"));

  test("has 19 requests", () => expect(chosen.length).toBe(19));

  for (const c of chosen) {
    test(`#${c.id} ${c.path} ${c.params.slice(0, 120)}`, async () => {
      const { status, body } = await get(`${c.path}?${c.params}`);
      expect(status).toBe(c.status);
      if (c.path.endsWith("exemplars")) expect(body).toEqual(c.body);
      else expect(canonical(body)).toBe(canonical(c.body));
      expect([body.warnings, body.infos]).toEqual([c.body.warnings, c.body.infos]);
    });
  }

  // Prometheus answers from its scrapes only, here with nothing.
  test("metadata is what the log says", async () => {
    const { body } = await get("/api/v1/metadata?metric=node_cpu_seconds_total");
    const entry = { type: "counter", unit: "seconds", help: "help of node_cpu_seconds_total" };
    expect(body).toEqual({ status: "success", data: { node_cpu_seconds_total: [entry] } });
  });

  test("exemplars carry external labels, which select them", async () => {
    const labelled = await startCopy("labelled", ["--tsdb.max-exemplars", "100000", "--label", 'region="here"']);
    try {
      const path = `/api/v1/query_exemplars?start=1699999200&end=1700000200&query=request_duration_seconds_bucket`;
      const here = await get(`${path}${encodeURIComponent('{le="1",region="here"}')}`, labelled);
      const series = { __name__: "request_duration_seconds_bucket", cluster: "eu-1", instance: "10.0.0.1:9100" };
      const exemplar = { labels: { trace_id: "b7ef9390" }, value: "2.609008732251823", timestamp: 1699999421.672 };
      const wanted = { seriesLabels: { ...series, job: "api", le: "1", region: "here" }, exemplars: [exemplar] };
      expect(here.body).toEqual({ status: "success", data: [wanted] });
      const there = await get(`${path}${encodeURIComponent('{region="there"}')}`, labelled);
      expect(there.body).toEqual({ status: "success", data: [] });
    } finally {
      await labelled.stop();
    }
  });

  test("a receiver that keeps no exemplars says so", async () => {
    const without = await startCopy("without", []);
    try {
      const { body } = await get("/api/v1/query_exemplars?query=request_duration_seconds_bucket", without);
      const warnings = ["exemplars are not kept here: --tsdb.max-exemplars is 0"];
      expect(body).toEqual({ status: "success", data: [], warnings });
    } finally {
      await without.stop();
    }
  });

  test("exemplars of an expression without a selector", async () => {
    expect(await get("/api/v1/query_exemplars?query=1")).toEqual({ status: 200, body: { status: "success" } });
  });
});
