/**
 * The HTTP API over a block of floats that Prometheus 3.14 wrote, against what Prometheus 3.14 answered: status and
 * body, to the last digit. Requests that need native histograms or experimental language are left to their own issue.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { resolveOptions } from "#libs/kit/options.ts";
import { FilesystemBucket } from "#libs/objstore/filesystem.ts";
import { PrometheusApi } from "#libs/promapi/api.ts";
import { Engine } from "#libs/promql/engine.ts";
import { engineFeatures } from "#libs/promql/features.ts";
import { querierOptions } from "#services/querier/config.ts";
import { NO_METADATA, StoreSource } from "#services/querier/source.ts";
import { BlockSet } from "#services/store-gateway/block-set.ts";
import { GatewayStore } from "#services/store-gateway/gateway.ts";
import { type ApiAnswer, canonical } from "../support/process.ts";
import { describeShared, GOLDEN } from "../support/shared.ts";

interface Case {
  id: number;
  dataset: string;
  method: string;
  path: string;
  params: string;
  post?: boolean;
  status: number;
  body: unknown;
}

const FEATURES = [
  "promql-experimental-functions",
  "promql-duration-expr",
  "promql-extended-range-selectors",
  "promql-binop-fill-modifiers",
];
const CASES = join(GOLDEN, "http-api/cases.ndjson.gz");

describeShared("HTTP API as Prometheus 3.14 answers", CASES, () => {
  const work = mkdtempSync(join(tmpdir(), "cairn-api-"));
  let api: PrometheusApi;
  beforeAll(async () => {
    for (const block of ["floats", "histograms"]) {
      const source = join(GOLDEN, "blocks", block);
      const ulid = readdirSync(source).find((name) => /^[0-9A-Z]{26}$/.test(name))!;
      cpSync(join(source, ulid), join(work, "bucket", ulid), { recursive: true });
    }
    const { env } = createEnv(silentLog(), () => Date.now(), new AbortController().signal);
    const blocks = new BlockSet(new FilesystemBucket(join(work, "bucket")), join(work, "headers"), 0, env);
    await blocks.sync(Date.now());
    expect([...blocks.blocks].length).toBe(2);
    const config = resolveOptions(querierOptions, { flags: new Map(), environment: {} });
    const engine = new Engine({
      lookbackMs: 300_000,
      timeoutMs: 120_000,
      samplesMax: 5e7,
      defaultStepMs: 60_000,
      ...engineFeatures(FEATURES),
    });
    const data = new StoreSource(new GatewayStore(blocks), config, NO_METADATA);
    api = new PrometheusApi({
      engine,
      source: data,
      parser: engineFeatures(FEATURES).parser,
      now: () => Date.now(),
      flags: {},
      startedAtMs: 0,
      retentionText: "",
    });
  });
  afterAll(() => rmSync(work, { recursive: true }));

  const cases = gunzipSync(readFileSync(CASES))
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Case);
  const chosen = cases.filter((c) => {
    const text = decodeURIComponent(c.params.replaceAll("+", " ").replaceAll("%FF", ""));
    return (
      c.dataset === "blocks" &&
      (c.method === "GET" || c.method === "POST") &&
      /^\/api\/v1\/(query|query_range|parse_query|format_query|series|labels|label\/.*)$/.test(c.path) &&
      // A timeout of 1 ms is met or not, as the machine will.
      !text.includes("timeout=1ms")
    );
  });

  test(`has ${chosen.length} requests`, () => expect(chosen.length).toBeGreaterThan(180));

  for (const c of chosen) {
    test(`#${c.id} ${c.path} ${c.params.slice(0, 120)}`, async () => {
      const form = c.method === "POST" || c.post === true;
      const request = {
        method: c.method,
        path: c.path.slice("/api/v1/".length),
        query: form ? "" : c.params,
        form: form ? c.params : "",
        tenant: "t",
      };
      const response = await api.handle(request, new AbortController().signal);
      const body = JSON.parse(Buffer.from(response.body).toString()) as ApiAnswer & {
        data: { stats?: { samples: { totalQueryableSamples: number; samplesRead: number } } };
        infos?: unknown;
      };
      const want = c.body as typeof body;
      const counted = ({ data }: typeof body): unknown => {
        const { totalQueryableSamples, samplesRead } = data?.stats?.samples ?? {};
        return { totalQueryableSamples, samplesRead };
      };
      expect(counted(body)).toEqual(counted(want));
      if (body.data?.stats !== undefined) delete body.data.stats;
      if (want.data?.stats !== undefined) delete want.data.stats;
      expect(response.status).toBe(c.status);
      if (c.path.includes("/query")) expect(canonical(body)).toBe(canonical(want));
      else expect(body).toEqual(want);
      expect([body.warnings, body.infos]).toEqual([want.warnings, want.infos]);
    });
  }
});
