import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lockFolder } from "../lock-folder.ts";
import type { BlockMeta } from "./meta.ts";
import { folderBytes, planRetention, removeLeftovers } from "./retention.ts";

let folder = "";
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "cairn-retention-"))));
afterAll(() => rmSync(folder, { recursive: true }));

function block(
  ulid: string,
  maxTime: number,
  sizeBytes = 10,
  deletable = false,
): { meta: BlockMeta; sizeBytes: number } {
  const compaction = { level: 1, sources: [], ...(deletable && { deletable }) };
  return { meta: { ulid, minTime: maxTime - 10, maxTime, compaction, version: 1 }, sizeBytes };
}

const plan = (blocks: ReturnType<typeof block>[], durationMs: number, bytesMax: number, other = 0): string =>
  planRetention(blocks, { durationMs, bytesMax }, other)
    .map(({ meta }) => meta.ulid)
    .join(" ");

test("without limits blocks stay, but those whose merge came to nothing", () => {
  expect(plan([], 1, 1)).toBe("");
  expect(plan([block("a", 10), block("b", 20)], 0, 0)).toBe("");
  expect(plan([block("a", 10), block("b", 20, 10, true), block("c", 30)], 0, 0)).toBe("b");
});

test("blocks go that end the duration before the newest ends, not the newest itself", () => {
  const blocks = [block("a", 10), block("c", 30), block("b", 20)];
  expect(plan(blocks, 10, 0)).toBe("b a");
  expect(plan(blocks, 11, 0)).toBe("a");
  expect(plan(blocks, 21, 0)).toBe("");
  expect(plan([block("a", 10)], 1, 0)).toBe("");
});

test("the oldest blocks go that are beyond the size, head and log counted first", () => {
  const blocks = [block("a", 10), block("b", 20), block("c", 30)];
  expect(plan(blocks, 0, 30)).toBe("");
  expect(plan(blocks, 0, 29)).toBe("a");
  expect(plan(blocks, 0, 30, 1)).toBe("a");
  expect(plan(blocks, 0, 30, 11)).toBe("b a");
  expect(plan(blocks, 0, 5)).toBe("c b a");
});

test("what a crash left of blocks is removed, and nothing else", () => {
  for (const name of ["X.tmp-for-creation", "Y.tmp-for-deletion", "Z.tmp", "wal", "K"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "X.tmp-for-creation/index"), "half");
  expect(removeLeftovers(folder).sort()).toEqual(["X.tmp-for-creation", "Y.tmp-for-deletion", "Z.tmp"]);
  expect(readdirSync(folder).sort()).toEqual(["K", "wal"]);
});

test("a folder's bytes are those of its files at any depth", () => {
  mkdirSync(join(folder, "K/chunks"));
  writeFileSync(join(folder, "K/index"), "123");
  writeFileSync(join(folder, "K/chunks/000001"), "12345");
  expect(folderBytes(join(folder, "K"))).toBe(8);
});

test("a folder is locked once, again after it was given back, and after its holder died", async () => {
  const unlock = lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(`${folder} is used by process ${process.pid}: stop it first`);
  unlock();
  expect(existsSync(join(folder, "lock"))).toBe(false);
  writeFileSync(join(folder, "lock"), `${process.pid} 1\n`); // an earlier process of the same id
  lockFolder(folder)();
  writeFileSync(join(folder, "lock"), ""); // as Prometheus leaves it
  lockFolder(folder)();
});

test.skipIf(!existsSync("/usr/bin/flock"))("a folder on which another program holds flock is refused", async () => {
  const file = join(folder, "lock");
  const child = spawn("/usr/bin/flock", [file, "sh", "-c", "echo held; cat"], { stdio: ["pipe", "pipe", "ignore"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  expect(() => lockFolder(folder)).toThrow("is used by process");
  child.stdin.end();
  await new Promise((resolve) => child.once("exit", resolve));
  lockFolder(folder)();
});

const disks = ["one", "two"].map((name) => join(mkdtempSync(join(tmpdir(), "cairn-disk-")), name));
const isMounted = disks.map((disk) => {
  mkdirSync(disk);
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]).status === 0;
});
afterAll(() => {
  for (const [i, disk] of disks.entries()) {
    if (isMounted[i]) spawnSync("umount", [disk]);
    rmSync(dirname(disk), { recursive: true });
  }
});

test.skipIf(isMounted.includes(false) || !existsSync("/usr/bin/flock"))(
  "a lock on another disk's file of the same number is another's (needs the right to mount a tmpfs)",
  async () => {
    const [file, other] = disks.map((disk) => join(disk, "lock")) as [string, string];
    for (const path of [file, other]) writeFileSync(path, "");
    expect(statSync(other).ino).toBe(statSync(file).ino);
    const child = spawn("/usr/bin/flock", [other, "sh", "-c", "echo held; cat"], { stdio: ["pipe", "pipe", "ignore"] });
    try {
      await new Promise((resolve) => child.stdout.once("data", resolve));
      lockFolder(disks[0]!)();
      expect(() => lockFolder(disks[1]!)).toThrow("is used by process");
    } finally {
      child.stdin.end();
      await new Promise((resolve) => child.once("exit", resolve));
    }
  },
);
