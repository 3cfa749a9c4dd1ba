/**
 * Remote write against a running `cairn all`: bodies that real senders sent are stored as they were; hostile ones
 * get the status that Prometheus 3.14's receiver gave, their good samples are stored, and the process goes on.
 */
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { labelsToObject } from "#libs/model/labels.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";
import { applyWrite, decompress } from "#services/receiver/write-request.ts";
import { samplesOf } from "#tools/block-dump.ts";
import { type Cairn, startCairn, temporaryFolder } from "../support/process.ts";
import { storedSeries } from "../support/store.ts";
import { describeShared, GOLDEN } from "../support/shared.ts";

const FOLDER = join(GOLDEN, "remote-write");

interface Case {
  name: string;
  headers: Record<string, string>;
  bodyBase64?: string;
  setup?: string;
  status: number;
  text: string;
  written: Record<string, string>;
  storedWithNamePrefix: string;
  stored: [Record<string, string>, number][];
}

/** Bodies that only prepare are 1.0. */
const V1 = { "content-type": "application/x-protobuf", "content-encoding": "snappy" };
const key = (labels: Record<string, string>): string =>
  JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));

describeShared("remote write", FOLDER, () => {
  const { path, cleanup } = temporaryFolder("rw");
  let cairn: Cairn;
  beforeAll(async () => {
    cairn = await startCairn(path, ["--tsdb.max-exemplars", "1000"]);
  });
  afterAll(async () => {
    expect(await cairn.stop()).toBe(0);
    cleanup();
  });

  const post = (body: Buffer, headers: Record<string, string>): Promise<Response> => {
    const request = new Request(cairn.remoteWrite, { method: "POST", body: new Uint8Array(body), headers });
    if (headers["content-type"] === undefined) request.headers.delete("content-type");
    return fetch(request);
  };
  /** Series by labels → number of samples but stale markers. */
  const stored = async (prefix: string): Promise<Map<string, number>> => {
    const series = await storedSeries(cairn.grpc, `${prefix}.*`);
    return new Map(
      series.map(({ pairs, samples }) => [
        key(labelsToObject(pairs)),
        samples.filter(([, value]) => value !== "stale").length,
      ]),
    );
  };

  const cases = readFileSync(join(FOLDER, "receiver.ndjson"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Case);
  // In the order they were recorded: they share one head.
  for (const c of cases) {
    if (c.bodyBase64 === undefined) continue;
    test(`${c.name}: ${c.status}`, async () => {
      if (c.setup !== undefined) expect((await post(Buffer.from(c.setup, "base64"), V1)).status).toBe(204);
      const response = await post(Buffer.from(c.bodyBase64!, "base64"), c.headers);
      const text = await response.text();
      expect(response.status, text).toBe(c.status);
      // 1.0 may say more than Prometheus, which stops at the first refusal.
      if (c.text !== "" && c.name.startsWith("v")) expect(text.trim()).toContain(c.text.trim().split("\n")[0]);
      for (const [header, count] of Object.entries(c.written)) expect(response.headers.get(header), header).toBe(count);
      const found = await stored(c.name);
      for (const [labels, samples] of c.stored)
        expect(found.get(key(labels)), `${key(labels)} in ${JSON.stringify([...found])}`).toBe(samples);
      // Prometheus rolls a 1.0 request back at the first refusal; we keep its good samples. Nothing else may be there.
      const allowed = new Set(c.stored.map(([labels]) => key(labels)));
      for (const [labels] of found) {
        const { __name__: name } = Object.fromEntries(JSON.parse(labels) as [string, string][]);
        if (!allowed.has(labels)) expect(name, "stored though Prometheus refuses it").toMatch(/_good$/);
      }
      expect((await fetch(`${cairn.http}/-/ready`)).status).toBe(200);
    });
  }

  test("a body above the limit is refused by its length, before it is sent", async () => {
    const { hostname, port } = new URL(cairn.remoteWrite);
    const socket = connect(Number(port), hostname);
    const headers = [
      "POST /api/v1/receive HTTP/1.1",
      `Host: ${hostname}`,
      "Content-Type: application/x-protobuf",
      `Content-Length: ${33 * 1024 * 1024}`,
    ];
    socket.write(`${headers.join("\r\n")}\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    expect(answer.toString()).toMatch(/^HTTP\/1.1 413 /);
  });

  const captured = readdirSync(join(FOLDER, "captured")).filter((name) => name.endsWith(".bin"));
  for (const file of captured) {
    test(`${file}, as a real sender sent it: every sample is stored, bit for bit`, async () => {
      const name = join(FOLDER, "captured", file.slice(0, -4));
      const headers = JSON.parse(readFileSync(`${name}.headers.json`, "utf8")) as Record<string, string>;
      const header = (wanted: string): string =>
        Object.entries(headers).find(([k]) => k.toLowerCase() === wanted)?.[1] ?? "";
      const folder = temporaryFolder("captured");
      const head = Head.open(folder.path, {
        rangeMs: 7_200_000,
        seriesMax: 100_000,
        seed: 1,
        minValidTime: -Infinity,
        exemplarsMax: 1000,
        log: silentLog(),
      });
      try {
        const body = decompress(readFileSync(`${name}.bin`), header("content-encoding"), 1 << 25);
        const version = header("content-type").includes("v2") ? 2 : 1;
        const limits = { requestBytesMax: 1 << 25, labelsMax: 200, nameBytesMax: 1 << 10, valueBytesMax: 1 << 16 };
        expect(applyWrite(head, body, version, { ...limits, latestTime: Infinity, withStarts: false }).errors).toEqual(
          [],
        );
        const held = await contentOf(head);
        let checked = 0;
        for (const line of gunzipSync(readFileSync(`${name}.expected.ndjson.gz`))
          .toString()
          .trim()
          .split("\n")) {
          const { labels, samples, histograms } = JSON.parse(line) as {
            labels?: [string, string][] | Record<string, string>;
            samples?: [number, unknown][];
            histograms?: [number, unknown][];
          };
          if (labels === undefined) continue;
          const series = held.get(key(Array.isArray(labels) ? Object.fromEntries(labels) : labels));
          for (const [time, value] of [...(samples ?? []), ...(histograms ?? [])]) {
            expect(series?.get(time), `${JSON.stringify(labels)} at ${time}`).toBe(comparable(value));
            checked++;
          }
        }
        if (header("content-type") !== "") expect(checked + [...head.metadata()].length).toBeGreaterThan(0);
      } finally {
        await head.close();
        folder.cleanup();
      }
    });
  }
});

/** Samples by series and time. */
async function contentOf(head: Head): Promise<Map<string, Map<number, string>>> {
  const held = new Map<string, Map<number, string>>();
  const query = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
  const reader = new FrameReader();
  for await (const frame of head.frames(query, new AbortController().signal)) {
    reader.enter(frame);
    while (reader.next()) {
      const samples = new Map<number, string>();
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++)
        for (const text of samplesOf(reader.chunk(i), -Infinity, Infinity, "head")) {
          const [time, value] = JSON.parse(text) as [number, unknown];
          samples.set(time, comparable(value));
        }
      held.set(key(labelsToObject(reader.labels())), samples);
    }
  }
  return held;
}

/** Numbers in one notation; the hint of a first sample says nothing. */
function comparable(value: unknown): string {
  const plain = (part: unknown): unknown =>
    typeof part === "string" && /^[-+]?\d/.test(part)
      ? String(Number(part))
      : Array.isArray(part)
        ? part.map(plain)
        : typeof part === "object" && part !== null
          ? Object.fromEntries(
              Object.entries(part)
                .filter(([name]) => name !== "hint")
                .sort(([a], [b]) => (a < b ? -1 : 1))
                .map(([name, inner]) => [name, plain(inner)]),
            )
          : part;
  return JSON.stringify(plain(value));
}
