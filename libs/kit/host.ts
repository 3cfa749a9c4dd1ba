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
import type { MetricObjectWithValues, MetricValue } from "./prometheus.ts";
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
  /** Started at the first call of another thread to a component of it; the main thread cannot call those. */
  readonly onDemand?: boolean;
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
  /** Of its components. */
  readonly modules: readonly string[];
}

/** A worker's place: empty until it is launched. */
interface Thread {
  readonly spec: ThreadSpec;
  /** What steers the worker, which is launched unless it was. */
  readonly launch: () => RpcClient;
  /** Starts its components unless they are. */
  readonly start: () => Promise<void>;
  isUp: boolean;
}

/**
 * Starts the threads in order; each component may call those of threads named before its own. `env.defer` stops them in
 * reverse. `onDeath` is told when a worker ends unasked.
 */
export async function startHost(
  specs: readonly ThreadSpec[],
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<Host> {
  const running: RpcClient[] = [];
  const peers = new Map<string, Peer>();
  const peer = (name: string): Peer => {
    const known = peers.get(name);
    if (known === undefined) throw new Error(`BUG: no component ${name} in this process`);
    return known;
  };
  const threads: Thread[] = [];
  for (const spec of specs) {
    const before = [...threads];
    const launch = once(launcher(spec, log, env, onDeath, running));
    const start = async (): Promise<void> => {
      const control = launch();
      for (const there of before)
        for (const { name } of there.spec.components) await connect(there, control, name, env, onDeath);
      for (const { name, module, config } of spec.components)
        await control.call("start", { name, module: module.href, config });
      thread.isUp = true;
    };
    const thread: Thread = { spec, launch, start: once(start), isUp: false };
    threads.push(thread);
  }
  const eager = threads.filter(({ spec }) => spec.onDemand !== true);
  // While one opens its data the others load their modules.
  for (const { launch } of eager) launch();
  for (const { spec, launch, start } of eager) {
    await start();
    for (const { name } of spec.components) {
      const { port1, port2 } = new MessageChannel();
      await launch().call("serve", { name, port: port2 }, undefined, [port2]);
      peers.set(name, new RpcClient(port1, name));
    }
  }
  return {
    peer,
    workerMetrics: () =>
      Promise.all(running.map((rpc) => rpc.call<MetricObjectWithValues<MetricValue<string>>[]>("metrics", undefined))),
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function launcher(
  { name, components, youngGenerationMb }: ThreadSpec,
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
  running: RpcClient[],
): () => RpcClient {
  let stop = async (): Promise<void> => undefined;
  env.defer(`thread ${name}`, () => stop());
  return () => {
    const modules = components.map(({ module }) => module.href);
    const worker = new Worker(new URL("./host-worker.ts", import.meta.url), {
      name,
      workerData: { thread: name, log, modules } satisfies ThreadData,
      ...(youngGenerationMb === undefined ? {} : { resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb } }),
    });
    let asked = false;
    let error: Error | undefined;
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    worker.on("error", (cause) => (error = cause instanceof Error ? cause : new Error(String(cause))));
    worker.on("exit", (code) => {
      if (!asked) onDeath(name, error ?? new Error(`exited with ${code}`));
    });
    const control = new RpcClient(worker as unknown as MessagePort, `thread ${name}`);
    stop = async () => {
      asked = true;
      try {
        await control.call("stop", undefined);
      } finally {
        await worker.terminate();
        await ended;
      }
    };
    running.push(control);
    return control;
  };
}

/** Gives the thread behind `to` a port to a component; the first call through it starts the component's thread. */
async function connect(
  there: Thread,
  to: RpcClient,
  component: string,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const serve = (): Promise<void> => there.launch().call("serve", { name: component, port: port1 }, undefined, [port1]);
  if (there.isUp) {
    await serve();
    return to.call("peer", { name: component, port: port2 }, undefined, [port2]);
  }
  const bell = new MessageChannel();
  bell.port1.once("message", () => {
    if (env.stopping.aborted) return;
    // What was called meanwhile waits in the port.
    there
      .start()
      .then(serve)
      .catch((error: unknown) => onDeath(there.spec.name, error as Error));
  });
  bell.port1.unref();
  return to.call("peer", { name: component, port: port2, bell: bell.port2 }, undefined, [port2, bell.port2]);
}

/** The worker's end; called by host-worker.ts only. */
export function runHostWorker(): void {
  const { thread, log: logConfig, modules } = workerData as ThreadData;
  // Loaded before they are asked for; `start` says what is wrong with one.
  for (const module of modules) import(module).catch(() => undefined);
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
    async peer({ name, port, bell }: { name: string; port: MessagePort; bell?: MessagePort }) {
      const rpc = new RpcClient(port, name);
      peers.set(name, bell === undefined ? rpc : ringing(rpc, bell));
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

/** Rings before the first call. */
function ringing(peer: Peer, bell: MessagePort): Peer {
  const ring = once(() => bell.postMessage(undefined));
  return {
    call<R>(...args: Parameters<Peer["call"]>): Promise<R> {
      ring();
      return peer.call<R>(...args);
    },
    stream<R>(...args: Parameters<Peer["stream"]>): AsyncIterable<R> {
      ring();
      return peer.stream<R>(...args);
    },
  };
}
