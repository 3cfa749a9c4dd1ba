import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { append, headFolder, HOUR, MINUTE, T0 } from "../../test/support/head.ts";
import { FlakyBucket, openTenants } from "../../test/support/tenants.ts";
import type { Tenants } from "./tenants.ts";

/** Ten hours of one series: four blocks, and two hours in the head. */
async function fill(tenants: Tenants): Promise<void> {
  const { head } = await tenants.get("t");
  append(
    head,
    ["__name__", "m"],
    Array.from({ length: 601 }, (_, i) => [T0 + i * MINUTE, i] as const),
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
