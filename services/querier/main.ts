/** query: one PromQL endpoint over many stores. */
import type { FastifyInstance } from "fastify";
import type { Env } from "#libs/kit/env.ts";
import { createHttpServer } from "#libs/kit/admin-server.ts";
import { serveGrpc } from "#libs/kit/grpc-port.ts";
import type { Peer } from "#libs/kit/rpc.ts";
import { type ComponentSpec, type Host, peerOf, startHost, type ThreadSpec } from "#libs/kit/host.ts";
import type { LogConfig } from "#libs/kit/log.ts";
import { renderMetrics } from "#libs/kit/metrics.ts";
import { type Address, describeConfig, formatAddress } from "#libs/kit/options.ts";
import { storeGrpcService } from "#libs/storeapi/grpc-server.ts";
import { type QuerierConfig, querierOptions } from "./config.ts";
import type { EvaluateConfig } from "./evaluate.ts";
import { addQueryRoutes } from "./http.ts";
import { scanThreads } from "./scan-threads.ts";

/** Query forms are small; a long query string by POST is some kilobytes. */
const FORM_BYTES_MAX = 16 * 1024 * 1024;

/** `scanners` are threads of `scanThreads`, started before it. */
export function querierComponent(
  config: Omit<EvaluateConfig, "scanners">,
  scanners: readonly ThreadSpec[],
): ComponentSpec {
  const names = scanners.flatMap(({ components }) => components.map(({ name }) => name));
  const whole: EvaluateConfig = { ...config, scanners: names };
  return { name: "querier", module: new URL("./evaluate.ts", import.meta.url), config: whole };
}

export interface QueryServers {
  readonly http: Address;
  readonly grpc: Address;
}

/** Opens the HTTP port at once; `attach` connects it when the threads are up. `addRoutes` adds other components' routes. */
export async function openQueryHttp(
  config: QuerierConfig,
  env: Env,
  ready: () => Promise<string[]>,
  addRoutes: (app: FastifyInstance, peer: (name: string) => Peer) => void = () => undefined,
): Promise<{ readonly address: Address; readonly attach: (host: Host) => void }> {
  let host: Host | undefined;
  const allReady = async (): Promise<string[]> =>
    host === undefined ? ["starting: stores are being opened"] : ready();
  const server = await createHttpServer(
    env,
    { metrics: () => renderMetrics(env.metrics, host), profiling: config.profiling },
    allReady,
    FORM_BYTES_MAX,
  );
  server.app.addHook("onRequest", (request, reply, done) => {
    // Probes and metrics answer from the first moment, queries once their data can be reached.
    if (host === undefined && request.url.includes("/api/"))
      void reply.code(503).type("text/plain").send("not ready: stores are being opened\n");
    else done();
  });
  const peer = (name: string): Peer => peerOf(() => host, name);
  addQueryRoutes(server.app, peer("querier"), config);
  addRoutes(server.app, peer);
  const address = await server.listen(config.httpAddress);
  return { address, attach: (attached) => void (host = attached) };
}

export async function startQuery(
  config: QuerierConfig,
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<void> {
  const evaluate = {
    querier: config,
    localStores: [],
    flags: describeConfig(querierOptions, config),
    startedAtMs: env.now(),
    retentionMs: 0,
  };
  const scanners = scanThreads(config.scanThreads);
  const query = { name: "query", isMain: true, components: [querierComponent(evaluate, scanners)] };
  const [host, http] = await Promise.all([
    startHost([...scanners, query], log, env, onDeath),
    openQueryHttp(config, env, async () => []),
  ]);
  http.attach(host);
  const grpc = await serveGrpc(config.grpcAddress, [storeGrpcService(host.peer("querier"))], env);
  env.log.info({ http: formatAddress(http.address), grpc: formatAddress(grpc) }, "query is ready");
}
