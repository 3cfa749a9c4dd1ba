import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { framesOf } from "#libs/storeapi/frames.ts";
import type { SeriesRequest } from "#libs/storeapi/store.ts";
import { append, headFolder, HOUR, MINUTE, type SeenSample, seen, T0 } from "../../test/support/head.ts";
import { EVERYTHING, FlakyBucket, openTenants } from "../../test/support/tenants.ts";
import type { Tenants } from "./tenants.ts";

/** Hours of one series: ten are four blocks, and two hours in the head. */
async function fill(tenants: Tenants, hours = 10): Promise<void> {
  const { head } = await tenants.get("t");
  append(
    head,
    ["__name__", "m"],
    Array.from({ length: hours * 60 + 1 }, (_, i) => [T0 + i * MINUTE, i] as const),
  );
}

async function startsOf(tenants: Tenants): Promise<number[]> {
  return (await tenants.get("t")).blocks.map(({ meta }) => (meta.minTime - T0) / HOUR);
}

test("blocks go that end the retention before the newest ends", async () => {
  const { tenants, folder, metric } = openTenants({ "tsdb.retention": "4h" });
  await fill(tenants);
  await tenants.maintain();
  expect(await startsOf(tenants)).toEqual([4, 6]);
  expect(readdirSync(join(folder, "t")).filter((name) => name.length === 26)).toHaveLength(2);
  expect(await metric("prometheus_tsdb_time_retentions_total")).toBe(1);
  expect(await metric("prometheus_tsdb_size_retentions_total")).toBeUndefined();
  expect(await metric("prometheus_tsdb_retention_limit_seconds")).toBe(4 * 3600);
  await tenants.close();
});

test("above the size the oldest go, and the newest stays because it tells where the head begins", async () => {
  const { tenants, metric } = openTenants({ "tsdb.retention": "0d", "tsdb.max-retention-bytes": "1B" });
  await fill(tenants);
  await tenants.maintain();
  expect(await startsOf(tenants)).toEqual([6]);
  expect(await metric("prometheus_tsdb_size_retentions_total")).toBe(1);
  expect(await metric("prometheus_tsdb_blocks_loaded")).toBe(1);
  await tenants.close();
});

test("with a bucket no block goes before it is there; what waits is counted", async () => {
  const bucket = new FlakyBucket();
  bucket.isUp = false;
  const { tenants, metric } = openTenants({ "tsdb.retention": "2h", "tsdb.max-retention-bytes": "1B" }, bucket);
  await fill(tenants);
  await tenants.maintain();
  expect(await startsOf(tenants)).toEqual([0, 2, 4, 6]);
  expect(await metric("cairn_receive_retention_waiting_bytes")).toBeGreaterThan(0);
  expect(await metric("thanos_shipper_upload_failures_total")).toBe(1);
  bucket.isUp = true;
  await tenants.maintain();
  expect(await startsOf(tenants)).toEqual([6]);
  expect(await metric("cairn_receive_retention_waiting_bytes")).toBe(0);
  expect(await metric("thanos_shipper_uploads_total")).toBe(4);
  const kept: string[] = [];
  for await (const name of bucket.iterate("", { recursive: true })) if (name.endsWith("meta.json")) kept.push(name);
  expect(kept).toHaveLength(4);
  await tenants.close();
});

test("a bucket that fails one tenant does not keep the others from being cut", async () => {
  const bucket = new FlakyBucket();
  bucket.isUp = false;
  const { tenants } = openTenants({}, bucket);
  await fill(tenants);
  const other = await tenants.get("u");
  append(
    other.head,
    ["__name__", "m"],
    [
      [T0, 1],
      [T0 + 4 * HOUR, 2],
    ],
  );
  await tenants.maintain();
  expect(other.blocks).toHaveLength(1);
  await tenants.close();
});

test("a folder in use is refused by name, and can be opened once it is given back", async () => {
  const first = openTenants({});
  await first.tenants.get("t");
  const second = openTenants({}, undefined, first.folder);
  await expect(second.tenants.get("t")).rejects.toThrow(`${first.folder}/t is used by process ${process.pid}`);
  const without = openTenants({ "tsdb.no-lockfile": "true" }, undefined, headFolder());
  await without.tenants.get("t");
  expect(existsSync(join(without.folder, "t/lock"))).toBe(false);
  await first.tenants.close();
  await second.tenants.get("t");
  await second.tenants.close();
  await without.tenants.close();
});

describe("merges of local blocks", () => {
  async function valuesOf(tenants: Tenants, request: Partial<SeriesRequest> = {}): Promise<readonly SeenSample[]> {
    const store = await tenants.get("t");
    const { signal } = new AbortController();
    const series = await seen(framesOf(store.series({ ...EVERYTHING, ...request }, signal), () => undefined));
    expect(series).toHaveLength(1);
    return series[0]!.samples;
  }

  const ulidsIn = async (bucket: FlakyBucket): Promise<string[]> => {
    const ulids: string[] = [];
    for await (const name of bucket.iterate("", { recursive: true }))
      if (name.endsWith("/meta.json")) ulids.push(name.slice(0, 26));
    return ulids.sort();
  };

  test("blocks grow as Prometheus's do once the bucket has them, which keeps them as they are", async () => {
    const bucket = new FlakyBucket();
    bucket.isUp = false;
    let { tenants, folder, metric } = openTenants({}, bucket);
    await fill(tenants, 32);
    await tenants.maintain();
    await tenants.compacted;
    expect(await startsOf(tenants)).toEqual(Array.from({ length: 15 }, (_, i) => 2 * i));
    const before = await valuesOf(tenants);
    const store = await tenants.get("t");
    const cut = store.blocks.map(({ meta }) => meta.ulid).sort();
    bucket.isUp = true;
    await tenants.maintain();
    await tenants.compacted;
    expect(await startsOf(tenants)).toEqual([0, 8, 26, 28]);
    expect(store.blocks.map(({ meta }) => meta.compaction.level)).toEqual([3, 3, 1, 1]);
    expect(await metric("prometheus_tsdb_compactions_total")).toBe(6);
    expect(await valuesOf(tenants)).toEqual(before);
    // A querier that heard of the blocks before they were merged.
    expect(await valuesOf(tenants, { heldBlocks: cut })).toEqual(before);
    expect((await store.info()).blocks).toEqual(expect.arrayContaining(cut));
    await tenants.maintain();
    expect(await ulidsIn(bucket)).toEqual(cut);
    await tenants.close();
    // What is known of the bucket is lost.
    rmSync(join(folder, "t/thanos.shipper.json"));
    ({ tenants, folder, metric } = openTenants({ "tsdb.retention": "5h" }, bucket, folder));
    await tenants.openExisting();
    expect(await valuesOf(tenants)).toEqual(before);
    await tenants.maintain();
    expect(await startsOf(tenants)).toEqual([8, 26, 28]);
    expect(await metric("cairn_receive_retention_waiting_bytes")).toBe(0);
    expect(await ulidsIn(bucket)).toEqual(cut);
    await tenants.close();
  });

  test("without a bucket at once, and only to the range asked for", async () => {
    const { tenants } = openTenants({ "tsdb.max-block-duration": "6h" });
    await fill(tenants, 32);
    await tenants.maintain();
    await tenants.compacted;
    expect(await startsOf(tenants)).toEqual([0, 2, 8, 14, 20, 26, 28]);
    await tenants.close();
  });

  test("a corrupt block is marked, reported and left alone; others are merged", async () => {
    const { tenants, metric } = openTenants({ "tsdb.max-block-duration": "2h" });
    await fill(tenants, 32);
    await tenants.maintain();
    const store = await tenants.get("t");
    const corrupt = store.blocks.find(({ meta }) => meta.minTime === T0 + 10 * HOUR)!;
    const segment = join(corrupt.path, "chunks/000001");
    const bytes = readFileSync(segment);
    bytes[20]! ^= 1;
    writeFileSync(segment, bytes);
    const merging = async (): Promise<void> => {
      while (await store.compact([2 * HOUR, 6 * HOUR], undefined, () => undefined));
    };
    await expect(merging()).rejects.toThrow(corrupt.path);
    await merging();
    const failed = store.blocks.filter(({ meta }) => meta.compaction.failed === true);
    expect(failed.map(({ meta }) => (meta.minTime - T0) / HOUR)).toEqual([8, 10, 12]);
    expect(await startsOf(tenants)).toEqual([0, 2, 8, 10, 12, 14, 20, 26, 28]);
    expect(await metric("prometheus_tsdb_compactions_failed_total")).toBeUndefined();
    await tenants.close();
  });

  test("a stop ends a merge, and leaves nothing half made", async () => {
    const { tenants, folder } = openTenants({});
    await fill(tenants, 32);
    const store = await tenants.get("t");
    await store.cut(async () => undefined);
    const before = store.blocks.length;
    const stop = AbortSignal.abort(new Error("stopping"));
    await expect(store.compact([2 * HOUR, 6 * HOUR], undefined, () => undefined, stop)).rejects.toThrow("stopping");
    expect(store.blocks).toHaveLength(before);
    expect(readdirSync(join(folder, "t")).filter((name) => name.includes("tmp"))).toEqual([]);
    await tenants.close();
  });
});
