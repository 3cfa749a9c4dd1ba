import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { FilesystemBucket } from "#libs/objstore/filesystem.ts";
import { framesOf } from "#libs/storeapi/frames.ts";
import { Slices } from "#libs/kit/slices.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import { encodeExtras, EXTRAS_FILE } from "#libs/tsdb/block/extras.ts";
import { formatMeta } from "#libs/tsdb/block/meta.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";
import { metaOf, type Sample, samplesOf, writeTestBlock } from "../../test/support/blocks.ts";
import { BlockSet } from "./block-set.ts";
import { GatewayStore } from "./gateway.ts";

let folder = "";
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "cairn-gateway-"))));
afterAll(() => rmSync(folder, { recursive: true }));

/** A block of one series from one replica. */
function addBlock(ulid: string, range: readonly [number, number], samples: readonly Sample[], replica: string): void {
  const bucket = join(folder, "bucket");
  writeTestBlock(bucket, ulid, range, [{ labels: ["__name__", "m"], chunks: [samples] }]);
  const file = join(bucket, ulid, "meta.json");
  const thanos = { labels: { replica }, downsample: { resolution: 0 }, source: "receive" };
  writeFileSync(file, formatMeta({ ...metaOf(join(bucket, ulid)), thanos }));
  expect(readFileSync(file, "utf8")).toContain(`"replica": "${replica}"`);
}

test("late samples lie between those of another block of their source, replicas stay apart", async () => {
  const early: Sample[] = [
    [0, 1],
    [20, 2],
    [40, 3],
  ];
  const late: Sample[] = [
    [10, 11],
    [20, 12],
    [30, 13],
  ];
  addBlock("01HQ0000000000000000000001", [0, 100], early, "a");
  addBlock("01HQ0000000000000000000002", [0, 100], late, "a");
  addBlock("01HQ0000000000000000000003", [100, 200], [[100, 4]], "a");
  addBlock("01HQ0000000000000000000004", [0, 100], late, "b");
  const { env, close } = createEnv(silentLog(), () => 0, new AbortController().signal);
  const blocks = new BlockSet(new FilesystemBucket(join(folder, "bucket")), join(folder, "headers"), 0, env);
  try {
    await blocks.sync(0);
    const request = {
      mint: 0,
      maxt: 1000,
      matchers: [{ type: "=", name: "__name__", value: "m" }],
      skipChunks: false,
      withoutLabels: [],
      limit: 0,
      partialResponse: false,
    } as const;
    const read = async (
      withoutLabels: readonly string[],
      withoutBlocks: readonly string[] = [],
    ): Promise<unknown[]> => {
      const out: unknown[] = [];
      const reader = new FrameReader();
      const items = new GatewayStore(blocks).series({ ...request, withoutLabels, withoutBlocks }, env.stopping);
      for await (const frame of framesOf(items, () => undefined)) {
        reader.enter(frame);
        while (reader.next()) {
          const chunks = Array.from({ length: reader.chunkTo - reader.chunkFrom }, (_, i) =>
            samplesOf(reader.chunk(reader.chunkFrom + i)),
          );
          out.push([reader.labels().join(), chunks]);
        }
      }
      return out;
    };
    const merged = [
      [0, 1],
      [10, 11],
      [20, 2],
      [30, 13],
      [40, 3],
    ];
    expect(await read([])).toEqual([
      ["__name__,m,replica,a", [merged, [[100, 4]]]],
      ["__name__,m,replica,b", [late]],
    ]);
    // Of blocks that others answer for, those that overlap another are needed to merge.
    const [one, two, three, four] = [1, 2, 3, 4].map((n) => `01HQ000000000000000000000${n}`) as [
      string,
      string,
      string,
      string,
    ];
    expect(await read([], [one, three])).toEqual([
      ["__name__,m,replica,a", [merged]],
      ["__name__,m,replica,b", [late]],
    ]);
    expect(await read([], [two, one, four])).toEqual([["__name__,m,replica,a", [[[100, 4]]]]]);
    expect(await read([], [one, two, three, four])).toEqual([]);
    // Without the label that tells them apart, chunks of replicas lie beside each other, for the querier to choose.
    expect(await read(["replica"])).toEqual([["__name__,m", [merged, late, [[100, 4]]]]]);
  } finally {
    blocks.close();
    await close();
  }
});

test("exemplars come from the blocks of one tenant, which bound them together", async () => {
  const bucket = join(folder, "exemplars");
  const tenants = {
    "01HQ0000000000000000000011": "a",
    "01HQ0000000000000000000012": "b",
    "01HQ0000000000000000000013": "a",
  };
  for (const [i, [ulid, tenant]] of Object.entries(tenants).entries()) {
    const at = i * 100;
    const series = [{ labels: ["__name__", "m"], chunks: [[[at, 1] as const]] }];
    const { path } = writeTestBlock(bucket, ulid, [at, at + 100], series);
    const exemplar = (id: string) => ({ time: at, value: Float64Array.of(1), labels: ["trace_id", id] });
    const exemplars = [{ series: ["__name__", "m"], exemplars: [exemplar(`x${i}`), exemplar(`y${i}`)] }];
    writeFileSync(
      join(path, EXTRAS_FILE),
      (await encodeExtras({ metadata: [], exemplars, isPartial: false }, new Slices(10)))!,
    );
    const thanos = {
      labels: { tenant_id: tenant },
      downsample: { resolution: 0 },
      source: "receive",
      files: [{ rel_path: EXTRAS_FILE }],
    };
    writeFileSync(join(path, "meta.json"), formatMeta({ ...metaOf(path), thanos }));
  }
  const { env } = createEnv(silentLog(), () => 0, new AbortController().signal);
  const blocks = new BlockSet(new FilesystemBucket(bucket), join(folder, "exemplar-headers"), 0, env);
  await blocks.sync(0);
  const store = new GatewayStore(blocks);
  const tracesOf = async (
    tenant: string,
    maxt = 1000,
    countMax = 4,
    extra: readonly MatcherSpec[] = [],
  ): Promise<unknown> => {
    const selectors = [[{ type: "=", name: "__name__", value: "m" } as const, ...extra]];
    const call = { tenant, tenantLabel: "tenant_id", selectors, mint: 0, maxt };
    const { values, warnings } = await store.exemplars(call, countMax, env.stopping);
    expect(warnings).toEqual([]);
    return values.map(({ series, exemplars }) => [series.join(), exemplars.map(({ labels }) => labels[1]).join()]);
  };
  expect(await tracesOf("a")).toEqual([["__name__,m,tenant_id,a", "x0,y0,x2,y2"]]);
  expect(await tracesOf("b")).toEqual([["__name__,m,tenant_id,b", "x1,y1"]]);
  expect(await tracesOf("c")).toEqual([]);
  expect(await tracesOf("a", 50)).toEqual([["__name__,m,tenant_id,a", "x0,y0"]]);
  expect(await tracesOf("a", 1000, 4, [{ type: "=", name: "tenant_id", value: "b" }])).toEqual([]);
  await expect(tracesOf("a", 1000, 3)).rejects.toThrow(
    "more than 3 exemplars are selected, --store.limits.request-exemplars allows no more",
  );
  blocks.close();
});
