/**
 * Random appends, late samples, deletions, cuts, uploads, rewritings and kills, against a map: what is read is what was
 * appended and not deleted, and no sample gets to the bucket twice. `DELETION_RUNS=200` sets the number of runs,
 * `DELETION_SEED` others.
 */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { framesOf } from "#libs/storeapi/frames.ts";
import { OUTCOME } from "#libs/tsdb/head/head.ts";
import { readTestBlock } from "../../test/support/blocks.ts";
import { append, headFolder, HOUR, MINUTE, seen, T0 } from "../../test/support/head.ts";
import { FlakyBucket, type OpenTenants, openTenants } from "../../test/support/tenants.ts";
import { seeded } from "../../test/support/write.ts";

const RUNS = Number(process.env["DELETION_RUNS"] ?? 4);
const SEED = Number(process.env["DELETION_SEED"] ?? 1);
const STEPS = 60;
const NAMES = ["a", "b", "c"];
const FLAGS = { "tsdb.out-of-order.time-window": "1d", "tsdb.retention": "0d", "tsdb.no-lockfile": "true" };

class Model {
  readonly samples = new Map<string, Map<number, number>>(NAMES.map((name) => [name, new Map()]));
  readonly deleted: { readonly name: string; readonly mint: number; readonly maxt: number }[] = [];

  add(name: string, time: number, value: number): void {
    this.samples.get(name)!.set(time, value);
  }

  delete(name: string, mint: number, maxt: number): void {
    this.deleted.push({ name, mint, maxt });
    const samples = this.samples.get(name)!;
    for (const time of samples.keys()) if (time >= mint && time <= maxt) samples.delete(time);
  }

  /** Only then may a late sample be refused as deleted. */
  isDeleted(name: string, time: number): boolean {
    return this.deleted.some((range) => range.name === name && time >= range.mint && time <= range.maxt);
  }
}

async function check(opened: OpenTenants, model: Model, what: string): Promise<void> {
  const request = {
    mint: 0,
    maxt: 2e12,
    matchers: [{ type: "=~", name: "__name__", value: ".+" } as const],
    skipChunks: false,
    withoutLabels: [],
    limit: 0,
    partialResponse: false,
  };
  const store = await opened.tenants.get("t");
  const series = await seen(framesOf(store.series(request, new AbortController().signal), () => undefined));
  const read = new Map(series.map(({ pairs, samples }) => [pairs[1]!, samples]));
  for (const [name, samples] of model.samples) {
    const want = [...samples].sort(([a], [b]) => a - b);
    expect(read.get(name) ?? [], `${what}, series ${name}`).toEqual(want);
  }
}

/** Every sample in the bucket, each expected once. */
async function checkBucket(bucket: FlakyBucket, what: string): Promise<void> {
  const folder = headFolder();
  const ulids = new Set<string>();
  for await (const name of bucket.iterate("", { recursive: true })) {
    const [ulid, ...path] = name.split("/");
    mkdirSync(join(folder, ulid!, "chunks"), { recursive: true });
    writeFileSync(join(folder, name), await bucket.get(name));
    if (path.join("/") === "meta.json") ulids.add(ulid!);
  }
  const samples = new Set<string>();
  for (const ulid of ulids) {
    for (const { labels, chunks } of await readTestBlock(join(folder, ulid))) {
      for (const [time] of chunks.flat()) {
        const key = `${labels.join()} ${time}`;
        expect(samples.has(key), `${what}: ${key} twice in the bucket`).toBe(false);
        samples.add(key);
      }
    }
  }
}

for (let run = 0; run < RUNS; run++) {
  test(`run ${run} of seed ${SEED}`, async () => {
    const random = seeded(SEED * 1000 + run);
    const below = (n: number): number => Math.floor(random() * n);
    const bucket = new FlakyBucket();
    const model = new Model();
    let opened = openTenants(FLAGS, bucket);
    let now = T0;
    let value = 0;
    for (let step = 0; step < STEPS; step++) {
      const what = `step ${step}`;
      const store = await opened.tenants.get("t");
      const name = NAMES[below(NAMES.length)]!;
      const kind = below(12);
      if (kind < 4) {
        const count = 1 + below(60);
        for (const each of NAMES) {
          const samples = Array.from({ length: count }, (_, i) => [now + i * MINUTE, ++value] as const);
          append(store.head, ["__name__", each], samples);
          for (const [time, v] of samples) model.add(each, time, v);
        }
        now += count * MINUTE;
      } else if (kind < 6 && now > T0) {
        // Of times that nothing else has.
        const times = Array.from({ length: 1 + below(20) }, () => T0 + below((now - T0) / MINUTE) * MINUTE + ++value);
        for (const time of times.filter((t) => t > now - 20 * HOUR && t < now)) {
          const [outcome] = append(store.head, ["__name__", name], [[time, value]]);
          if (outcome === OUTCOME.STORED) model.add(name, time, value);
          else expect([outcome, model.isDeleted(name, time)], what).toEqual([OUTCOME.DELETED, true]);
        }
      } else if (kind < 8) {
        const mint = T0 + below(now - T0 + 1);
        const maxt = mint + below(3 * HOUR);
        await store.deleteSeries([[{ type: "=", name: "__name__", value: name }]], mint, maxt);
        model.delete(name, mint, Math.min(maxt, now - 1));
      } else if (kind < 9)
        await store.cleanTombstones(
          () => true,
          (block) => opened.tenants.isSent("t", block),
        );
      else if (kind < 11) {
        bucket.isUp = below(3) > 0;
        await opened.tenants.maintain();
      } else {
        // As a kill leaves it: what was acknowledged is with the kernel. A copy while blocks are merged is no such moment.
        await opened.tenants.compacted;
        const copy = headFolder();
        cpSync(opened.folder, copy, { recursive: true });
        await opened.tenants.close();
        opened = openTenants(FLAGS, bucket, copy);
        await opened.tenants.openExisting();
      }
      await check(opened, model, what);
    }
    bucket.isUp = true;
    await opened.tenants.maintain();
    await check(opened, model, "at the end");
    await checkBucket(bucket, "at the end");
    await opened.tenants.close();
  });
}
