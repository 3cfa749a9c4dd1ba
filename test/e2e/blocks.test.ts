/**
 * Backdated samples become blocks in the bucket with Thanos's meta.json; the real promtool reads them; queries answer
 * the same before and after, and from the bucket alone.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ask, canonical, describeWith, startCairn, temporaryFolder, until } from "../support/process.ts";
import { loadSeries } from "#tools/load.ts";
import { load } from "#tools/load.ts";

const HOUR = 3_600_000;
const START = 1_699_999_200_000;
const SERIES = 300;
const INTERVAL = 30_000;

describeWith("promtool", "head to blocks to bucket", () => {
  const { path, cleanup } = temporaryFolder("blocks");
  afterAll(cleanup);

  test("three and a half hours of backdated samples", async () => {
    const first = await startCairn(path);
    const steps = Math.floor((3.5 * HOUR) / INTERVAL);
    const options = {
      url: first.remoteWrite,
      series: String(SERIES),
      interval: "30s",
      duration: `${steps * 30}s`,
      start: String(START),
      seed: "7",
      concurrency: "2",
    };
    expect(await load(options)).toBe(0);

    const queries = [
      "sum by (job) (rate(load_requests_total[5m]))",
      "load_temperature",
      'count by (cluster) ({__name__=~"load_.*"})',
      "max_over_time(load_memory_bytes[1h])",
    ];
    const times = [START + 0.5 * HOUR, START + 1.9 * HOUR, START + 2.1 * HOUR, START + 3.4 * HOUR].map((t) =>
      String(t / 1000),
    );
    const all = async (http: string): Promise<string[]> => {
      const answers: string[] = [];
      for (const query of queries) {
        for (const time of times) answers.push(canonical(await ask(http, "query", { query, time })));
        answers.push(
          canonical(
            await ask(http, "query_range", { query, start: String(START / 1000), end: times.at(-1)!, step: "120" }),
          ),
        );
      }
      return answers;
    };
    const before = await all(first.http);
    expect(before.join("")).toContain("load_temperature");

    const tenant = join(path, "receive/default-tenant");
    const bucket = join(path, "bucket");
    const ulid = await until(
      "a block in the bucket",
      async () => {
        const names = existsSync(bucket) ? readdirSync(bucket) : [];
        return names.find((name) => existsSync(join(bucket, name, "meta.json")));
      },
      60_000,
    );
    const meta = JSON.parse(readFileSync(join(bucket, ulid, "meta.json"), "utf8")) as {
      minTime: number;
      maxTime: number;
      stats: { numSamples: number; numSeries: number };
      thanos: Record<string, unknown>;
    };
    expect([meta.minTime, meta.maxTime]).toEqual([START, START + 2 * HOUR]);
    expect(meta.stats.numSeries).toBe(SERIES);
    expect(meta.stats.numSamples).toBe(SERIES * ((2 * HOUR) / INTERVAL));
    expect(meta.thanos).toMatchObject({
      version: 1,
      labels: { tenant_id: "default-tenant" },
      downsample: { resolution: 0 },
      source: "receive",
    });
    expect(await all(first.http)).toEqual(before);

    // The real reader, on the block and on the receiver's folder with its log.
    const solo = join(path, "solo");
    mkdirSync(join(solo, "wal"), { recursive: true });
    cpSync(join(bucket, ulid), join(solo, ulid), { recursive: true });
    expect(execFileSync("promtool", ["tsdb", "list", solo]).toString()).toContain(ulid);
    const dump = execFileSync("promtool", ["tsdb", "dump", solo], { maxBuffer: 1 << 28 })
      .toString()
      .trim()
      .split("\n");
    expect(dump.length).toBe(meta.stats.numSamples);
    const pattern = /^\{__name__="(\w+)".*pod="pod-(\d+)"\} (\S+) (\d+)$/;
    for (let i = 0; i < dump.length; i += 97) {
      const [, name, pod, value, time] = pattern.exec(dump[i]!)!;
      const { labels, valueAt } = loadSeries(Number(pod), 7);
      expect([name, Number(value)]).toEqual([labels[0]!.value, valueAt((Number(time) - START) / INTERVAL)]);
    }
    const analysis = spawnSync("promtool", ["tsdb", "analyze", tenant]);
    expect(analysis.status, analysis.stderr.toString()).toBe(0);
    expect(await first.stop()).toBe(0);

    // A second start on the same folder, then on the bucket alone.
    const second = await startCairn(path, ["--receive.ingest-thread=own"]);
    expect(await all(second.http)).toEqual(before);
    expect(await second.stop()).toBe(0);
    rmSync(join(path, "receive"), { recursive: true });
    const third = await startCairn(path);
    const old = times[0]!;
    for (const query of queries) {
      expect(canonical(await ask(third.http, "query", { query, time: old }))).toBe(
        before[queries.indexOf(query) * (times.length + 1)],
      );
    }
    expect(await third.stop()).toBe(0);
  });
});
