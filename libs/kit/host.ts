/**
 * The host: runs components on the threads their work belongs to (D8) and connects them.
 *
 * A component is a module that exports `start(config, context)` and answers with its handlers. The main thread
 * keeps the sockets; what computes lives in workers. Components find each other by name through `context.peer`:
 * the same thread is a direct call, another thread a MessagePort.
 *
 * A worker that dies takes the process with it, loudly: a restart in silence would hide lost state.
 */
import { MessageChannel, type MessagePort, parentPort, Worker, workerData } from "node:worker_threads";
import type { MetricObjectWithValues, MetricValue } from "prom-client";
import { createEnv, type Env } from "./env.ts";
import { messageOf, UnavailableError } from "./errors.ts";
import { createLog, type LogConfig } from "./log.ts";
import { type Handlers, localPeer, type Peer, RpcClient, serveRpc } from "./rpc.ts";

export interface ComponentContext {
  readonly env: Env;
  /** Another component of this process, by name. @throws when it was not declared before this one. */
  readonly peer: (name: string) => Peer;
}

/** What a component's module exports as `start`. `config` came through a structured clone. */
export type StartComponent<C> = (config: C, context: ComponentContext) => Promise<Handlers>;

export interface ComponentSpec {
  readonly name: string;
  readonly module: URL;
  readonly config: unknown;
}

export interface ThreadSpec {
  /** Size of the young generation, where the process-wide one does not fit the work. */
  readonly youngGenerationMb?: number;
  readonly name: string;
  readonly components: readonly ComponentSpec[];
}

export interface Host {
  readonly peer: (name: string) => Peer;
  /** The metrics of every worker, as prom-client's JSON. */
  readonly workerMetrics: () => Promise<MetricObjectWithValues<MetricValue<string>>[][]>;
}

/** A component of a host that is being started. Calls before it is up are refused. */
export function peerOf(host: () => Host | undefined, name: string): Peer {
  const peer = (): Peer => {
    const up = host();
    if (up === undefined) throw new UnavailableError(`${name} is being started, try again`);
    return up.peer(name);
  };
  return {
    async call<R>(...args: Parameters<Peer["call"]>): Promise<R> {
      return peer().call<R>(...args);
    },
    stream<R>(...args: Parameters<Peer["stream"]>): AsyncIterable<R> {
      return peer().stream<R>(...args);
    },
  };
}

interface ThreadData {
  readonly thread: string;
  readonly log: LogConfig;
}

/**
 * Starts the threads in order; each component may call those named before it. `env.defer` stops them in reverse.
 * `onDeath` is told when a worker ends unasked.
 */
export async function startHost(
  threads: readonly ThreadSpec[],
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<Host> {
  const control = new Map<string, RpcClient>();
  const homes = new Map<string, string>();
  const peers = new Map<string, Peer>();
  const peer = (name: string): Peer => {
    const known = peers.get(name);
    if (known === undefined) throw new Error(`BUG: no component ${name} in this process`);
    return known;
  };
  for (const thread of threads) {
    const worker = new Worker(new URL("./host-worker.ts", import.meta.url), {
      name: thread.name,
      workerData: { thread: thread.name, log } satisfies ThreadData,
      ...(thread.youngGenerationMb === undefined
        ? {}
        : { resourceLimits: { maxYoungGenerationSizeMb: thread.youngGenerationMb } }),
    });
    let asked = false;
    let error: Error | undefined;
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    worker.on("error", (cause) => (error = cause instanceof Error ? cause : new Error(String(cause))));
    worker.on("exit", (code) => {
      if (!asked) onDeath(thread.name, error ?? new Error(`exited with ${code}`));
    });
    const rpc = new RpcClient(worker as unknown as MessagePort, `thread ${thread.name}`);
    control.set(thread.name, rpc);
    env.defer(`thread ${thread.name}`, async () => {
      asked = true;
      try {
        await rpc.call("stop", undefined);
      } finally {
        await worker.terminate();
        await ended;
      }
    });
    for (const component of thread.components) {
      for (const [name, home] of homes) {
        if (home !== thread.name) await connect(control, home, thread.name, name);
      }
      const { name, module, config } = component;
      await rpc.call("start", { name, module: module.href, config });
      homes.set(name, thread.name);
      const { port1, port2 } = new MessageChannel();
      await rpc.call("serve", { name, port: port2 }, undefined, [port2]);
      peers.set(name, new RpcClient(port1, name));
    }
  }
  return {
    peer,
    workerMetrics: () =>
      Promise.all(
        [...control.values()].map((rpc) =>
          rpc.call<MetricObjectWithValues<MetricValue<string>>[]>("metrics", undefined),
        ),
      ),
  };
}

async function connect(control: Map<string, RpcClient>, from: string, to: string, component: string): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await control.get(from)!.call("serve", { name: component, port: port1 }, undefined, [port1]);
  await control.get(to)!.call("peer", { name: component, port: port2 }, undefined, [port2]);
}

/** The worker's end; called by host-worker.ts only. */
export function runHostWorker(): void {
  const { thread, log: logConfig } = workerData as ThreadData;
  const log = createLog(logConfig, { thread });
  const stopping = new AbortController();
  const deferred = createEnv(log, () => Date.now(), stopping.signal); // oxlint-disable-line no-restricted-properties -- the one clock of this thread
  const components = new Map<string, Handlers>();
  const peers = new Map<string, Peer>();
  const peer = (name: string): Peer => {
    const local = components.get(name);
    if (local !== undefined) return localPeer(local);
    const remote = peers.get(name);
    if (remote === undefined) throw new Error(`BUG: thread ${thread} knows no component ${name}`);
    return remote;
  };
  serveRpc(parentPort!, {
    async start(spec: { name: string; module: string; config: unknown }) {
      const module = (await import(spec.module)) as { start: StartComponent<unknown> };
      const env: Env = { ...deferred.env, log: log.child({ component: spec.name }) };
      components.set(spec.name, await module.start(spec.config, { env, peer }));
    },
    async serve({ name, port }: { name: string; port: MessagePort }) {
      serveRpc(port, components.get(name)!);
      port.unref();
    },
    async peer({ name, port }: { name: string; port: MessagePort }) {
      // A second component of this thread may ask for the same peer again.
      if (!peers.has(name)) peers.set(name, new RpcClient(port, name));
      port.unref();
    },
    metrics: () => deferred.env.metrics.getMetricsAsJSON(),
    async stop() {
      stopping.abort();
      await deferred.close();
    },
  } satisfies Handlers);
  process.on("unhandledRejection", (reason) => {
    log.fatal({ err: reason }, `unhandled rejection: ${messageOf(reason)}`);
    throw reason;
  });
}
