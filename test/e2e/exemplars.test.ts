/**
 * Exemplars and metadata outlive the head: blocks keep them, the bucket has them, and the file that holds them disturbs
 * neither promtool nor a Prometheus.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { compress } from "snappyjs";
import { afterAll, expect, test } from "vitest";
import { RequestSchema } from "#gen/prometheus/write_v2_pb.ts";
import { describeWith, startCairn, temporaryFolder, until } from "../support/process.ts";

const START = 1_699_999_200_000;
const MINUTE = 60_000;

/** A request of remote write 2.0: a sample with an exemplar, and what the metric is. */
function body(minute: number): Uint8Array<ArrayBuffer> {
  const timestamp = BigInt(START + minute * MINUTE);
  const symbols = ["", "__name__", "requests_total", "trace_id", `t${minute}`, "How many there were.", "requests"];
  const request = create(RequestSchema, {
    symbols,
    timeseries: [
      {
        labelsRefs: [1, 2],
        samples: [{ timestamp, value: minute }],
        exemplars: [{ labelsRefs: [3, 4], timestamp, value: minute }],
        metadata: { type: 1, helpRef: 5, unitRef: 6 },
      },
    ],
  });
  return new Uint8Array(compress(toBinary(RequestSchema, request)));
}

describeWith("promtool", "exemplars and metadata in blocks", () => {
  const { path, cleanup } = temporaryFolder("exemplars");
  afterAll(cleanup);

  test("what the ring has forgotten is there after a kill, and with the bucket alone", async () => {
    const flags = ["--tsdb.max-exemplars", "150", "--sync-block-duration", "1s"];
    let cairn = await startCairn(path, flags);
    const send = async (minute: number): Promise<void> => {
      const headers = {
        "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "content-encoding": "snappy",
      };
      expect((await fetch(cairn.remoteWrite, { method: "POST", headers, body: body(minute) })).status).toBe(204);
    };
    const bucket = join(path, "bucket");
    const uploaded = (): string[] =>
      existsSync(bucket) ? readdirSync(bucket).filter((ulid) => existsSync(join(bucket, ulid, "meta.json"))) : [];
    for (let minute = 0; minute < 190; minute++) await send(minute);
    const [ulid] = await until("a block in the bucket", async () => (uploaded().length > 0 ? uploaded() : undefined));
    for (let minute = 190; minute < 290; minute++) await send(minute);

    const tracesOf = async (from: number, to: number): Promise<{ traces: string[]; warnings: unknown }> => {
      const time = (minute: number): string => String((START + minute * MINUTE) / 1000);
      const params = new URLSearchParams({ query: "requests_total", start: time(from), end: time(to) });
      const { data, warnings } = (await (
        await fetch(`${cairn.http}/api/v1/query_exemplars?${params.toString()}`)
      ).json()) as {
        data: { seriesLabels: object; exemplars: { labels: { trace_id: string } }[] }[];
        warnings?: unknown;
      };
      for (const { seriesLabels } of data) expect(seriesLabels).toEqual({ __name__: "requests_total" });
      return { traces: data.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.trace_id)), warnings };
    };
    const metadata = async (): Promise<unknown> => (await fetch(`${cairn.http}/api/v1/metadata`)).json();
    // The ring held 40 to 189 when the block was cut, and holds 140 to 289.
    const traces = (from: number, to: number) => ({
      traces: Array.from({ length: to - from }, (_, i) => `t${from + i}`),
      warnings: undefined,
    });
    const entry = { type: "counter", unit: "requests", help: "How many there were." };
    const known = { status: "success", data: { requests_total: [entry] } };
    expect(await tracesOf(0, 119)).toEqual(traces(40, 120));
    expect(await tracesOf(100, 109)).toEqual(traces(100, 110));
    expect(await tracesOf(140, 400)).toEqual(traces(140, 290));
    expect(await metadata()).toEqual(known);
    await cairn.stop("SIGKILL");
    cairn = await startCairn(path, flags);
    expect(await tracesOf(0, 119)).toEqual(traces(40, 120));
    expect(await metadata()).toEqual(known);
    expect(await cairn.stop()).toBe(0);

    const solo = join(path, "solo");
    mkdirSync(join(solo, "wal"), { recursive: true });
    cpSync(join(bucket, ulid!), join(solo, ulid!), { recursive: true });
    expect(readdirSync(join(solo, ulid!)).sort()).toEqual(["cairn-extras", "chunks", "index", "meta.json"]);
    const dump = execFileSync("promtool", ["tsdb", "dump", solo]).toString().trim().split("\n");
    expect(dump).toHaveLength(120);

    rmSync(join(path, "receive"), { recursive: true });
    cairn = await startCairn(path, flags);
    expect(await tracesOf(0, 119)).toEqual(traces(40, 120));
    expect(await tracesOf(0, 400)).toEqual(traces(40, 120));
    // A file that is damaged or was left behind by a replication costs a warning.
    const extras = join(bucket, ulid!, "cairn-extras");
    const none = (warning: string) => ({ traces: [], warnings: [expect.stringContaining(warning)] });
    writeFileSync(extras, "damaged");
    expect(await tracesOf(0, 119)).toEqual(none(`${ulid}/cairn-extras: corrupt at byte`));
    rmSync(extras);
    expect(await tracesOf(0, 119)).toEqual(none(`no object ${ulid}/cairn-extras`));
    expect(await cairn.stop()).toBe(0);
  });
});
