/**
 * `cairn all`: every component in one process, on one folder.
 *
 *   main thread    the querier with its sockets, the store gateway whose blocks it reads, gRPC, probes, metrics
 *   ingest thread  the receiver with its sockets: heads and log of all tenants, block cutting and upload; on one or two
 *                  cores the main thread too (decisions/0016)
 *
 *   <data-dir>/receive/<tenant>/   heads and fresh blocks      <data-dir>/bucket/   the bucket, unless one is given
 *   <data-dir>/store/              index headers               <data-dir>/endpoints.json
 */
import { rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import type { Env } from "#libs/kit/env.ts";
import { serveGrpc } from "#libs/kit/grpc-port.ts";
import { startHost } from "#libs/kit/host.ts";
import type { LogConfig } from "#libs/kit/log.ts";
import {
  boolean,
  choice,
  choices,
  type ConfigOf,
  describeConfig,
  formatAddress,
  type OptionTable,
  withDefaults,
} from "#libs/kit/options.ts";
import { readBucketConfig } from "#libs/objstore/bucket.ts";
import { storeGrpcService } from "#libs/storeapi/grpc-server.ts";
import { QUERIER_FEATURES, querierOptions } from "#services/querier/config.ts";
import { openQueryHttp, querierComponent } from "#services/querier/main.ts";
import { FEATURE_HELP, receiverOptions, ST_STORAGE } from "#services/receiver/config.ts";
import { scanThreads } from "#services/querier/scan-threads.ts";
import { addAdminRoutes } from "#services/receiver/http.ts";
import { ingestThread, lockDataFolder, writeAddress } from "#services/receiver/main.ts";
import { startSelfMonitor } from "#services/receiver/self-monitor.ts";
import { storeGatewayOptions } from "#services/store-gateway/config.ts";
import { gatewayComponent } from "#services/store-gateway/main.ts";

const { tsdbPath: _tsdbPath, ...receiverFlags } = receiverOptions;

/** One process listens on loopback by default, keeps tenants apart, and finds new blocks quickly. */
export const allOptions = {
  ...withDefaults(storeGatewayOptions, { syncIntervalMs: "1m" }),
  ...withDefaults(receiverFlags, { remoteWriteAddress: "127.0.0.1:19291" }),
  ...withDefaults(querierOptions, {
    httpAddress: "127.0.0.1:10902",
    grpcAddress: "127.0.0.1:10901",
    enforceTenancy: "true",
    partialResponse: "false",
  }),
  enableFeature: choices(
    "enable-feature",
    [...QUERIER_FEATURES, ST_STORAGE],
    `Experimental, by Prometheus's names: PromQL, and ${FEATURE_HELP}`,
  ),
  ingestThread: choice(
    "receive.ingest-thread",
    "auto",
    ["auto", "own", "main"],
    "Where writes are taken and the heads are: on a thread of its own, so that writes and queries use a core each, or on the main thread, which takes 40 MB less and a third less CPU for a small query. auto: on its own with more than two cores.",
  ),
  selfMonitor: boolean("self-monitor", true, 'Stores the process\'s own metrics, as job="cairn".'),
} satisfies OptionTable;

export type AllConfig = ConfigOf<typeof allOptions>;

export async function startAll(
  config: AllConfig,
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<void> {
  const dataDir = resolve(config.dataDir);
  const receiver = { ...config, tsdbPath: join(dataDir, "receive") };
  for (const folder of [dataDir, receiver.tsdbPath]) lockDataFolder(folder, config, env);
  const endpointsFile = join(dataDir, "endpoints.json");
  rmSync(endpointsFile, { force: true });
  const bucket = readBucketConfig(config.objstoreConfig, config.objstoreConfigFile) ?? {
    type: "FILESYSTEM",
    config: { directory: join(dataDir, "bucket") },
    prefix: "",
  };
  const evaluate = {
    querier: config,
    localStores: ["receiver", "gateway"],
    flags: describeConfig(allOptions, config),
    startedAtMs: env.now(),
    retentionMs: config.retentionMs,
  };
  let trouble = async (): Promise<string[]> => [];
  const scanners = scanThreads(config.scanThreads);
  // At once: while the heads are opened, the port is.
  const [host, http] = await Promise.all([
    startHost(
      [
        ingestThread(receiver, bucket, isIngestMain(config)),
        ...scanners,
        {
          name: "query",
          isMain: true,
          components: [
            gatewayComponent({ ...config, dataDir: join(dataDir, "store") }, bucket),
            querierComponent(evaluate, scanners),
          ],
        },
      ],
      log,
      env,
      onDeath,
    ),
    openQueryHttp(
      config,
      env,
      () => trouble(),
      (app, peer) =>
        addAdminRoutes(app, peer("receiver"), config, () => peer("querier").call("localBlocksChanged", undefined)),
    ),
  ]);
  trouble = () => host.peer("receiver").call("trouble", undefined);
  http.attach(host);
  const grpc = await serveGrpc(config.grpcAddress, [storeGrpcService(host.peer("querier"))], env);
  const endpoints = {
    http: formatAddress(http.address),
    grpc: formatAddress(grpc),
    remoteWrite: formatAddress(await writeAddress(host)),
  };
  if (config.selfMonitor) await startSelfMonitor(host, config.defaultTenant, endpoints.http, env);
  writeFileSync(endpointsFile, `${JSON.stringify(endpoints)}\n`);
  env.defer("endpoints file", () => rmSync(endpointsFile, { force: true }));
  env.log.info({ ...endpoints, dataDir }, "ready");
  process.stdout.write(welcome(endpoints));
}

function isIngestMain({ ingestThread: thread }: Pick<AllConfig, "ingestThread">): boolean {
  return thread === "auto" ? availableParallelism() <= 2 : thread === "main";
}

function welcome({ http, remoteWrite }: { readonly http: string; readonly remoteWrite: string }): string {
  return `
Cairn is ready.

  open                  http://${http}/
  Grafana data source   Prometheus, URL http://${http}
  prometheus.yml        remote_write:
                          - url: http://${remoteWrite}/api/v1/receive

`;
}
