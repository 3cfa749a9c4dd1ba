/** What the tenants' local blocks come to, and what upload and retention do with them, by Prometheus's and Thanos's names. */
import { Counter, Gauge, type Registry } from "#libs/kit/prometheus.ts";
import type { Maybe } from "#libs/kit/maybe.ts";
import type { ReceiverConfig } from "./config.ts";
import type { TenantStore } from "./tenant-store.ts";

export interface StorageMetrics {
  readonly uploads: Counter<"tenant">;
  readonly uploadFailures: Counter<"tenant">;
  readonly merges: Counter<"tenant">;
  readonly mergeFailures: Counter<"tenant">;
  readonly retentions: Readonly<Record<"time" | "size", Counter<"tenant">>>;
}

interface Stores {
  readonly all: Maybe<readonly TenantStore[]>;
  readonly waitingBytes: (tenant: string) => number;
}

/** Registers the metrics. @returns those that are counted elsewhere. */
export function storageMetrics(config: ReceiverConfig, stores: Stores, registry: Registry): StorageMetrics {
  const registers = [registry];
  const perTenant = (name: string, help: string, of: (store: TenantStore) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ["tenant"],
      registers,
      async collect() {
        for (const store of await stores.all) this.set({ tenant: store.tenant }, of(store));
      },
    });
  };
  perTenant("prometheus_tsdb_blocks_loaded", "Local blocks.", ({ blocks }) => blocks.length);
  perTenant(
    "prometheus_tsdb_storage_blocks_bytes",
    "Bytes of local blocks. Worry when it nears --tsdb.max-retention-bytes or the disk's size.",
    ({ blocks }) => blocks.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0),
  );
  perTenant(
    "prometheus_tsdb_retention_limit_bytes",
    "What --tsdb.max-retention-bytes is; 0 is no limit.",
    () => config.retentionBytesMax,
  );
  perTenant(
    "prometheus_tsdb_retention_limit_seconds",
    "What --tsdb.retention is; 0 is no limit.",
    () => config.retentionMs / 1000,
  );
  perTenant(
    "cairn_receive_retention_waiting_bytes",
    "Bytes of local blocks past the retention that stay because they are not in the bucket. Worry when it is not 0 for long: the disk fills.",
    ({ tenant }) => stores.waitingBytes(tenant),
  );
  const counter = (name: string, help: string): Counter<"tenant"> =>
    new Counter({ name, help, labelNames: ["tenant"], registers });
  return {
    uploads: counter("thanos_shipper_uploads_total", "Blocks uploaded."),
    uploadFailures: counter(
      "thanos_shipper_upload_failures_total",
      "Uploads that failed and are tried again. Worry when it keeps growing: blocks stay on the local disk.",
    ),
    merges: counter("prometheus_tsdb_compactions_total", "Merges of local blocks."),
    mergeFailures: counter(
      "prometheus_tsdb_compactions_failed_total",
      "Merges of local blocks that failed. Worry when it grows: the log names a corrupt block or a full disk.",
    ),
    retentions: {
      time: counter("prometheus_tsdb_time_retentions_total", "Times that blocks were deleted for --tsdb.retention."),
      size: counter(
        "prometheus_tsdb_size_retentions_total",
        "Times that blocks were deleted for --tsdb.max-retention-bytes.",
      ),
    },
  };
}
