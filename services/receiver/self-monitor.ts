/**
 * Feeds the process's own metrics to its own write path, so that a first query shows data and the whole path is
 * exercised from the first minute.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { AggregatorRegistry, type MetricObjectWithValues, type MetricValueWithName } from "prom-client";
import { compress } from "snappyjs";
import { RemoteWriteRequestSchema } from "#gen/prometheus/remote_pb.ts";
import type { Env } from "#libs/kit/env.ts";
import { messageOf } from "#libs/kit/errors.ts";
import { every } from "#libs/kit/every.ts";
import type { Host } from "#libs/kit/host.ts";
import { labelsFrom } from "#libs/model/labels.ts";
import type { WriteAnswer, WriteCall } from "./ingest.ts";

export const SELF_SCRAPE_MS = 15_000;

export async function startSelfMonitor(host: Host, tenant: string, instance: string, env: Env): Promise<void> {
  const write = async (): Promise<void> => {
    const time = BigInt(env.now());
    const registry = AggregatorRegistry.aggregate([
      await env.metrics.getMetricsAsJSON(),
      ...(await host.workerMetrics()),
    ]);
    const metrics = (await registry.getMetricsAsJSON()) as unknown as MetricObjectWithValues<
      MetricValueWithName<string>
    >[];
    const series: { labels: { name: string; value: string }[]; samples: { value: number; timestamp: bigint }[] }[] = [];
    const add = (name: string, labels: object, value: number): void => {
      const pairs = Object.entries(labels).map(([label, text]) => [label, String(text)] as const);
      const sorted = labelsFrom([...pairs, ["__name__", name], ["job", "cairn"], ["instance", instance]]);
      const message: { name: string; value: string }[] = [];
      for (let i = 0; i < sorted.length; i += 2) message.push({ name: sorted[i]!, value: sorted[i + 1]! });
      series.push({ labels: message, samples: [{ value, timestamp: time }] });
    };
    add("up", {}, 1);
    for (const metric of metrics)
      for (const { metricName, labels, value } of metric.values) add(metricName ?? metric.name, labels, value);
    const body = compress(toBinary(RemoteWriteRequestSchema, create(RemoteWriteRequestSchema, { timeseries: series })));
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
