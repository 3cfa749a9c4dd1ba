/**
 * receive: takes remote write into per-tenant heads, cuts blocks of two hours and uploads them.
 *
 *   HTTP ──▶ heads, log (ingest thread) ──▶ blocks ──▶ bucket
 */
import { resolve } from "node:path";
import type { Env } from "#libs/kit/env.ts";
import { addFormParser, createHttpServer } from "#libs/kit/admin-server.ts";
import { serveGrpc } from "#libs/kit/grpc-port.ts";
import { type Host, peerOf, startHost, type ThreadSpec } from "#libs/kit/host.ts";
import type { LogConfig } from "#libs/kit/log.ts";
import { renderMetrics } from "#libs/kit/metrics.ts";
import { type Address, address, type ConfigOf, formatAddress, type OptionTable } from "#libs/kit/options.ts";
import { readBucketConfig, type BucketConfig } from "#libs/objstore/bucket.ts";
import { storeGrpcService } from "#libs/storeapi/grpc-server.ts";
import { ensureFolder } from "#libs/tsdb/files.ts";
import { lockFolder } from "#libs/tsdb/lock-folder.ts";
import { type ReceiverConfig, receiverOptions } from "./config.ts";
import { addAdminRoutes } from "./http.ts";
import type { IngestConfig } from "./ingest.ts";

export const receiveOptions = {
  ...receiverOptions,
  httpAddress: address("http-address", "0.0.0.0:10902", "Probes, metrics and the admin API."),
  grpcAddress: address("grpc-address", "0.0.0.0:10901", "Store API."),
} satisfies OptionTable;

/** The thread that owns the heads: the main one where `isMain` says so. */
export function ingestThread(receiver: ReceiverConfig, bucket: BucketConfig | undefined, isMain = false): ThreadSpec {
  const config: IngestConfig = { receiver, bucket };
  return {
    name: "ingest",
    isMain,
    components: [{ name: "receiver", module: new URL("./ingest.ts", import.meta.url), config }],
  };
}

/** Locks the folder of a whole process until its end. @throws UnavailableError when another process uses it. */
export function lockDataFolder(folder: string, { noLockfile }: Pick<ReceiverConfig, "noLockfile">, env: Env): void {
  if (noLockfile) return;
  ensureFolder(folder);
  env.defer("lock of the data folder", lockFolder(folder));
}

/** Where writes are taken. */
export function writeAddress(host: Host): Promise<Address> {
  return host.peer("receiver").call("writeAddress", undefined);
}

export async function startReceive(
  config: ConfigOf<typeof receiveOptions>,
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<void> {
  const bucket = readBucketConfig(config.objstoreConfig, config.objstoreConfigFile);
  lockDataFolder(resolve(config.tsdbPath), config, env);
  let host: Host | undefined;
  const [started, http] = await Promise.all([
    startHost([ingestThread(config, bucket)], log, env, onDeath).then((up) => (host = up)),
    openAdminHttp(config, () => host, env),
  ]);
  const grpc = await serveGrpc(config.grpcAddress, [storeGrpcService(started.peer("receiver"))], env);
  const remoteWrite = formatAddress(await writeAddress(started));
  env.log.info({ http: formatAddress(http), grpc: formatAddress(grpc), remoteWrite }, "receive is ready");
}

/** Probes, metrics and the admin API, from before the heads are open on. */
async function openAdminHttp(
  config: ConfigOf<typeof receiveOptions>,
  host: () => Host | undefined,
  env: Env,
): Promise<Address> {
  const ready = async (): Promise<string[]> =>
    host()?.peer("receiver").call("trouble", undefined) ?? ["heads: being opened"];
  const metrics = (): Promise<string> => renderMetrics(env.metrics, host());
  const { app, listen } = await createHttpServer(env, { metrics, profiling: false }, ready, 1 << 20);
  addFormParser(app);
  addAdminRoutes(app, peerOf(host, "receiver"), config);
  return listen(config.httpAddress);
}
