/**
 * `tools load`: deterministic remote-write load. Series and values follow from the seed, so that a receiver's data
 * can be compared with what was sent. Requests carry 2000 samples, time by time, several under way for each time.
 */
import { Agent, request as httpRequest } from "node:http";
import { create, toBinary } from "@bufbuild/protobuf";
import { compress } from "snappyjs";
import { RemoteWriteRequestSchema } from "#gen/prometheus/remote_pb.ts";
import { parseDuration } from "#libs/kit/duration.ts";

const SAMPLES_PER_REQUEST = 2000;

export interface LoadSeries {
  readonly labels: readonly { name: string; value: string }[];
  readonly valueAt: (step: number) => number;
}

/** Series i of a load: counters, gauges with decimals, constants, in this order. */
export function loadSeries(i: number, seed: number): LoadSeries {
  const kind = i % 4;
  const labels = [
    { name: "__name__", value: ["load_requests_total", "load_temperature", "load_up", "load_memory_bytes"][kind]! },
    { name: "cluster", value: `cluster-${i % 3}` },
    { name: "instance", value: `host-${Math.floor(i / 100)}:9100` },
    { name: "job", value: `job-${i % 7}` },
    { name: "pod", value: `pod-${i}` },
  ];
  const hash = (step: number): number => {
    let x = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(step + 1, 0x85ebca6b) ^ seed;
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
    return ((x ^ (x >>> 13)) >>> 0) / 4294967296;
  };
  const rate = 1 + (i % 13);
  const valueAt = [
    (step: number) => step * rate + Math.floor(hash(step) * rate),
    (step: number) => Math.round((20 + 5 * Math.sin(step / 20 + i) + hash(step)) * 100) / 100,
    () => 1,
    (step: number) => 4096 * Math.floor(1e5 + 1e4 * hash(Math.floor(step / 5))),
  ][kind]!;
  return { labels, valueAt };
}

/** The body of one request, snappy-compressed. */
export function loadBody(series: readonly LoadSeries[], step: number, timeMs: number): Uint8Array {
  const timestamp = BigInt(timeMs);
  const timeseries = series.map(({ labels, valueAt }) => ({
    labels: [...labels],
    samples: [{ value: valueAt(step), timestamp }],
  }));
  return compress(toBinary(RemoteWriteRequestSchema, create(RemoteWriteRequestSchema, { timeseries })));
}

export async function load(options: Record<string, string>): Promise<number> {
  const count = Number(options["series"]);
  const intervalMs = parseDuration(options["interval"]!);
  const durationMs = parseDuration(options["duration"]!);
  const seed = Number(options["seed"]);
  const steps = Math.max(1, Math.floor(durationMs / intervalMs));
  const startMs = options["start"] === undefined ? Date.now() - (steps - 1) * intervalMs : Number(options["start"]);
  const series = Array.from({ length: count }, (_, i) => loadSeries(i, seed));
  const agent = new Agent({ keepAlive: true, maxSockets: Number(options["concurrency"]) });
  const headers: Record<string, string> = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "0.1.0",
    ...(options["tenant"] === undefined ? {} : { "thanos-tenant": options["tenant"] }),
  };
  let sent = 0;
  let refused = 0;
  let firstError = "";
  const startedAt = performance.now();
  const post = (body: Uint8Array): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const call = httpRequest(
        options["url"]!,
        { method: "POST", agent, headers: { ...headers, "content-length": body.length } },
        (answer) => {
          let text = "";
          answer.setEncoding("utf8").on("data", (part: string) => (text += part));
          answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
        },
      );
      call.on("error", reject);
      call.end(body);
    });
  for (let step = 0; step < steps; step++) {
    const batches: LoadSeries[][] = [];
    for (let i = 0; i < count; i += SAMPLES_PER_REQUEST) batches.push(series.slice(i, i + SAMPLES_PER_REQUEST));
    // One time after the other: a series' samples must arrive in order.
    await Promise.all(
      batches.map(async (batch) => {
        const { status, text } = await post(loadBody(batch, step, startMs + step * intervalMs));
        if (status >= 200 && status < 300) sent += batch.length;
        else {
          refused += batch.length;
          firstError ||= `${status} ${text.trim()}`;
        }
      }),
    );
    if (process.stderr.isTTY && step % 10 === 0) process.stderr.write(`\r${step}/${steps}`);
  }
  agent.destroy();
  const seconds = (performance.now() - startedAt) / 1000;
  if (firstError !== "") process.stderr.write(`first refusal: ${firstError}\n`);
  process.stdout.write(`${sent} samples sent, ${refused} refused, ${Math.round(sent / seconds)} samples/s\n`);
  return refused === 0 ? 0 : 1;
}
