import {
  address,
  boolean,
  choices,
  type ConfigOf,
  duration,
  integer,
  list,
  size,
  type OptionTable,
  string,
} from "#libs/kit/options.ts";
import { FEATURE_NAMES } from "#libs/promql/features.ts";

/** What `--enable-feature` knows of the querier. */
export const QUERIER_FEATURES: readonly string[] = FEATURE_NAMES;

/** Flags of `query`, Thanos's names. */
export const querierOptions = {
  httpAddress: address("http-address", "0.0.0.0:10902", "Query API, page, probes and metrics."),
  grpcAddress: address("grpc-address", "0.0.0.0:10901", "Store API over all stores."),
  endpoints: list("endpoint", "Store to query, host:port over gRPC: ours or Thanos's; repeatable."),
  replicaLabels: list(
    "query.replica-label",
    "Label that tells replicas of one series apart; removed from results, the replicas become one series. Repeatable.",
  ),
  lookbackMs: duration("query.lookback-delta", "5m", "How old a sample may be and still be a series' current value."),
  timeoutMs: duration("query.timeout", "2m", "Longest time a query may take."),
  maxConcurrent: integer("query.max-concurrent", 20, "Queries evaluated at once; ten times as many more wait."),
  scanThreads: integer(
    "query.scan-threads",
    0,
    "Threads that decode and scan beside the one that evaluates; 0 takes one less than there are cores, four at most.",
  ),
  maxSamples: integer("query.max-samples", 50_000_000, "Most samples one query may hold in memory."),
  maxMemoryBytes: size("query.max-memory", "1GB", "Most memory one query may hold results and samples in."),
  slowQueryMs: duration("query.slow-log-threshold", "10s", "Queries that take longer are logged. 0s logs none."),
  defaultStepMs: duration("query.default-evaluation-interval", "1m", "Step of subqueries that name none."),
  enableFeature: choices("enable-feature", QUERIER_FEATURES, "Experimental PromQL, by Prometheus's names."),
  partialResponse: boolean(
    "query.partial-response",
    true,
    "When a store does not answer, results carry a warning; with --no-query.partial-response the query fails.",
  ),
  tenantHeader: string(
    "query.tenant-header",
    "THANOS-TENANT",
    "Header that names the tenant; X-Scope-OrgID, the basic-auth user and the bearer token are tried after it.",
  ),
  defaultTenant: string("query.default-tenant-id", "default-tenant", "Tenant of requests that name none."),
  enforceTenancy: boolean(
    "query.enforce-tenancy",
    false,
    "A request sees its tenant's data only, without the tenant label.",
  ),
  tenantLabel: string("query.tenant-label-name", "tenant_id", "Label that carries the tenant."),
  corsOrigin: string("web.cors.origin", "*", "Access-Control-Allow-Origin of query answers; empty for none."),
  profiling: boolean("debug.profiles", false, "Serves CPU profiles and heap snapshots under /debug/pprof/."),
} satisfies OptionTable;

export type QuerierConfig = ConfigOf<typeof querierOptions>;
