import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FilesystemBucket } from "#libs/objstore/filesystem.ts";
import { MemoryBucket } from "#libs/objstore/memory.ts";
import type { BlockMeta } from "#libs/tsdb/block/meta.ts";
import { metaOf, writeTestBlock } from "../../test/support/blocks.ts";
import { Shipper } from "./shipper.ts";

const ULID = "01HQ0000000000000000000001";
let folder = "";
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "cairn-shipper-"))));
afterAll(() => rmSync(folder, { recursive: true }));

test("a block that is in one bucket is not taken to be in another", async () => {
  writeTestBlock(folder, ULID, [0, 100], [{ labels: ["__name__", "m"], chunks: [[[0, 1]]] }]);
  const path = join(folder, ULID);
  const block = { path, meta: metaOf(path) };
  const buckets = ["one", "two"].map((name) => new FilesystemBucket(join(folder, name)));
  const shipperOf = (i: number): Shipper => new Shipper(folder, buckets[i]!, ["tenant_id", "t"]);
  expect(await shipperOf(0).upload(block, 1)).toBe("sent");
  expect(shipperOf(0).isUploaded(ULID)).toBe(true);
  expect(await shipperOf(0).upload(block, 2)).toBe("there");

  expect(shipperOf(1).isUploaded(ULID)).toBe(false);
  expect(await shipperOf(1).upload(block, 3)).toBe("sent");
  expect(await buckets[1]!.exists(`${ULID}/meta.json`)).toBe(true);

  // A state of Thanos's names no bucket: it is asked.
  const file = join(folder, "thanos.shipper.json");
  writeFileSync(file, JSON.stringify({ version: 1, uploaded: [ULID] }));
  expect(shipperOf(1).isUploaded(ULID)).toBe(false);
  expect(await shipperOf(1).upload(block, 4)).toBe("there");
  expect(shipperOf(1).isUploaded(ULID)).toBe(true);
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ version: 1, uploaded: [ULID] });
});

test("exemplars and metadata go along, before meta.json, which lists them", async () => {
  const ulid = "01HQ0000000000000000000002";
  writeTestBlock(folder, ulid, [0, 100], [{ labels: ["__name__", "m"], chunks: [[[0, 1]]] }]);
  const path = join(folder, ulid);
  writeFileSync(join(path, "cairn-extras"), "extras");
  const block = { path, meta: metaOf(path) };
  const order: string[] = [];
  const bucket = new (class extends MemoryBucket {
    override async put(...args: Parameters<MemoryBucket["put"]>): Promise<void> {
      order.push(args[0].slice(ulid.length + 1));
      return super.put(...args);
    }
  })();
  await new Shipper(join(folder), bucket, ["tenant_id", "t"]).upload(block, 1);
  expect(order).toEqual(["chunks/000001", "index", "cairn-extras", "meta.json"]);
  const { thanos } = JSON.parse(Buffer.from(await bucket.get(`${ulid}/meta.json`)).toString()) as BlockMeta;
  expect(thanos!.files!.map(({ rel_path }) => rel_path)).toEqual([
    "chunks/000001",
    "index",
    "cairn-extras",
    "meta.json",
  ]);
  expect(thanos!.files![2]!.size_bytes).toBe(6);
});
