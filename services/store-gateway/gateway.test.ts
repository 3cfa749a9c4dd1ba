import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { FilesystemBucket } from "#libs/objstore/filesystem.ts";
import { framesOf } from "#libs/storeapi/frames.ts";
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
