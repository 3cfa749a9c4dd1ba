/** The querier's working half: knows the stores, evaluates queries, answers the HTTP API. */
import { Counter, Gauge, Histogram, type Registry } from "#libs/kit/prometheus.ts";
import type { StartComponent } from "#libs/kit/host.ts";
import { formatDuration } from "#libs/kit/duration.ts";
import { messageOf } from "#libs/kit/errors.ts";
import { every } from "#libs/kit/every.ts";
import { Gate } from "#libs/kit/gate.ts";
import type { Handlers } from "#libs/kit/rpc.ts";
import { PrometheusApi } from "#libs/promapi/api.ts";
import { type ApiRequest, errorResponse } from "#libs/promapi/response.ts";
import { Engine } from "#libs/promql/engine.ts";
import { engineFeatures } from "#libs/promql/features.ts";
import { storeBytesHandlers } from "#libs/storeapi/grpc-server.ts";
import { storeOf } from "#libs/storeapi/port.ts";
import { type KnownStore, ProxyStore } from "#libs/storeapi/proxy.ts";
import type { Store, StoreInfo } from "#libs/storeapi/store.ts";
import type { QuerierConfig } from "./config.ts";
import { ThreadScanPool } from "./scan-threads.ts";
import { type ExemplarsOf, type MetadataOf, NO_METADATA, StoreSource } from "./source.ts";

export interface EvaluateConfig {
  readonly querier: QuerierConfig;
  /** Components of this process that are stores. */
  readonly localStores: readonly string[];
  /** Components that scan for this one. */
  readonly scanners: readonly string[];
  readonly flags: Readonly<Record<string, string>>;
  readonly startedAtMs: number;
  readonly retentionMs: number;
}

const INFO_INTERVAL_MS = 5000;

export const start: StartComponent<EvaluateConfig> = async (config, context) => {
  const { env } = context;
  const { querier } = config;
  const locals = config.localStores.map((name) => storeOf(name, context.peer(name)));
  // Loaded only where stores are remote: grpc-js costs 12 MB in a thread.
  const remotes: Store[] =
    querier.endpoints.length === 0
      ? []
      : await import("#libs/storeapi/grpc-client.ts").then(({ grpcStore }) =>
          querier.endpoints.map((address) => grpcStore(address, env)),
        );
  const infos = new Map<Store, StoreInfo | undefined>();
  const refresh = async (stale: readonly Store[]): Promise<void> => {
    await Promise.all(
      stale.map(async (store) => {
        try {
          infos.set(store, await store.info(env.stopping));
        } catch (error) {
          if (infos.get(store) !== undefined || !infos.has(store))
            env.log.warn({ store: store.name, reason: messageOf(error) }, "store does not answer");
          infos.set(store, undefined);
        }
      }),
    );
  };
  await every(INFO_INTERVAL_MS, "store info", () => refresh([...locals, ...remotes]), env);
  // What is written to is asked each time: what was just written must be found. To ask it for its info before that would
  // cost as much as a small query. The gateway's blocks are some seconds old when it has them: to those of its last info
  // it is asked, so that a query of what is new goes to one store alone.
  const stores = (): KnownStore[] => [
    ...locals.map((store) => ({ store, info: infos.get(store), always: store.name !== "gateway" })),
    ...remotes.map((store) => ({ store, info: infos.get(store) })),
  ];
  const proxy = new ProxyStore("querier", "query", stores);
  const metadata: MetadataOf = config.localStores.includes("receiver")
    ? (tenant) => context.peer("receiver").call("metadata", tenant)
    : NO_METADATA;
  const exemplars: ExemplarsOf = async (query, tenant, signal) => {
    const missing = remotes.map(({ name }) => `${name}: exemplars of remote stores are not asked for; ask it directly`);
    const call = { ...query, tenant, tenantLabel: querier.tenantLabel };
    const answers = await Promise.all(
      config.localStores.map((name) =>
        context.peer(name).call<Awaited<ReturnType<ExemplarsOf>>>("exemplars", call, signal),
      ),
    );
    return {
      values: answers.flatMap(({ values }) => values),
      warnings: [...answers.flatMap(({ warnings }) => warnings), ...missing],
    };
  };
  const source = new StoreSource(proxy, querier, metadata, exemplars);
  const gate = new Gate(
    `--query.max-concurrent is ${querier.maxConcurrent}`,
    querier.maxConcurrent,
    10 * querier.maxConcurrent,
  );
  const metrics = createMetrics(context.env.metrics, gate);
  const features = engineFeatures(querier.enableFeature);
  const api = new PrometheusApi({
    parser: features.parser,
    engine: new Engine({
      lookbackMs: querier.lookbackMs,
      timeoutMs: querier.timeoutMs,
      samplesMax: querier.maxSamples,
      memoryBytesMax: querier.maxMemoryBytes,
      defaultStepMs: querier.defaultStepMs,
      ...features,
      scanPool: config.scanners.length === 0 ? undefined : new ThreadScanPool(config.scanners.map(context.peer)),
    }),
    source,
    now: () => env.now(),
    flags: config.flags,
    startedAtMs: config.startedAtMs,
    retentionText: formatDuration(config.retentionMs),
    onQuery: (entry) => {
      metrics.samples.inc(entry.samples ?? 0);
      if (querier.slowQueryMs > 0 && entry.tookMs > querier.slowQueryMs)
        env.log.warn({ ...entry, tookMs: Math.round(entry.tookMs) }, "slow query");
    },
  });
  return {
    ...storeBytesHandlers(proxy),
    async http(request: ApiRequest, signal) {
      const startedAt = performance.now();
      const response = await gate.run(() => api.handle(request, signal), signal).catch(errorResponse);
      const handler = request.path.startsWith("label/") ? "label_values" : request.path.slice(0, 40);
      metrics.duration.observe({ handler }, (performance.now() - startedAt) / 1000);
      metrics.responses.inc({ code: String(response.status) });
      return response;
    },
    /** Looks at once which blocks the stores of this process have: what is deleted from them is not to be found elsewhere. */
    localBlocksChanged: () => refresh(locals),
    missingStores: async () => remotes.filter((store) => infos.get(store) === undefined).map(({ name }) => name),
  } satisfies Handlers;
};

function createMetrics(
  registry: Registry,
  gate: Gate,
): { samples: Counter; duration: Histogram<"handler">; responses: Counter<"code"> } {
  const registers = [registry];
  new Gauge({
    name: "cairn_query_running",
    help: "Queries being evaluated. Worry when it stays at --query.max-concurrent: others wait.",
    registers,
    collect() {
      this.set(gate.running);
    },
  });
  return {
    samples: new Counter({ name: "cairn_query_samples_total", help: "Samples loaded by queries.", registers }),
    duration: new Histogram({
      name: "cairn_query_duration_seconds",
      help: "How long API requests took, waiting included. Worry when dashboards feel it: seconds.",
      labelNames: ["handler"] as const,
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120],
      registers,
    }),
    responses: new Counter({
      name: "cairn_query_responses_total",
      help: "API answers by status code. Worry about 5xx.",
      labelNames: ["code"] as const,
      registers,
    }),
  };
}
