/** Series are deleted over HTTP where queries are asked, at once and for good. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ask, describeWith, run, startCairn, temporaryFolder, until } from "../support/process.ts";
import { write } from "../support/write.ts";

const { path, cleanup } = temporaryFolder("admin");
afterAll(cleanup);

const SECONDS = 1_700_000_000;

test("delete_series and clean_tombstones, per tenant, also after a restart and a kill", async () => {
  let cairn = await startCairn(path, ["--web.enable-admin-api"]);
  const samples = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => [(SECONDS + from + i) * 1000, i] as const);
  for (const name of ["gone", "kept"])
    expect((await write(cairn.remoteWrite, [{ labels: { __name__: name }, samples: samples(0, 100) }])).status).toBe(
      204,
    );

  const admin = (verb: string, params: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${cairn.http}/api/v1/admin/tsdb/${verb}?${params}`, { method: "POST", ...init });
  const count = async (name: string): Promise<string | undefined> => {
    const query = `count_over_time(${name}[200s])`;
    return (await ask(cairn.http, "query", { query, time: String(SECONDS + 150) })).data.result[0]?.value?.[1];
  };

  // Of another tenant nothing is there to be deleted.
  expect((await admin("delete_series", "match[]=gone", { headers: { "x-scope-orgid": "other" } })).status).toBe(204);
  expect(await count("gone")).toBe("100");
  const first = await admin("delete_series", `match[]=gone&start=${SECONDS + 10}&end=${SECONDS + 19}`);
  expect([first.status, await first.text(), first.headers.get("warning")]).toEqual([204, "", null]);
  expect(await count("gone")).toBe("90");
  const form = { method: "PUT", body: new URLSearchParams({ "match[]": "gone", end: String(SECONDS + 49) }) };
  const second = await admin("delete_series", "", form);
  expect([second.status, second.headers.get("warning")]).toEqual([
    204,
    '299 cairn "samples in the bucket stay: it may have some of before this receiver\'s"',
  ]);
  expect(await count("gone")).toBe("50");
  expect((await admin("clean_tombstones", "")).status).toBe(204);
  expect(await count("kept")).toBe("100");

  const wrong = await admin("delete_series", "match[]=up{");
  expect([wrong.status, await wrong.json()]).toEqual([
    400,
    {
      status: "error",
      errorType: "bad_data",
      error: 'invalid parameter "match[]": 1:4: parse error: unexpected end of input inside braces',
    },
  ]);
  const got = await fetch(`${cairn.http}/api/v1/admin/tsdb/delete_series?match[]=gone`);
  expect([got.status, got.headers.get("allow"), await got.text()]).toEqual([405, "POST, PUT", "Method Not Allowed\n"]);

  await cairn.stop("SIGKILL");
  cairn = await startCairn(path);
  expect([await count("gone"), await count("kept")]).toEqual(["50", "100"]);
  // Not without the flag.
  const disabled = await admin("delete_series", "match[]=kept");
  expect([disabled.status, await disabled.json()]).toEqual([
    500,
    { status: "error", errorType: "unavailable", error: "admin APIs disabled" },
  ]);
  expect(await cairn.stop()).toBe(0);
  cairn = await startCairn(path);
  expect([await count("gone"), await count("kept")]).toEqual(["50", "100"]);
  expect(await cairn.stop()).toBe(0);
});

test("a deletion from a block that the bucket has holds while the block is local, also written anew and after a restart", async () => {
  const { path: folder, cleanup: remove } = temporaryFolder("admin-bucket");
  const start = 1_699_999_200;
  try {
    const flags = ["--web.enable-admin-api", "--sync-block-duration", "1s"];
    let cairn = await startCairn(folder, flags);
    const samples = Array.from({ length: 200 }, (_, i) => [(start + i * 60) * 1000, i] as const);
    expect((await write(cairn.remoteWrite, [{ labels: { __name__: "m" }, samples }])).status).toBe(204);
    await until("the gateway has the block", async () => cairn.log().includes('msg="block loaded"') || undefined);
    const admin = (verb: string, params = ""): Promise<Response> =>
      fetch(`${cairn.http}/api/v1/admin/tsdb/${verb}?${params}`, { method: "POST" });
    const count = async (): Promise<string | undefined> => {
      const query = { query: "count_over_time(m[4h])", time: String(start + 200 * 60) };
      return (await ask(cairn.http, "query", query)).data.result[0]?.value?.[1];
    };
    expect(await count()).toBe("200");
    const answer = await admin("delete_series", `match[]=m&start=${start}&end=${start + 49 * 60}`);
    expect(answer.headers.get("warning")).toMatch(/it has 1 of the 1 local blocks deleted from \(\w{26}\)"$/);
    expect(await count()).toBe("150");
    expect((await admin("clean_tombstones")).status).toBe(204);
    expect(await count()).toBe("150");
    // Again, and all of the block.
    await admin("delete_series", `match[]=m&start=${start}&end=${start + 99 * 60}`);
    await admin("clean_tombstones");
    expect(await count()).toBe("100");
    await admin("delete_series", `match[]=m&start=${start}&end=${start + 119 * 60}`);
    await admin("clean_tombstones");
    expect(await count()).toBe("80");
    expect(await cairn.stop()).toBe(0);
    cairn = await startCairn(folder, flags);
    expect(await count()).toBe("80");
    expect(await cairn.stop()).toBe(0);
    expect(readdirSync(join(folder, "bucket"))).toHaveLength(1);
  } finally {
    remove();
  }
});

describeWith("promtool", "snapshots over HTTP", () => {
  test("promtool reads a snapshot that was made while samples came", async () => {
    const { path: folder, cleanup: remove } = temporaryFolder("admin-snapshot");
    try {
      const cairn = await startCairn(folder, ["--web.enable-admin-api"]);
      const send = (from: number, count: number): Promise<Response> =>
        write(
          cairn.remoteWrite,
          Array.from({ length: 500 }, (_, k) => ({
            labels: { __name__: "m", k: String(k) },
            samples: Array.from({ length: count }, (__, i) => [(SECONDS + from + i) * 1000, i] as const),
          })),
        );
      expect((await send(0, 200)).status).toBe(204);
      const answer = fetch(`${cairn.http}/prometheus/api/v1/admin/tsdb/snapshot`, { method: "POST" });
      for (let i = 0; i < 20; i++) expect((await send(200 + i, 1)).status).toBe(204);
      const { data } = (await (await answer).json()) as { data: { name: string } };
      expect(await cairn.stop()).toBe(0);
      const snapshot = join(folder, "receive/default-tenant/snapshots", data.name);
      mkdirSync(join(snapshot, "wal"));
      const dump = execFileSync("promtool", ["tsdb", "dump", snapshot], { maxBuffer: 1 << 28 })
        .toString()
        .trim()
        .split("\n");
      // Of every series as many: whole requests.
      expect(dump.length % 500).toBe(0);
      expect(dump.length).toBeGreaterThanOrEqual(200 * 500);
    } finally {
      remove();
    }
  });
});

test("a receiver alone answers on its own HTTP port", async () => {
  const { path: folder, cleanup: remove } = temporaryFolder("admin-receive");
  const ports = ["http-address", "grpc-address", "remote-write.address"].map((flag) => `--${flag}=127.0.0.1:0`);
  const main = join(import.meta.dirname, "../../main.ts");
  const receive = run(process.execPath, [main, "receive", `--tsdb.path=${folder}`, "--web.enable-admin-api", ...ports]);
  try {
    const address = await until("receive is ready", async () => / http=(\S+)/.exec(receive.log())?.[1]);
    const answer = await fetch(`http://${address}/api/v1/admin/tsdb/delete_series`, { method: "POST" });
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { status: "error", errorType: "bad_data", error: "no match[] parameter provided" },
    ]);
    expect(await receive.stop()).toBe(0);
  } finally {
    await receive.stop("SIGKILL");
    remove();
  }
});
