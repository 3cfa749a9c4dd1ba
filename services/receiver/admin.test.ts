import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { verifyBlock } from "#libs/tsdb/block/verify.ts";
import { framesOf } from "#libs/storeapi/frames.ts";
import { metaOf, readTestBlock } from "../../test/support/blocks.ts";
import { append, headFolder, HOUR, MINUTE, seen, T0 } from "../../test/support/head.ts";
import { FlakyBucket, type OpenTenants, openTenants } from "../../test/support/tenants.ts";
import { answerAdmin } from "./admin.ts";

interface AdminAnswer {
  readonly status: number;
  readonly warning: string | undefined;
  readonly body: unknown;
}

async function ask({ tenants, env }: OpenTenants, verb: string, query = "", tenant = "t"): Promise<AdminAnswer> {
  const request = { method: "POST", path: `admin/tsdb/${verb}`, query, form: "", tenant };
  const { status, headers, body } = await answerAdmin(request, true, tenants, env);
  return {
    status,
    warning: headers["warning"],
    body: body.length === 0 ? undefined : JSON.parse(Buffer.from(body).toString()),
  };
}

const DONE: AdminAnswer = { status: 204, warning: undefined, body: undefined };

/** Minutes with a sample of metric `m`, by tenant `t` or another. */
async function minutesOf({ tenants }: OpenTenants, tenant = "t", metric = "m"): Promise<number[]> {
  const store = await tenants.get(tenant);
  const request = {
    mint: 0,
    maxt: 2e12,
    matchers: [{ type: "=", name: "__name__", value: metric } as const],
    skipChunks: false,
    withoutLabels: [],
    limit: 0,
    partialResponse: false,
  };
  const series = await seen(framesOf(store.series(request, new AbortController().signal), () => undefined));
  return series.flatMap(({ samples }) => samples.map(([time]) => (time - T0) / MINUTE));
}

/** `[from, to)` in steps of `step`. */
const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);

/**
 * Five hours by the minute of `m` and `other`, every third one late: a block of two hours, two of late samples of four
 * hours, and the head.
 */
async function fill({ tenants }: OpenTenants, tenant = "t"): Promise<void> {
  const store = await tenants.get(tenant);
  const add = (minutes: number[]): void => {
    for (const metric of ["m", "other"])
      append(
        store.head,
        ["__name__", metric],
        minutes.map((minute) => [T0 + minute * MINUTE, minute] as const),
      );
  };
  const isLate = (minute: number): boolean => minute % 3 === 1;
  const minutes = range(0, 300);
  for (const half of range(0, 300, 30)) add(minutes.filter((m) => !isLate(m) && m >= half && m < half + 30));
  add(minutes.filter((minute) => isLate(minute) && minute < 240));
  await store.cut(async () => undefined);
  add(minutes.filter((minute) => isLate(minute) && minute >= 240));
}

const FLAGS = { "tsdb.out-of-order.time-window": "1d" };
const seconds = (minute: number): number => (T0 + minute * MINUTE) / 1000;

/** What Prometheus 3.14 answers. */
test("requests that are wrong", async () => {
  const opened = openTenants(FLAGS);
  const check = async (query: string, error: string): Promise<void> =>
    expect(await ask(opened, "delete_series", query), query).toEqual({
      status: 400,
      warning: undefined,
      body: { status: "error", errorType: "bad_data", error },
    });
  await check("", "no match[] parameter provided");
  await check(
    "match[]=up&start=x",
    `invalid parameter "start": invalid time value for 'start': cannot parse "x" to a valid timestamp`,
  );
  await check("match[]=up{", `invalid parameter "match[]": 1:4: parse error: unexpected end of input inside braces`);
  // A tenant without data, and a range that is empty.
  expect(await ask(opened, "delete_series", "match[]=up", "nobody")).toEqual(DONE);
  expect(await ask(opened, "clean_tombstones", "", "nobody")).toEqual(DONE);
  await fill(opened);
  expect(await ask(opened, "delete_series", "match[]={}&start=10&end=5")).toEqual(DONE);
  expect(await minutesOf(opened)).toEqual(range(0, 300));
  const request = { method: "POST", path: "admin/tsdb/delete_series", query: "match[]=m", form: "", tenant: "t" };
  const disabled = await answerAdmin(request, false, opened.tenants, opened.env);
  expect([disabled.status, JSON.parse(Buffer.from(disabled.body).toString())]).toEqual([
    500,
    { status: "error", errorType: "unavailable", error: "admin APIs disabled" },
  ]);
  expect(await minutesOf(opened)).toEqual(range(0, 300));
  await opened.tenants.close();
});

test("a range is deleted from blocks, head and late samples of one tenant, also after a restart and rewritten", async () => {
  let opened = openTenants(FLAGS);
  await fill(opened);
  await fill(opened, "u");
  const query = `match[]=m&start=${seconds(100)}&end=${seconds(269)}`;
  expect(await ask(opened, "delete_series", query)).toEqual(DONE);
  const left = [...range(0, 100), ...range(270, 300)];
  const check = async (what: string): Promise<void> => {
    expect(await minutesOf(opened), what).toEqual(left);
    expect(await minutesOf(opened, "t", "other"), what).toEqual(range(0, 300));
    expect(await minutesOf(opened, "u"), what).toEqual(range(0, 300));
  };
  await check("at once");
  await opened.tenants.close();
  opened = openTenants(FLAGS, undefined, opened.folder);
  await check("after a restart");
  const before = (await opened.tenants.get("t")).blocks.map(({ meta }) => [meta.ulid, meta.stats?.numTombstones]);
  expect(before.map(([, tombstones]) => tombstones)).toEqual([1, 1, 1]);

  expect(await ask(opened, "clean_tombstones")).toEqual(DONE);
  const { blocks, folder } = await opened.tenants.get("t");
  expect(blocks.map(({ meta }) => meta.compaction.parents?.map(({ ulid }) => ulid))).toEqual(
    before.map(([ulid]) => [ulid]),
  );
  expect(blocks.map(({ meta }) => [meta.stats?.numTombstones, meta.compaction.level])).toEqual(
    Array(3).fill([undefined, 1]),
  );
  expect(
    readdirSync(folder)
      .filter((name) => name.length === 26)
      .sort(),
  ).toEqual(blocks.map(({ meta }) => meta.ulid).sort());
  const stored = await Promise.all(blocks.map(({ path }) => readTestBlock(path)));
  const deleted = stored
    .flat()
    .filter(({ labels, chunks }) => labels[1] === "m" && chunks.flat().some(([time]) => time >= T0 + 100 * MINUTE));
  expect(deleted).toEqual([]);
  await check("rewritten");
  await opened.tenants.close();
});

test("a block that a crash left beside the one written from it goes at the next start", async () => {
  let opened = openTenants(FLAGS);
  await fill(opened);
  await ask(opened, "delete_series", `match[]=m&end=${seconds(10)}`);
  const [first] = (await opened.tenants.get("t")).blocks.filter(({ meta }) => meta.stats?.numTombstones === 1);
  const aside = join(headFolder(), "aside");
  cpSync(first!.path, aside, { recursive: true });
  await ask(opened, "clean_tombstones");
  await opened.tenants.close();
  expect(existsSync(first!.path)).toBe(false);
  cpSync(aside, first!.path, { recursive: true });
  opened = openTenants(FLAGS, undefined, opened.folder);
  expect(await minutesOf(opened)).toEqual(range(11, 300));
  expect(existsSync(first!.path)).toBe(false);
  await opened.tenants.close();
});

test("what is deleted before its upload does not get to the bucket", async () => {
  const bucket = new FlakyBucket();
  bucket.isUp = false;
  const opened = openTenants(FLAGS, bucket);
  await fill(opened);
  await opened.tenants.maintain();
  // From the first sample on: what the bucket may have of before is told otherwise.
  expect(await ask(opened, "delete_series", `match[]=m&start=${seconds(0)}&end=${seconds(60)}`)).toEqual(DONE);
  bucket.isUp = true;
  await opened.tenants.maintain();
  const uploaded = (await metasIn(bucket)).map(({ stats }) => stats.numSamples);
  const written = (await opened.tenants.get("t")).blocks.map(({ meta }) => meta.stats!.numSamples);
  expect(new Set(uploaded)).toEqual(new Set(written));
  expect(uploaded.reduce((sum, count) => sum + count, 0)).toBe(2 * (80 + 80) - 61);
  await opened.tenants.close();
});

test("a deletion that a kill kept out of meta.json holds, and is kept from the bucket", async () => {
  const bucket = new FlakyBucket();
  let opened = openTenants(FLAGS, bucket);
  await fill(opened);
  const { newestInOrder } = await opened.tenants.get("t");
  const metaFile = join(newestInOrder!.path, "meta.json");
  const before = readFileSync(metaFile);
  await ask(opened, "delete_series", `match[]=m&start=${seconds(0)}&end=${seconds(60)}`);
  await opened.tenants.close();
  writeFileSync(metaFile, before);
  opened = openTenants(FLAGS, bucket, opened.folder);
  await opened.tenants.openExisting();
  await opened.tenants.maintain();
  expect(await minutesOf(opened)).toEqual(range(61, 300));
  const uploaded = (await metasIn(bucket)).map(({ stats }) => stats.numSamples);
  expect(uploaded.reduce((sum, count) => sum + count, 0)).toBe(2 * (80 + 80) - 61);
  await opened.tenants.close();
});

test("what the bucket has stays, is told, and does not get there twice", async () => {
  const bucket = new FlakyBucket();
  const opened = openTenants(FLAGS, bucket);
  await fill(opened);
  await opened.tenants.maintain();
  await opened.tenants.compacted; // the block of late samples and the one they belong to
  const before = await metasIn(bucket);
  expect(before).toHaveLength(3);
  const answer = await ask(opened, "delete_series", `match[]=m&start=${seconds(0)}&end=${seconds(60)}`);
  const merged = (await opened.tenants.get("t")).blocks.find(({ meta }) => meta.minTime === T0)!.meta;
  expect(merged.compaction.sources).toEqual(
    before
      .filter(({ minTime }) => minTime === T0)
      .map(({ ulid }) => ulid)
      .sort(),
  );
  expect(answer).toEqual({
    ...DONE,
    warning: `299 cairn "samples in the bucket stay: it has 1 of the 1 local blocks deleted from (${merged.ulid})"`,
  });
  expect((await ask(opened, "delete_series", "match[]=nope")).warning).toBe(
    '299 cairn "samples in the bucket stay: it may have some of before this receiver\'s"',
  );
  expect(await ask(opened, "delete_series", `match[]=m&start=${seconds(280)}`)).toEqual(DONE);
  await ask(opened, "clean_tombstones");
  await opened.tenants.maintain();
  expect(await metasIn(bucket)).toEqual(before);
  expect(await minutesOf(opened)).toEqual(range(61, 280));
  await opened.tenants.close();
});

test("the newest block stays when all of it is deleted, for a restart begins behind it, and goes with the next", async () => {
  const bucket = new FlakyBucket();
  bucket.isUp = false;
  let opened = openTenants({}, bucket);
  const store = await opened.tenants.get("t");
  append(
    store.head,
    ["__name__", "m"],
    range(0, 200).map((minute) => [T0 + minute * MINUTE, minute] as const),
  );
  await opened.tenants.maintain();
  expect(
    await ask(opened, "delete_series", `match[]={__name__=~".*"}&start=${seconds(0)}&end=${seconds(119)}`),
  ).toEqual(DONE);
  bucket.isUp = true;
  await opened.tenants.maintain();
  await opened.tenants.close();
  opened = openTenants({}, bucket, opened.folder);
  await opened.tenants.openExisting();
  await opened.tenants.maintain();
  const again = await opened.tenants.get("t");
  expect(await minutesOf(opened)).toEqual(range(120, 200));
  expect(again.blocks.map(({ path }) => metaOf(path).compaction.deletable)).toEqual([true]);
  append(again.head, ["__name__", "m"], [[T0 + 6 * HOUR, 1]]);
  await opened.tenants.maintain();
  expect(again.blocks.map(({ meta }) => (meta.minTime - T0) / HOUR)).toEqual([2]);
  expect(await metasIn(bucket)).toHaveLength(1);
  await opened.tenants.close();
});

test("a corrupt block keeps neither deletions nor uploads of others back, and is named", async () => {
  const bucket = new FlakyBucket();
  const opened = openTenants(FLAGS, bucket);
  await fill(opened);
  await ask(opened, "delete_series", `match[]=m&start=${seconds(0)}&end=${seconds(60)}`);
  const store = await opened.tenants.get("t");
  const inOrder = store.newestInOrder!;
  const segment = join(inOrder.path, "chunks/000001");
  const bytes = readFileSync(segment);
  bytes[20]! ^= 1;
  writeFileSync(segment, bytes);
  await opened.tenants.maintain();
  expect(new Set((await metasIn(bucket)).map(({ minTime }) => (minTime - T0) / HOUR))).toEqual(new Set([0, 2]));
  expect(metaOf(inOrder.path).compaction.failed).toBe(true);
  // It is not tried every few seconds, but when it is asked for.
  await opened.tenants.maintain();
  expect(await ask(opened, "clean_tombstones")).toEqual({
    status: 500,
    warning: undefined,
    body: { status: "error", errorType: "internal", error: `${segment}: corrupt at byte 8: chunk: checksum` },
  });
  await opened.tenants.close();
});

test("a snapshot has blocks, head and late samples of its moment, and is a data folder", async () => {
  const opened = openTenants(FLAGS);
  await fill(opened);
  await ask(opened, "delete_series", `match[]=m&start=${seconds(100)}&end=${seconds(269)}`);
  const copyOf = async (query: string): Promise<OpenTenants> => {
    const { status, body } = await ask(opened, "snapshot", query);
    const { name } = (body as { data: { name: string } }).data;
    expect([status, body]).toEqual([200, { status: "success", data: { name } }]);
    expect(name).toMatch(/^20231114T2200\d\dZ-[0-9a-f]{16}$/);
    const folder = headFolder();
    cpSync(join(opened.folder, "t/snapshots", name), join(folder, "t"), { recursive: true });
    return openTenants(FLAGS, undefined, folder);
  };
  const whole = await copyOf("");
  const blocksOnly = await copyOf("skip_head=true");
  // What happens to the original now is nothing to them.
  await ask(opened, "delete_series", "match[]=other");
  await ask(opened, "clean_tombstones");
  const left = [...range(0, 100), ...range(270, 300)];
  expect(await minutesOf(whole)).toEqual(left);
  expect(await minutesOf(whole, "t", "other")).toEqual(range(0, 300));
  const inBlocks = [...range(0, 120), ...range(120, 240).filter((minute) => minute % 3 === 1)];
  expect(await minutesOf(blocksOnly, "t", "other")).toEqual(inBlocks);
  for (const { path, meta } of (await whole.tenants.get("t")).blocks) {
    const bytes = openBlockFolder(path);
    await verifyBlock(bytes, meta, { samples: true });
    bytes.close();
  }
  expect((await ask(opened, "snapshot", "", "nobody")).status).toBe(404);
  expect((await ask(opened, "snapshot", "skip_head=z")).body).toEqual({
    status: "error",
    errorType: "bad_data",
    error: `invalid parameter "skip_head": unable to parse boolean: strconv.ParseBool: parsing "z": invalid syntax`,
  });
  for (const { tenants } of [opened, whole, blocksOnly]) await tenants.close();
});

interface BucketMeta {
  readonly ulid: string;
  readonly minTime: number;
  readonly stats: { readonly numSamples: number };
}

async function metasIn(bucket: FlakyBucket): Promise<BucketMeta[]> {
  const metas: BucketMeta[] = [];
  for await (const name of bucket.iterate("", { recursive: true }))
    if (name.endsWith("/meta.json"))
      metas.push(JSON.parse(Buffer.from(await bucket.get(name)).toString()) as BucketMeta);
  return metas;
}
