/** Counts and times what is asked of a bucket, under Thanos's metric names, so that its dashboards and alerts work. */
import { Counter, Gauge, Histogram, type Registry } from "#libs/kit/prometheus.ts";
import { NotFoundError } from "#libs/kit/errors.ts";
import type { Bucket, ObjectAttributes, ObjectContent } from "./bucket.ts";

interface Metrics {
  readonly operations: Counter<"operation">;
  readonly failures: Counter<"operation">;
  readonly duration: Histogram<"operation">;
  readonly lastUpload: Gauge;
}

function metricsOf(registry: Registry): Metrics {
  const existing = registry.getSingleMetric("thanos_objstore_bucket_operations_total");
  if (existing !== undefined) {
    return {
      operations: existing as Counter<"operation">,
      failures: registry.getSingleMetric("thanos_objstore_bucket_operation_failures_total") as Counter<"operation">,
      duration: registry.getSingleMetric("thanos_objstore_bucket_operation_duration_seconds") as Histogram<"operation">,
      lastUpload: registry.getSingleMetric("thanos_objstore_bucket_last_successful_upload_time") as Gauge,
    };
  }
  const labelNames = ["operation"] as const;
  const registers = [registry];
  return {
    operations: new Counter({
      name: "thanos_objstore_bucket_operations_total",
      help: "Operations on the bucket.",
      labelNames,
      registers,
    }),
    failures: new Counter({
      name: "thanos_objstore_bucket_operation_failures_total",
      help: "Operations that failed, missing objects not counted. Worry when it grows for minutes: data is not uploaded or not found.",
      labelNames,
      registers,
    }),
    duration: new Histogram({
      name: "thanos_objstore_bucket_operation_duration_seconds",
      help: "How long successful operations took. Worry when gets take seconds: queries over old data wait for them.",
      labelNames,
      buckets: [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120],
      registers,
    }),
    lastUpload: new Gauge({
      name: "thanos_objstore_bucket_last_successful_upload_time",
      help: "Unix time of the last upload that succeeded. Worry when it is hours old on a receiver that takes writes.",
      registers,
    }),
  };
}

export class InstrumentedBucket implements Bucket {
  readonly name: string;
  readonly #bucket: Bucket;
  readonly #metrics: Metrics;

  constructor(bucket: Bucket, registry: Registry) {
    this.#bucket = bucket;
    this.name = bucket.name;
    this.#metrics = metricsOf(registry);
  }

  async #measure<T>(operation: string, job: () => Promise<T>): Promise<T> {
    this.#metrics.operations.inc({ operation });
    const end = this.#metrics.duration.startTimer({ operation });
    try {
      const result = await job();
      end();
      return result;
    } catch (error) {
      if (!(error instanceof NotFoundError)) this.#metrics.failures.inc({ operation });
      throw error;
    }
  }

  async *iterate(prefix: string, options?: { readonly recursive?: boolean }): AsyncGenerator<string> {
    this.#metrics.operations.inc({ operation: "iter" });
    const end = this.#metrics.duration.startTimer({ operation: "iter" });
    try {
      yield* this.#bucket.iterate(prefix, options);
      end();
    } catch (error) {
      this.#metrics.failures.inc({ operation: "iter" });
      throw error;
    }
  }

  get(name: string): Promise<Uint8Array> {
    return this.#measure("get", () => this.#bucket.get(name));
  }

  getRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#measure("get_range", () => this.#bucket.getRange(name, offset, length));
  }

  exists(name: string): Promise<boolean> {
    return this.#measure("exists", () => this.#bucket.exists(name));
  }

  attributes(name: string): Promise<ObjectAttributes> {
    return this.#measure("attributes", () => this.#bucket.attributes(name));
  }

  async put(name: string, content: ObjectContent): Promise<void> {
    await this.#measure("upload", () => this.#bucket.put(name, content));
    this.#metrics.lastUpload.setToCurrentTime();
  }

  async putIfAbsent(name: string, content: Uint8Array): Promise<boolean> {
    const won = await this.#measure("upload", () => this.#bucket.putIfAbsent(name, content));
    if (won) this.#metrics.lastUpload.setToCurrentTime();
    return won;
  }

  delete(name: string): Promise<void> {
    return this.#measure("delete", () => this.#bucket.delete(name));
  }
}
