/**
 * The receiver on its own thread: takes writes, owns the heads of all tenants, cuts and uploads blocks, and answers as
 * a Store.
 */
import { Counter, Gauge } from "#libs/kit/prometheus.ts";
import { every } from "#libs/kit/every.ts";
import { createHttpServer } from "#libs/kit/admin-server.ts";
import { type ComponentContext, HOST, type StartComponent } from "#libs/kit/host.ts";
import { whenThere } from "#libs/kit/maybe.ts";
import type { Handlers } from "#libs/kit/rpc.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import type { ApiRequest } from "#libs/promapi/response.ts";
import { openBucket, type BucketConfig } from "#libs/objstore/bucket.ts";
import type { MetadataAnswer } from "#libs/storeapi/block-extras.ts";
import { ProxyStore } from "#libs/storeapi/proxy.ts";
import { storeHandlers } from "#libs/storeapi/port.ts";
import { storeBytesHandlers } from "#libs/storeapi/grpc-server.ts";
import { type ReceiverConfig, ST_STORAGE } from "./config.ts";
import { addWriteRoutes } from "./http.ts";
import { Tenants } from "./tenants.ts";
import { applyWrite, decompress, type WriteVersion } from "./write-request.ts";

const MAINTENANCE_MS = 5000;
/** Segments are checked for a cut after so many samples, so that a fast backfill does not outgrow the head. */
const CUT_CHECK_SAMPLES = 500_000;

export interface IngestConfig {
  readonly receiver: ReceiverConfig;
  readonly bucket: BucketConfig | undefined;
}

export interface WriteCall {
  readonly tenant: string;
  readonly version: WriteVersion;
  readonly encoding: string;
  readonly body: Uint8Array;
}

export interface WriteAnswer {
  readonly status: number;
  readonly text: string;
  readonly written: Written;
}

/** Exemplars of the series that one of the selectors selects. */
export interface ExemplarsCall {
  readonly tenant: string;
  readonly selectors: readonly (readonly MatcherSpec[])[];
  /** Milliseconds, both inclusive. */
  readonly mint: number;
  readonly maxt: number;
}

/** What of a request is stored: the counts that 2.0 answers. */
export interface Written {
  readonly samples: number;
  readonly histograms: number;
  readonly exemplars: number;
}

export const start: StartComponent<IngestConfig> = async ({ receiver, bucket: bucketConfig }, context) => {
  const { env } = context;
  const bucket = bucketConfig === undefined ? undefined : openBucket(bucketConfig, env);
  const tenants = new Tenants(receiver, bucket, env);
  await tenants.openExisting();
  env.defer("heads", () => tenants.close());
  const metrics = createMetrics(context, tenants);

  let sinceCheck = 0;
  let maintaining: Promise<void> | undefined;
  const maintain = (): Promise<void> => {
    maintaining ??= tenants.maintain().finally(() => (maintaining = undefined));
    return maintaining;
  };
  await every(
    MAINTENANCE_MS,
    "head maintenance",
    () => maintain().catch((err: unknown) => env.log.error({ err }, "head maintenance failed; it is tried again")),
    env,
  );
  env.defer("head maintenance under way", () => maintaining?.catch(() => undefined)); // logged where it was started
  syncInBackground(receiver.walFsyncIntervalMs, tenants, context);

  const limits = {
    requestBytesMax: receiver.requestBytesMax,
    labelsMax: receiver.labelsMax,
    nameBytesMax: receiver.labelNameBytesMax,
    valueBytesMax: receiver.labelValueBytesMax,
    withStarts: receiver.enableFeature.includes(ST_STORAGE),
  };

  const write = async ({ tenant, version, encoding, body }: WriteCall): Promise<WriteAnswer> => {
    const store = await tenants.get(tenant);
    const compressed = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const message = decompress(compressed, encoding, receiver.requestBytesMax);
    const latestTime = receiver.tooFarInFutureMs === 0 ? Infinity : env.now() + receiver.tooFarInFutureMs;
    const outcome = applyWrite(store.head, message, version, { ...limits, latestTime });
    if (receiver.walFsyncIntervalMs === 0) await store.head.durable();
    const { samplesStored, histogramsStored, exemplarsStored } = outcome;
    const stored = samplesStored + histogramsStored;
    metrics.samples.inc({ tenant }, stored);
    for (const [reason, count] of outcome.refused) metrics.refused.inc({ tenant, reason }, count);
    if (outcome.exemplarsStored > 0) metrics.exemplars.inc({ tenant }, outcome.exemplarsStored);
    sinceCheck += stored;
    if (sinceCheck >= CUT_CHECK_SAMPLES) {
      sinceCheck = 0;
      if (store.head.isCuttable)
        void maintain().catch((err: unknown) => env.log.error({ err }, "head maintenance failed; it is tried again"));
    }
    const written = { samples: samplesStored, histograms: histogramsStored, exemplars: exemplarsStored };
    if (outcome.errors.length === 0) return { status: 204, text: "", written };
    return { status: outcome.isLimit ? 429 : 400, text: errorText(version, outcome.errors, stored), written };
  };

  const proxy = new ProxyStore("receiver", "receive", () =>
    whenThere(tenants.all, (stores) => stores.map((store) => ({ store, info: store.about }))),
  );
  const trouble = async (): Promise<string[]> => {
    const reasons: string[] = [];
    for (const store of await tenants.all) {
      const reason = store.head.trouble();
      if (reason !== undefined) reasons.push(`${store.name}: ${reason}`);
    }
    return reasons;
  };
  const server = await createHttpServer(
    env,
    { metrics: () => context.peer(HOST).call("metrics", undefined), profiling: false },
    trouble,
    receiver.requestBytesMax,
  );
  addWriteRoutes(server.app, write, receiver);
  const address = await server.listen(receiver.remoteWriteAddress);
  return {
    ...storeHandlers(proxy),
    ...storeBytesHandlers(proxy),
    write,
    trouble,
    writeAddress: async () => address,
    metadata: async (tenant: string): Promise<MetadataAnswer> =>
      (await tenants.find(tenant))?.metadata() ?? { values: new Map(), warnings: [] },
    exemplars: async ({ tenant, selectors, mint, maxt }: ExemplarsCall, signal) => {
      const store = await tenants.find(tenant);
      const answer = await store?.exemplars(selectors, { mint, maxt, countMax: receiver.exemplarsPerRequest }, signal);
      const warnings = receiver.exemplarsMax === 0 ? ["exemplars are not kept here: --tsdb.max-exemplars is 0"] : [];
      return { values: answer?.values ?? [], warnings: [...warnings, ...(answer?.warnings ?? [])] };
    },
    admin: async (request: ApiRequest) => {
      // Loaded on demand: it brings a parser that nothing else here needs.
      const { answerAdmin } = await import("./admin.ts");
      return answerAdmin(request, receiver.enableAdminApi, tenants, env);
    },
    headStats: async (tenant: string) => {
      const store = await tenants.find(tenant);
      return store?.head.stats;
    },
  } satisfies Handlers;
};

function errorText(version: WriteVersion, errors: readonly string[], stored: number): string {
  if (version === 2) return `${errors.join("\n")}\n`;
  return `${errors[0]!}${stored > 0 ? ` (${errors.length} or more samples refused; the other ${stored} of this request are stored)` : ""}\n`;
}

/** With an fsync interval, heads are synced behind the acknowledgements. */
function syncInBackground(intervalMs: number, tenants: Tenants, { env }: ComponentContext): void {
  if (intervalMs === 0) return;
  const timer = setInterval(() => {
    void (async () => {
      for (const store of await tenants.all) await store.head.durable();
    })().catch((err: unknown) => env.log.error({ err }, "log sync failed"));
  }, intervalMs);
  env.defer("log sync", () => clearInterval(timer));
}

interface Metrics {
  readonly samples: Counter<"tenant">;
  readonly refused: Counter<"tenant" | "reason">;
  readonly exemplars: Counter<"tenant">;
}

function createMetrics({ env }: ComponentContext, tenants: Tenants): Metrics {
  const registers = [env.metrics];
  new Gauge({
    name: "cairn_head_series",
    help: "Series in memory. Worry when it nears --receive.series-limit: new series are then refused.",
    labelNames: ["tenant"],
    registers,
    async collect() {
      for (const store of await tenants.all) this.set({ tenant: store.tenant }, store.head.seriesCount);
    },
  });
  new Gauge({
    name: "cairn_head_arena_bytes",
    help: "Memory of heads in typed arenas, outside the JavaScript heap.",
    labelNames: ["tenant"],
    registers,
    async collect() {
      for (const store of await tenants.all) this.set({ tenant: store.tenant }, store.head.bytes);
    },
  });
  new Gauge({
    name: "cairn_wal_written_bytes",
    help: "Bytes handed to the log since the start.",
    labelNames: ["tenant"],
    registers,
    async collect() {
      for (const store of await tenants.all) this.set({ tenant: store.tenant }, store.head.wal.bytesTotal);
    },
  });
  new Gauge({
    name: "cairn_wal_syncs",
    help: "fsyncs of the log since the start; writes that wait together share one.",
    labelNames: ["tenant"],
    registers,
    async collect() {
      for (const store of await tenants.all) this.set({ tenant: store.tenant }, store.head.wal.syncsTotal);
    },
  });
  return {
    samples: new Counter({
      name: "cairn_receive_samples_total",
      help: "Samples stored.",
      labelNames: ["tenant"],
      registers,
    }),
    refused: new Counter({
      name: "cairn_receive_refused_samples_total",
      help: "Samples refused, by reason. Worry about any that keeps growing: the sender drops them.",
      labelNames: ["tenant", "reason"] as const,
      registers,
    }),
    exemplars: new Counter({
      name: "cairn_receive_exemplars_total",
      help: "Exemplars accepted; they are kept when --tsdb.max-exemplars is not 0.",
      labelNames: ["tenant"],
      registers,
    }),
  };
}
