/** store: serves the blocks of a bucket over gRPC. */
import type { Env } from "#libs/kit/env.ts";
import { createHttpServer } from "#libs/kit/admin-server.ts";
import { BadRequestError } from "#libs/kit/errors.ts";
import { serveGrpc } from "#libs/kit/grpc-port.ts";
import { type ComponentSpec, type Host, startHost } from "#libs/kit/host.ts";
import type { LogConfig } from "#libs/kit/log.ts";
import { renderMetrics } from "#libs/kit/metrics.ts";
import { address, type ConfigOf, formatAddress, type OptionTable } from "#libs/kit/options.ts";
import { type BucketConfig, readBucketConfig } from "#libs/objstore/bucket.ts";
import { storeGrpcService } from "#libs/storeapi/grpc-server.ts";
import { type StoreGatewayConfig, storeGatewayOptions } from "./config.ts";
import type { GatewayConfig } from "./gateway.ts";

export const storeOptions = {
  ...storeGatewayOptions,
  httpAddress: address("http-address", "0.0.0.0:10902", "Probes and metrics."),
  grpcAddress: address("grpc-address", "0.0.0.0:10901", "Store API."),
} satisfies OptionTable;

export function gatewayComponent(config: StoreGatewayConfig, bucket: BucketConfig): ComponentSpec {
  const { dataDir, syncIntervalMs, ignoreDeletionMarksDelayMs, exemplarsPerRequest } = config;
  const gateway: GatewayConfig = { bucket, dataDir, syncIntervalMs, ignoreDeletionMarksDelayMs, exemplarsPerRequest };
  return { name: "gateway", module: new URL("./gateway.ts", import.meta.url), config: gateway };
}

export async function startStore(
  config: ConfigOf<typeof storeOptions>,
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<void> {
  const bucket = readBucketConfig(config.objstoreConfig, config.objstoreConfigFile);
  if (bucket === undefined)
    throw new BadRequestError("store needs a bucket: give --objstore.config or --objstore.config-file");
  let host: Host | undefined;
  const ready = async (): Promise<string[]> => (host === undefined ? ["blocks: first sync under way"] : []);
  const admin = await createHttpServer(
    env,
    { metrics: () => renderMetrics(env.metrics, host), profiling: false },
    ready,
    1 << 20,
  );
  const http = await admin.listen(config.httpAddress);
  host = await startHost([{ name: "store", components: [gatewayComponent(config, bucket)] }], log, env, onDeath);
  const grpc = await serveGrpc(config.grpcAddress, [storeGrpcService(host.peer("gateway"))], env);
  env.log.info({ http: formatAddress(http), grpc: formatAddress(grpc) }, "store is ready");
}
