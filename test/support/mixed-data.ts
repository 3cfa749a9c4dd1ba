/**
 * A mixed data set, seeded: counters with resets, gauges with NaN and infinities, classic and native histograms of
 * every kind, info metrics, gaps and stale markers. Two hours at 15 s, as remote write 1.0 bodies in time order.
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { compress } from "snappyjs";
import { RemoteWriteRequestSchema } from "#gen/prometheus/remote_pb.ts";
import type { HistogramSchema, TimeSeriesSchema } from "#gen/prometheus/types_pb.ts";
import { compareLabels, labelsFrom } from "#libs/model/labels.ts";
import { seeded } from "./write.ts";

export const DATA_START_MS = 1_700_006_400_000;
export const DATA_STEP_MS = 15_000;
export const DATA_STEPS = 480;

type Labels = Readonly<Record<string, string>>;
type Histogram = MessageInitShape<typeof HistogramSchema>;
type Series = MessageInitShape<typeof TimeSeriesSchema>;

/** Stands for a stale marker, whose payload a number may lose: the bytes are put in at the end. */
const STALE = 1.234567890123e-300;

function putStaleMarkers(body: Uint8Array): Uint8Array {
  const bytes = Buffer.from(body);
  const placeholder = Buffer.from(new Float64Array([STALE]).buffer);
  const marker = Buffer.alloc(8);
  marker.writeBigUInt64LE(0x7ff0000000000002n);
  for (let at = bytes.indexOf(placeholder); at >= 0; at = bytes.indexOf(placeholder, at + 8)) marker.copy(bytes, at);
  return bytes;
}

/** What a series has at a step: nothing, a float, a histogram. */
type Point = number | Histogram | undefined;

interface Source {
  readonly labels: Labels;
  readonly pointAt: (step: number) => Point;
}

const JOBS = ["api", "web", "db"];
const INSTANCES = ["a:1", "b:1"];

function sources(seed: number): Source[] {
  const random = seeded(seed);
  const out: Source[] = [];
  const add = (labels: Labels, next: (step: number) => Point): void => {
    const gapFrom = random() < 0.4 ? Math.floor(random() * DATA_STEPS) : DATA_STEPS;
    const gapTo = gapFrom + Math.floor(random() * 60);
    const begins = random() < 0.2 ? Math.floor(random() * 200) : 0;
    const isSparse = random() < 0.1;
    const endsStale = random() < 0.6;
    out.push({
      labels,
      pointAt: (step) => {
        const point = next(step);
        // Every series is there at first, so that a head numbers them in the order of their labels.
        if (step === 0) return point;
        if (step < begins || (isSparse && step % 7 !== 0)) return undefined;
        if (step === gapFrom && endsStale) return typeof point === "object" ? { sum: STALE } : STALE;
        return step >= gapFrom && step < gapTo ? undefined : point;
      },
    });
  };
  for (const job of JOBS) {
    for (const instance of INSTANCES) {
      for (const code of ["200", "404", "500"]) {
        let count = 0;
        const rate = Math.floor(random() * 20);
        add({ __name__: "requests_total", job, instance, code }, () => {
          if (random() < 0.01) count = 0;
          return (count += Math.floor(random() * rate));
        });
      }
      let seconds = 0;
      add({ __name__: "cpu_seconds_total", job, instance }, () => (seconds += random()));
      let level = 20;
      add({ __name__: "temperature", job, instance }, () => {
        level += random() - 0.5;
        const dice = random();
        if (dice < 0.01) return NaN;
        if (dice < 0.015) return Infinity;
        if (dice < 0.02) return -Infinity;
        return Math.round(level * 100) / 100;
      });
      add({ __name__: "memory_bytes", job, instance }, (step) => 4096 * Math.floor(1000 + 100 * Math.sin(step / 30)));
      add({ __name__: "up", job, instance }, () => (random() < 0.05 ? 0 : 1));
      add({ __name__: "target_info", job, instance, version: `v${Math.floor(random() * 3)}`, zone: "eu" }, () => 1);
      classic(random, { job, instance }, add);
      natives(random, { job, instance }, add);
    }
  }
  return out.sort((a, b) => compareLabels(labelsFrom(Object.entries(a.labels)), labelsFrom(Object.entries(b.labels))));
}

const BOUNDS = [0.1, 0.5, 1, 5, 10];

function classic(random: () => number, labels: Labels, add: (l: Labels, next: (step: number) => Point) => void): void {
  const counts = [0, 0, 0, 0, 0, 0];
  let sum = 0;
  let at = -1;
  const advance = (step: number): void => {
    for (; at < step; at++) {
      for (let i = 0; i < 3; i++) {
        const value = random() * 12;
        sum += value;
        counts[BOUNDS.findIndex((bound) => value <= bound) % 6]!++;
        if (value > 10) counts[5]!++;
      }
    }
  };
  [...BOUNDS, Infinity].forEach((bound, i) => {
    const le = bound === Infinity ? "+Inf" : String(bound);
    add({ __name__: "latency_bucket", ...labels, le }, (step) => {
      advance(step);
      return counts.slice(0, i + 1).reduce((a, b) => a + b, 0);
    });
  });
  add({ __name__: "latency_count", ...labels }, (step) => {
    advance(step);
    return counts.reduce((a, b) => a + b, 0);
  });
  add({ __name__: "latency_sum", ...labels }, (step) => {
    advance(step);
    return sum;
  });
}

function natives(random: () => number, labels: Labels, add: (l: Labels, next: (step: number) => Point) => void): void {
  const kinds: [name: string, options: Parameters<typeof nativeSource>[1]][] = [
    ["nh_seconds", { isFloat: false, isGauge: false, isCustom: false, schema: 3 }],
    ["nh_float_seconds", { isFloat: true, isGauge: false, isCustom: false, schema: 0 }],
    ["nh_gauge", { isFloat: true, isGauge: true, isCustom: false, schema: 2 }],
    ["nhcb_seconds", { isFloat: false, isGauge: false, isCustom: true, schema: -53 }],
  ];
  for (const [name, options] of kinds) add({ __name__: name, ...labels }, nativeSource(random, options));
  const histogram = nativeSource(random, { isFloat: false, isGauge: false, isCustom: false, schema: 1 });
  add({ __name__: "mixed_kinds", ...labels }, (step) => (step % 40 < 20 ? histogram(step) : step));
}

function nativeSource(
  random: () => number,
  options: { isFloat: boolean; isGauge: boolean; isCustom: boolean; schema: number },
): (step: number) => Histogram {
  let schema = options.schema;
  let counts = [0, 0, 0, 0, 0, 0];
  let negative = [0, 0];
  let zero = 0;
  let sum = 0;
  let offset = -2;
  return () => {
    const dice = random();
    if (options.isGauge || dice < 0.01) {
      counts = counts.map(() => Math.floor(random() * 10));
      negative = negative.map(() => Math.floor(random() * 3));
      zero = Math.floor(random() * 4);
      sum = random() * 100;
    } else if (dice < 0.015 && !options.isCustom) {
      schema = options.schema - 1;
      offset = -1;
    } else if (dice < 0.03 && !options.isCustom) counts = [...counts, 0].slice(0, 9);
    else {
      counts = counts.map((count) => count + Math.floor(random() * 4));
      if (!options.isCustom) negative = negative.map((count) => count + (random() < 0.3 ? 1 : 0));
      zero += options.isCustom ? 0 : Math.floor(random() * 2);
      sum += random() * 10;
    }
    const scale = options.isFloat ? 0.5 : 1;
    const total =
      (counts.reduce((a, b) => a + b, 0) + (options.isCustom ? 0 : negative.reduce((a, b) => a + b, zero))) * scale;
    const shape = {
      sum,
      schema,
      zeroThreshold: options.isCustom ? 0 : 0.001,
      positiveSpans: [{ offset: options.isCustom ? 0 : offset, length: counts.length }],
      negativeSpans: options.isCustom ? [] : [{ offset: 1, length: negative.length }],
      resetHint: options.isGauge ? 3 : 0,
      customValues: options.isCustom ? [0.5, 1, 2, 5, 10].slice(0, counts.length - 1) : [],
    } satisfies Histogram;
    if (options.isFloat) {
      return {
        ...shape,
        count: { case: "countFloat", value: total },
        zeroCount: { case: "zeroCountFloat", value: zero * scale },
        positiveCounts: counts.map((count) => count * scale),
        negativeCounts: negative.map((count) => count * scale),
      };
    }
    return {
      ...shape,
      count: { case: "countInt", value: BigInt(total) },
      zeroCount: { case: "zeroCountInt", value: BigInt(options.isCustom ? 0 : zero) },
      positiveDeltas: deltas(counts),
      negativeDeltas: options.isCustom ? [] : deltas(negative),
    };
  };
}

function deltas(counts: readonly number[]): bigint[] {
  return counts.map((count, i) => BigInt(count - (counts[i - 1] ?? 0)));
}

/** Bodies to send one after the other. Without `withHistograms` native ones are left out. */
export function* mixedBodies(seed: number, withHistograms: boolean): Generator<Uint8Array> {
  const all = sources(seed);
  for (let from = 0; from < DATA_STEPS; from += 20) {
    const timeseries: Series[] = [];
    for (const { labels, pointAt } of all) {
      const samples: { timestamp: bigint; value: number }[] = [];
      const histograms: Histogram[] = [];
      for (let step = from; step < from + 20; step++) {
        const timestamp = BigInt(DATA_START_MS + step * DATA_STEP_MS + (step % 5) * 3 + 1);
        const point = pointAt(step);
        if (typeof point === "number") samples.push({ timestamp, value: point });
        else if (point !== undefined) histograms.push({ ...point, timestamp });
      }
      const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
      const set = sorted.map(([name, value]) => ({ name, value }));
      if (samples.length > 0) timeseries.push({ labels: set, samples });
      if (withHistograms && histograms.length > 0) timeseries.push({ labels: set, histograms });
    }
    const body = toBinary(RemoteWriteRequestSchema, create(RemoteWriteRequestSchema, { timeseries }));
    yield compress(putStaleMarkers(body));
  }
}
