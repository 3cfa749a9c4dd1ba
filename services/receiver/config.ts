import { EXEMPLARS_PER_REQUEST } from "#libs/storeapi/limits.ts";
import {
  address,
  boolean,
  choices,
  type ConfigOf,
  duration,
  integer,
  labels,
  type OptionTable,
  size,
  string,
} from "#libs/kit/options.ts";

export const ST_STORAGE = "st-storage";

/** What `--enable-feature` knows of the receiver, for its help. */
export const FEATURE_HELP = `${ST_STORAGE} keeps the start timestamps of remote write 2.0: what has them is in chunks that Thanos and Prometheus before 3.14 cannot read.`;

/** Flags of `receive`, Thanos's names where it has one. */
export const receiverOptions = {
  remoteWriteAddress: address(
    "remote-write.address",
    "0.0.0.0:19291",
    "Where remote write is taken: /api/v1/receive, /api/v1/push, /api/v1/write.",
  ),
  tsdbPath: string("tsdb.path", "./data", "Folder of the tenants' heads and blocks. `all` puts it below --data-dir."),
  noLockfile: boolean(
    "tsdb.no-lockfile",
    false,
    "Takes no lock of data folders: two processes on one folder destroy each other's data.",
  ),
  enableAdminApi: boolean(
    "web.enable-admin-api",
    false,
    "Serves /api/v1/admin/tsdb/delete_series, clean_tombstones and snapshot on --http-address. Who reaches it can delete a tenant's local data.",
  ),
  retentionMs: duration(
    "tsdb.retention",
    "15d",
    "How long blocks stay on the local disk, counted back from the end of a tenant's newest. 0d keeps them. With a bucket they stay until they are uploaded.",
  ),
  retentionBytesMax: size(
    "tsdb.max-retention-bytes",
    "0",
    "Most bytes a tenant's log and blocks may take on the local disk: the oldest blocks go, with a bucket once they are uploaded. 0 is no limit.",
  ),
  maxBlockMs: duration(
    "tsdb.max-block-duration",
    "0s",
    "Longest range of local blocks: those of 2h are merged up to it, with a bucket once they are there, which keeps them as they are. 0s is a tenth of --tsdb.retention, 31d at most; with 2h only blocks that overlap are merged.",
  ),
  tooFarInFutureMs: duration(
    "tsdb.too-far-in-future.time-window",
    "10m",
    "Samples further ahead of the clock are refused. 0s takes any.",
  ),
  outOfOrderMs: duration(
    "tsdb.out-of-order.time-window",
    "0s",
    "How far behind the newest sample late ones are taken. 0s: none, they are refused as out of order.",
  ),
  exemplarsMax: integer(
    "tsdb.max-exemplars",
    0,
    "Most exemplars a tenant may have in memory, the newest. Blocks keep those that are there when they are cut. 0 keeps none.",
  ),
  exemplarsPerRequest: EXEMPLARS_PER_REQUEST,
  enableFeature: choices("enable-feature", [ST_STORAGE], `Experimental, by Prometheus's names. ${FEATURE_HELP}`),
  walFsyncIntervalMs: duration(
    "wal.fsync-interval",
    "0s",
    "0s: a write is acknowledged after its log bytes are on the disk (fsync, shared by all writes that wait). Longer: after the kernel has them, with an fsync this often; a crash of the machine can then lose that much, a crash of the process nothing.",
  ),
  requestBytesMax: size(
    "receive.request-size-limit",
    "32MB",
    "Largest body of a write, compressed and again decompressed; refused before it is decompressed.",
  ),
  seriesMax: integer(
    "receive.series-limit",
    5_000_000,
    "Most series a tenant may have in memory; new ones above it are refused.",
  ),
  tenantsMax: integer("receive.tenants-limit", 1000, "Most tenants that may write; a new one above it is refused."),
  labelsMax: integer("receive.label-count-limit", 200, "Most labels a series may have."),
  labelNameBytesMax: size("receive.label-name-length-limit", "1KB", "Longest label name."),
  labelValueBytesMax: size("receive.label-value-length-limit", "64KB", "Longest label value."),
  tenantHeader: string(
    "receive.tenant-header",
    "THANOS-TENANT",
    "Header that names the tenant; X-Scope-OrgID, the basic-auth user and the bearer token are tried after it.",
  ),
  defaultTenant: string("receive.default-tenant-id", "default-tenant", "Tenant of writes that name none."),
  tenantLabel: string("receive.tenant-label-name", "tenant_id", "External label that carries the tenant."),
  labels: labels("label", "", 'External labels of all data, name="value"; repeatable.'),
  uploadCompacted: boolean("shipper.upload-compacted", false, "Uploads local blocks of higher compaction levels too."),
  objstoreConfig: string(
    "objstore.config",
    "",
    "Bucket to upload blocks to, as Thanos's YAML. `all` has a folder below --data-dir by default.",
    { secret: true },
  ),
  objstoreConfigFile: string("objstore.config-file", "", "File with that YAML."),
} satisfies OptionTable;

export type ReceiverConfig = ConfigOf<typeof receiverOptions>;
