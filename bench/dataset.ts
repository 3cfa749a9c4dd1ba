/**
 * Scrapes of many targets, 100 series each: counters of CPU seconds, requests and histogram buckets, gauges in pages,
 * with two decimals and with all bits, constants. Seeded; targets are scraped exactly periodically, each at its own
 * offset, off whole seconds, so that no sample lies on the border of a query's window.
 */
import { compress } from "snappyjs";
import { labelsFrom } from "#libs/model/labels.ts";

export interface DataSeries {
  /** The labels of a remote-write 1.0 TimeSeries, encoded. */
  readonly labels: Uint8Array;
  readonly offsetMs: number;
  /** Asked for 0, 1, 2, … in this order. */
  readonly next: () => number;
}

const MODES = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];
const BOUNDS = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const HANDLERS = ["/", "/login", "/search", "/item"];
const CODES = ["200", "304", "404", "500", "503"];

/** mulberry32. */
function seeded(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The 100 series of one target. `unique`: each with a label `uid` of its own. */
export function target(id: number, intervalMs: number, seed: number, unique = false): DataSeries[] {
  const random = seeded(seed * 7919 + id);
  const offsetMs = 1000 * Math.floor((random() * intervalMs) / 1000) + 1 + Math.floor(random() * 998);
  const common = {
    cluster: `cluster-${id % 4}`,
    instance: `10.0.${id >> 8}.${id & 255}:9100`,
    job: `job-${id % 10}`,
    namespace: `namespace-${id % 20}`,
    pod: `${["web", "api", "cart", "auth"][id % 4]}-${String(id).padStart(5, "0")}`,
  };
  const series: DataSeries[] = [];
  const add = (name: string, labels: Readonly<Record<string, string>>, next: () => number): void => {
    const uid = unique && { uid: String(100 * id + series.length).padStart(8, "0") };
    series.push({ labels: encodeLabels({ __name__: name, ...common, ...labels, ...uid }), offsetMs, next });
  };
  const counter = (perStep: number, decimals: number): (() => number) => {
    // Far from zero, as counters are: 2.42 and 3.x extrapolate otherwise near it.
    let sum = 1000 * perStep * (1 + random());
    return () => Math.round((sum += perStep * 2 * random()) * decimals) / decimals;
  };
  const seconds = intervalMs / 1000;
  for (const cpu of ["0", "1"])
    for (const mode of MODES)
      add("node_cpu_seconds_total", { cpu, mode }, counter(seconds * (mode === "idle" ? 0.8 : 0.03), 100));
  for (const handler of HANDLERS) {
    for (const code of CODES) {
      const perSecond = code === "200" ? 50 * random() : 0.05 * random();
      add("http_requests_total", { method: "GET", handler, code }, counter(perSecond * seconds, 1));
    }
  }
  for (const handler of HANDLERS.slice(0, 2)) {
    // Requests up to each scrape: all buckets of a handler are shares of it.
    const totals: number[] = [50_000 * seconds];
    const total = (step: number): number => {
      while (totals.length <= step) totals.push(totals.at(-1)! + Math.round(40 * seconds * random()));
      return totals[step]!;
    };
    BOUNDS.forEach((le, b) => {
      const share = ((b + 1) / BOUNDS.length) ** 0.3;
      let step = 0;
      add("http_request_duration_seconds_bucket", { handler, le }, () => Math.floor(total(step++) * share));
    });
    let step = 0;
    add("http_request_duration_seconds_sum", { handler }, counter(seconds, 1e6));
    add("http_request_duration_seconds_count", { handler }, () => total(step++));
  }
  for (let i = 0; i < 16; i++) {
    const isConstant = i % 4 === 0;
    let pages = Math.floor(random() * 100_000);
    add("container_memory_bytes", { container: `container-${i}` }, () => {
      if (!isConstant) pages = Math.max(1, pages + Math.floor(64 * (random() - 0.5)));
      return 4096 * pages;
    });
  }
  for (let i = 0; i < 8; i++) add("build_info", { component: `component-${i}` }, () => 1);
  add("up", {}, () => 1);
  add("process_start_time_seconds", {}, () => 1_700_000_000 + id);
  for (const name of ["node_load1", "node_load5", "node_load15", "node_temperature", "queue_length"])
    add(name, {}, () => Math.round(400 * random()) / 100);
  for (let i = 0; i < 5; i++) add("random_ratio", { part: `part-${i}` }, () => random());
  return series;
}

function encodeLabels(labels: Readonly<Record<string, string>>): Uint8Array {
  const flat = labelsFrom(Object.entries(labels));
  const parts: Buffer[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const [name, value] = [Buffer.from(flat[i]!), Buffer.from(flat[i + 1]!)];
    // All lengths are below 128: one byte each.
    const inner = [Buffer.from([0x0a, name.length]), name, Buffer.from([0x12, value.length]), value];
    parts.push(Buffer.from([0x0a, 4 + name.length + value.length]), ...inner);
  }
  return Buffer.concat(parts);
}

/** Field 2 of a TimeSeries: tag, length, a double, six bytes of milliseconds. */
const SAMPLE_BYTES = 18;

/** A remote-write 1.0 request with the next `count` samples of each series, the first at `timeMs` and its offset. */
export function dataBody(series: readonly DataSeries[], count: number, timeMs: number, intervalMs: number): Uint8Array {
  const bytes = Buffer.alloc(series.reduce((sum, { labels }) => sum + labels.length + count * SAMPLE_BYTES + 6, 0));
  let at = 0;
  const varint = (value: number): void => {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 128;
    bytes[at++] = rest;
  };
  for (const { labels, offsetMs, next } of series) {
    bytes[at++] = 0x0a;
    varint(labels.length + count * SAMPLE_BYTES);
    bytes.set(labels, at);
    at += labels.length;
    for (let i = 0; i < count; i++) {
      bytes[at++] = 0x12;
      bytes[at++] = SAMPLE_BYTES - 2;
      bytes[at++] = 0x09;
      at = bytes.writeDoubleLE(next(), at);
      bytes[at++] = 0x10;
      varint(timeMs + offsetMs + i * intervalMs);
    }
  }
  return compress(bytes.subarray(0, at));
}
