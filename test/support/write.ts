/** Remote write for tests. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { compress } from "snappyjs";
import { RemoteWriteRequestSchema } from "#gen/prometheus/remote_pb.ts";
import type { HistogramSchema } from "#gen/prometheus/types_pb.ts";

export interface TestSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly samples: readonly (readonly [timeMs: number, value: number])[];
  readonly histograms?: readonly TestHistogram[];
}

export type TestHistogram = MessageInitShape<typeof HistogramSchema>;

export function writeBody(series: readonly TestSeries[]): Uint8Array {
  const timeseries = series.map(({ labels, samples, histograms }) => ({
    labels: Object.entries(labels)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ({ name, value })),
    samples: samples.map(([time, value]) => ({ timestamp: BigInt(time), value })),
    histograms: [...(histograms ?? [])],
  }));
  return compress(toBinary(RemoteWriteRequestSchema, create(RemoteWriteRequestSchema, { timeseries })));
}

export async function write(url: string, series: readonly TestSeries[], signal?: AbortSignal): Promise<Response> {
  const headers = { "content-type": "application/x-protobuf", "content-encoding": "snappy" };
  return fetch(url, {
    method: "POST",
    body: new Uint8Array(writeBody(series)),
    headers,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** mulberry32: a seeded generator for tests. */
export function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
