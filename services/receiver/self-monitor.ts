/**
 * Feeds the process's own metrics to its own write path, so that a first query shows data and the whole path is
 * exercised from the first minute.
 */
import type { MetricObjectWithValues, MetricValueWithName } from "#libs/kit/prometheus.ts";
import { compress } from "snappyjs";
import type { Env } from "#libs/kit/env.ts";
import { messageOf } from "#libs/kit/errors.ts";
import { every } from "#libs/kit/every.ts";
import type { Host } from "#libs/kit/host.ts";
import { joinMetrics } from "#libs/kit/metrics.ts";
import { type Labels, labelsFrom } from "#libs/model/labels.ts";
import type { WriteAnswer, WriteCall } from "./ingest.ts";

export const SELF_SCRAPE_MS = 15_000;

export async function startSelfMonitor(host: Host, tenant: string, instance: string, env: Env): Promise<void> {
  const write = async (): Promise<void> => {
    const time = env.now();
    const registry = await joinMetrics(env.metrics, host);
    const metrics = (await registry.getMetricsAsJSON()) as unknown as MetricObjectWithValues<
      MetricValueWithName<string>
    >[];
    const series: Buffer[] = [];
    const add = (name: string, labels: object, value: number): void => {
      const pairs = Object.entries(labels).map(([label, text]) => [label, String(text)] as const);
      const sorted = labelsFrom([...pairs, ["__name__", name], ["job", "cairn"], ["instance", instance]]);
      series.push(timeSeries(sorted, value, time));
    };
    add("up", {}, 1);
    for (const metric of metrics)
      for (const { metricName, labels, value } of metric.values) add(metricName ?? metric.name, labels, value);
    const body = compress(Buffer.concat(series));
    const answer = await host
      .peer("receiver")
      .call<WriteAnswer>("write", { tenant, version: 1, encoding: "snappy", body } satisfies WriteCall);
    if (answer.status !== 204) throw new Error(answer.text);
  };
  await every(
    SELF_SCRAPE_MS,
    "own metrics",
    () => write().catch((error: unknown) => env.log.warn({ reason: messageOf(error) }, "own metrics were not stored")),
    env,
  );
}

/** One `timeseries` of a remote-write 1.0 message, by hand: protobuf-es would cost this thread 8 MB. */
function timeSeries(labels: Labels, value: number, timeMs: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < labels.length; i += 2)
    parts.push(field(1, Buffer.concat([field(1, Buffer.from(labels[i]!)), field(2, Buffer.from(labels[i + 1]!))])));
  const double = Buffer.alloc(9, (1 << 3) | 1);
  double.writeDoubleLE(value, 1);
  parts.push(field(2, Buffer.concat([double, Buffer.of(2 << 3), varint(timeMs)])));
  return field(1, Buffer.concat(parts));
}

/** A field of bytes. */
function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.of((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Buffer.from([...bytes, value]);
}
