/** One process at a time on a data folder. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { run, startCairn, temporaryFolder } from "../support/process.ts";

const { path, cleanup } = temporaryFolder("folder");
afterAll(cleanup);

test("a second process is told who has the folder; after a kill it can be taken", async () => {
  const main = join(import.meta.dirname, "../../main.ts");
  const first = await startCairn(path);
  const ports = [
    "--http-address",
    "127.0.0.1:0",
    "--grpc-address",
    "127.0.0.1:0",
    "--remote-write.address",
    "127.0.0.1:0",
  ];
  const second = run(process.execPath, [main, "all", "--data-dir", path, ...ports]);
  expect(await new Promise((resolve) => second.process.once("exit", resolve))).toBe(1);
  expect(second.log()).toContain(
    `${path} is used by process ${first.process.pid}: stop it first, or use another folder`,
  );
  // What the first wrote is still there.
  expect(existsSync(join(path, "endpoints.json"))).toBe(true);
  const receive = run(process.execPath, [main, "receive", "--tsdb.path", join(path, "receive"), ...ports]);
  expect(await new Promise((resolve) => receive.process.once("exit", resolve))).toBe(1);
  expect(receive.log()).toContain(`is used by process ${first.process.pid}`);
  await first.stop("SIGKILL");
  const third = await startCairn(path);
  expect(await third.stop()).toBe(0);
  expect(existsSync(join(path, "lock"))).toBe(false);
});
