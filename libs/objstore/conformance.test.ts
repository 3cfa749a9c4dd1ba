/** What every bucket must do, run over each implementation. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Registry } from "#libs/kit/prometheus.ts";
import { afterAll, describe, expect, test } from "vitest";
import { NotFoundError } from "#libs/kit/errors.ts";
import { type Bucket, parseBucketConfig } from "./bucket.ts";
import { FilesystemBucket } from "./filesystem.ts";
import { InstrumentedBucket } from "./instrumented.ts";
import { MemoryBucket } from "./memory.ts";
import { PrefixedBucket } from "./prefixed.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-bucket-"));
afterAll(() => rmSync(folder, { recursive: true }));
let made = 0;

const IMPLEMENTATIONS: Readonly<Record<string, () => Bucket>> = {
  memory: () => new MemoryBucket(),
  filesystem: () => new FilesystemBucket(join(folder, String(made++))),
  "prefixed memory": () => new PrefixedBucket(new MemoryBucket(), "a/b/"),
  "instrumented filesystem": () =>
    new InstrumentedBucket(new FilesystemBucket(join(folder, String(made++))), new Registry()),
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (content: Uint8Array): string => new TextDecoder().decode(content);
const listed = async (bucket: Bucket, prefix: string, recursive = false): Promise<string[]> => {
  const names: string[] = [];
  for await (const name of bucket.iterate(prefix, { recursive })) names.push(name);
  return names;
};

for (const [name, make] of Object.entries(IMPLEMENTATIONS)) {
  describe(`bucket: ${name}`, () => {
    test("what is put is got, whole and in ranges", async () => {
      const bucket = make();
      await bucket.put("x/y", bytes("0123456789"));
      expect(text(await bucket.get("x/y"))).toBe("0123456789");
      expect(text(await bucket.getRange("x/y", 2, 3))).toBe("234");
      expect(text(await bucket.getRange("x/y", 8, 10))).toBe("89");
      expect(text(await bucket.getRange("x/y", 20, 5))).toBe("");
      await bucket.put("x/y", bytes("new"));
      expect(text(await bucket.get("x/y"))).toBe("new");
      const { sizeBytes, lastModifiedMs } = await bucket.attributes("x/y");
      expect(sizeBytes).toBe(3);
      expect(Math.abs(lastModifiedMs - Date.now())).toBeLessThan(60_000);
    });

    test("a file is put by its path", async () => {
      const bucket = make();
      const path = join(folder, `file-${made++}`);
      writeFileSync(path, "from a file");
      await bucket.put("f", { path });
      expect(text(await bucket.get("f"))).toBe("from a file");
    });

    test("what is missing is a NotFoundError, and does not exist", async () => {
      const bucket = make();
      await bucket.put("a/b", bytes("1"));
      for (const missing of ["c", "a/b/c", "a/c"]) {
        await expect(bucket.get(missing), missing).rejects.toThrow(NotFoundError);
        await expect(bucket.getRange(missing, 0, 1)).rejects.toThrow(NotFoundError);
        await expect(bucket.attributes(missing)).rejects.toThrow(NotFoundError);
        await expect(bucket.delete(missing)).rejects.toThrow(NotFoundError);
        expect(await bucket.exists(missing)).toBe(false);
      }
      expect(await bucket.exists("a")).toBe(false);
      expect(await bucket.exists("a/b")).toBe(true);
    });

    test("lists folders and objects in order, and everything below when recursive", async () => {
      const bucket = make();
      for (const object of ["b/2", "b/1/x", "a", "b/1/y", "c/\u{1F600}", "c/\uFFFD"])
        await bucket.put(object, bytes(object));
      expect(await listed(bucket, "")).toEqual(["a", "b/", "c/"]);
      expect(await listed(bucket, "b/")).toEqual(["b/1/", "b/2"]);
      expect(await listed(bucket, "c/")).toEqual(["c/\uFFFD", "c/\u{1F600}"]);
      expect(await listed(bucket, "b/", true)).toEqual(["b/1/x", "b/1/y", "b/2"]);
      expect(await listed(bucket, "none/")).toEqual([]);
    });

    test("a deleted object is gone, and its folder with the last one", async () => {
      const bucket = make();
      await bucket.put("d/e/f", bytes("1"));
      await bucket.delete("d/e/f");
      expect(await bucket.exists("d/e/f")).toBe(false);
      expect(await listed(bucket, "")).toEqual([]);
    });

    test("of ten that put if absent one wins", async () => {
      const bucket = make();
      const won = await Promise.all(Array.from({ length: 10 }, (_, i) => bucket.putIfAbsent("lock", bytes(String(i)))));
      expect(won.filter(Boolean).length).toBe(1);
      expect(text(await bucket.get("lock"))).toBe(String(won.indexOf(true)));
      expect(await listed(bucket, "", true)).toEqual(["lock"]);
    });
  });
}

test("a name cannot leave the folder", async () => {
  await expect(new FilesystemBucket(join(folder, "inside")).put("../out", bytes("x"))).rejects.toThrow(
    "leaves the bucket",
  );
});

test("configuration says what is wrong with it", () => {
  expect(parseBucketConfig("type: filesystem\nconfig: {directory: /x}\nprefix: /p/")).toEqual({
    type: "FILESYSTEM",
    config: { directory: "/x" },
    prefix: "p",
  });
  expect(() => parseBucketConfig("config: {}")).toThrow("`type` is missing");
  expect(() => parseBucketConfig("type: [")).toThrow("--objstore.config");
});
