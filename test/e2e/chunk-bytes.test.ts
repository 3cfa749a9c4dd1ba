/**
 * The same requests to a head of ours and to a real Prometheus: the chunks both write are equal byte for byte, and cut
 * at the same samples. For Debian's 2.42, which cuts histograms otherwise and knows no limit of bytes, only small floats.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { atOnce } from "#libs/kit/slices.ts";
import { scanHeadChunkFile } from "#libs/tsdb/head/chunk-files.ts";
import { readWal } from "#libs/tsdb/wal/reader.ts";
import { RECORD, readSeries } from "#libs/tsdb/wal/records.ts";
import { applyWrite, decompress } from "#services/receiver/write-request.ts";
import { openHead, T0 } from "../support/head.ts";
import { describeWith, describeWithPrometheus3, freePort, run, temporaryFolder, until } from "../support/process.ts";
import { seeded, type TestHistogram, type TestSeries, write, writeBody } from "../support/write.ts";

const SEED = Number(process.env["BYTES_SEED"] ?? 3);
const SMALL = new Set<unknown>(["counter", "constant", "sparse", "fast"]);
/** Below three hours: Prometheus would cut a block. */
const STEPS = 350;

const random = seeded(SEED);
const pick = (count: number): number => Math.floor(random() * count);

/** Counts that grow, in buckets that come and go; sometimes everything starts anew. */
class Counters {
  counts = new Map<number, number>();
  schema = 3;
  readonly isFloat: boolean;
  readonly isGauge: boolean;
  readonly isCustom: boolean;

  constructor(isFloat: boolean, isGauge: boolean, isCustom: boolean) {
    this.isFloat = isFloat;
    this.isGauge = isGauge;
    this.isCustom = isCustom;
  }

  next(time: number): TestHistogram {
    if (random() < 0.01) this.counts.clear();
    if (!this.isCustom && random() < 0.01) this.schema = pick(5);
    if (this.isGauge && random() < 0.2) this.counts.clear();
    for (let i = pick(6); i >= 0; i--) {
      const bucket = this.isCustom ? pick(6) : pick(pick(4) === 0 ? 60 : 12) - 6;
      this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + pick(20));
    }
    const buckets = [...this.counts].sort(([a], [b]) => a - b);
    const spans: { offset: number; length: number }[] = [];
    let next = 0;
    for (const [bucket] of buckets) {
      if (spans.length > 0 && bucket === next) spans.at(-1)!.length++;
      else spans.push({ offset: bucket - next, length: 1 });
      next = bucket + 1;
    }
    const counts = buckets.map(([, count]) => count);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const shape = {
      sum: total * 1.25,
      timestamp: BigInt(time),
      schema: this.isCustom ? -53 : this.schema,
      zeroThreshold: this.isCustom ? 0 : 2 ** -128,
      customValues: this.isCustom ? [0.1, 0.5, 1, 2.5, 10] : [],
      resetHint: this.isGauge ? (3 as const) : (0 as const),
      positiveSpans: spans,
    };
    if (this.isFloat) {
      return {
        ...shape,
        count: { case: "countFloat", value: total / 3 },
        zeroCount: { case: "zeroCountFloat", value: 0 },
        positiveCounts: counts.map((count) => count / 3),
      };
    }
    return {
      ...shape,
      count: { case: "countInt", value: BigInt(total) },
      zeroCount: { case: "zeroCountInt", value: 0n },
      positiveDeltas: counts.map((count, i) => BigInt(count - (i === 0 ? 0 : counts[i - 1]!))),
    };
  }
}

/** Requests with at most one sample a series. */
function requests(isWhole: boolean): TestSeries[][] {
  const kinds = [false, true].flatMap((isFloat) => [
    new Counters(isFloat, false, false),
    new Counters(isFloat, true, false),
    new Counters(isFloat, false, true),
  ]);
  const out: TestSeries[][] = [];
  let counter = 0;
  for (let step = 0; step < STEPS; step++) {
    const at = (i: number): number => T0 + 12_345 + step * 30_000 + ((i * 37 + (step % 7) * 5) % 50);
    const series: TestSeries[] = [];
    const float = (name: string, i: number, value: number): void => {
      series.push({ labels: { __name__: name }, samples: [[at(i), value]] });
    };
    counter = random() < 0.01 ? 0 : counter + pick(1000);
    float("counter", 0, counter);
    float("gauge", 1, Math.round(random() * 1e6) / 100);
    float("random", 2, random() * 10 ** (pick(300) - 150));
    float("constant", 3, 42);
    if (random() < 0.2) float("sparse", 4, step);
    for (let k = 0; k < 3; k++)
      series.push({ labels: { __name__: "fast", k: String(k) }, samples: [[at(k), k * step]] });
    kinds.forEach((kind, i) => {
      const labels = { __name__: "histogram", kind: String(i) };
      if (random() < 0.02) series.push({ labels, samples: [[at(i), Number.NaN]] });
      else series.push({ labels, samples: [], histograms: [kind.next(at(i))] });
    });
    const isFloat = step % 90 > 60;
    series.push({
      labels: { __name__: "alternates" },
      samples: isFloat ? [[at(9), step]] : [],
      histograms: isFloat ? [] : [kinds[pick(2)]!.next(at(9))],
    });
    out.push(isWhole ? series : series.filter(({ labels: { __name__ } }) => SMALL.has(__name__)));
  }
  return out;
}

/** Full chunks by series. */
function chunksOf(folder: string): Map<string, string[]> {
  const names = new Map<number, string>();
  for (const { bytes } of readWal(join(folder, "wal"), () => undefined))
    if (bytes[0] === RECORD.SERIES) readSeries(bytes, "wal", (ref, labels) => names.set(ref, labels.join()));
  const out = new Map<string, string[]>();
  for (const name of readdirSync(join(folder, "chunks_head")).sort()) {
    const path = join(folder, "chunks_head", name);
    const bytes = readFileSync(path);
    const scan = scanHeadChunkFile(
      path,
      Number(name),
      (ref, _outOfOrder, { mint, maxt, encoding, offset, length }) => {
        const text = `${mint} ${maxt} ${encoding} ${bytes.subarray(offset, offset + length).toString("hex")}`;
        out.set(names.get(ref)!, [...(out.get(names.get(ref)!) ?? []), text]);
      },
      () => undefined,
    );
    atOnce(scan);
  }
  return out;
}

function body(program: string, isWhole: boolean): void {
  test(`${STEPS} requests, chunks equal to Prometheus's (seed ${SEED})`, async () => {
    const { path, cleanup } = temporaryFolder("bytes");
    const port = await freePort();
    const prometheus = run(program, [
      "--config.file=/dev/null",
      `--storage.tsdb.path=${join(path, "theirs")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--web.enable-remote-write-receiver",
      "--storage.tsdb.retention.time=100y",
    ]);
    const head = openHead(join(path, "ours"));
    try {
      const base = `http://127.0.0.1:${port}`;
      await until("Prometheus is ready", async () =>
        (await fetch(`${base}/-/ready`).catch(() => undefined))?.ok === true ? true : undefined,
      );
      const limits = { requestBytesMax: 1 << 25, labelsMax: 200, nameBytesMax: 1 << 10, valueBytesMax: 1 << 16 };
      for (const series of requests(isWhole)) {
        const body = decompress(Buffer.from(writeBody(series)), "snappy", 1 << 25);
        const { errors } = applyWrite(head, body, 1, { ...limits, latestTime: Infinity, withStarts: false });
        const response = await write(`${base}/api/v1/write`, series);
        expect([response.status, await response.text()]).toEqual([204, ""]);
        expect(errors).toEqual([]);
      }
      await sleep(100);
      expect(await prometheus.stop()).toBe(0);
      await head.close();
      const theirs = chunksOf(join(path, "theirs"));
      const ours = chunksOf(join(path, "ours"));
      expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
      let count = 0;
      for (const [series, chunks] of theirs) {
        expect(ours.get(series), series).toEqual(chunks);
        count += chunks.length;
      }
      expect(count).toBeGreaterThan(isWhole ? 200 : 10);
    } finally {
      await prometheus.stop("SIGKILL");
      cleanup();
    }
  }, 120_000);
}

describeWith("prometheus", "floats beside Debian's Prometheus", () => body("prometheus", false));
describeWithPrometheus3("all beside a Prometheus 3", (program) => body(program, true));
