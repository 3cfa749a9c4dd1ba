/** Remote write for tests. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { compress } from "snappyjs";
import { RemoteWriteRequestSchema } from "#gen/prometheus/remote_pb.ts";
import { HistogramSchema } from "#gen/prometheus/types_pb.ts";

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

/** A series of 2.0; 0 is no start timestamp. */
export interface TestSeriesV2 {
  readonly labels: Readonly<Record<string, string>>;
  readonly samples?: readonly (readonly [timeMs: number, value: number, startMs: number])[];
  readonly histograms?: readonly (readonly [histogram: TestHistogram, startMs: number])[];
}

/** Sends remote write 2.0. */
export async function writeV2(url: string, series: readonly TestSeriesV2[]): Promise<Response> {
  const symbols = [...new Set(["", ...series.flatMap(({ labels }) => Object.entries(labels).flat())])];
  const request = new BinaryWriter();
  for (const symbol of symbols) request.tag(4, WireType.LengthDelimited).string(symbol);
  for (const { labels, samples, histograms } of series) {
    request.tag(5, WireType.LengthDelimited).fork();
    const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const text of pairs.flat()) request.tag(1, WireType.Varint).uint32(symbols.indexOf(text));
    for (const [time, value, start] of samples ?? []) {
      request.tag(2, WireType.LengthDelimited).fork();
      request.tag(1, WireType.Bit64).double(value).tag(2, WireType.Varint).int64(time);
      request.tag(3, WireType.Varint).int64(start).join();
    }
    for (const [histogram, start] of histograms ?? []) {
      request.tag(3, WireType.LengthDelimited).fork();
      request.raw(toBinary(HistogramSchema, create(HistogramSchema, histogram)));
      request.tag(17, WireType.Varint).int64(start).join();
    }
    request.join();
  }
  return fetch(url, {
    method: "POST",
    body: new Uint8Array(compress(request.finish())),
    headers: {
      "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
      "content-encoding": "snappy",
      "x-prometheus-remote-write-version": "2.0.0",
    },
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
