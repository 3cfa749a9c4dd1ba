/**
 * The host: runs components on the threads their work belongs to (D8) and connects them.
 *
 * A component is a module that exports `start(config, context)` and answers with its handlers. Components find each
 * other by name through `context.peer`: the same thread is a direct call, another thread a MessagePort.
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
  readonly name: string;
  readonly components: readonly ComponentSpec[];
  /** No worker, but the thread that starts the host. Workers cannot call its components. */
  readonly isMain?: boolean;
  /** Started at the first call to a component of it. */
  readonly onDemand?: boolean;
}

/** What lives short in a worker is little: 20 MB less for each of three, and no slower (bench/README.md). */
const WORKER_YOUNG_GENERATION_MB = 6;

/** A component that all can call: the main thread, for what it knows of the whole process. */
export const HOST = "host";

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
    isLocal: false,
    call<R>(...args: Parameters<Peer["call"]>): Promise<R> {
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
  /** The way to the component `HOST`. */
  readonly host: MessagePort;
}

/** Where components run. */
interface Thread {
  readonly spec: ThreadSpec;
  /** Has it load its modules. */
  readonly launch: () => void;
  /** Starts its components unless they are. */
  readonly start: () => Promise<void>;
  /** Answers calls to a component from now on. */
  readonly serve: (component: string, port: MessagePort) => Promise<void>;
  isUp: boolean;
}

/** The caller's end of the way to a component. */
interface PeerEnd {
  readonly name: string;
  readonly port: MessagePort;
  /** Starts its thread. */
  readonly bell?: MessagePort;
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
  const host: Host = {
    peer,
    workerMetrics: () =>
      Promise.all(running.map((rpc) => rpc.call<MetricObjectWithValues<MetricValue<string>>[]>("metrics", undefined))),
  };
  const hostHandlers = {
    // Loaded already where this thread is.
    metrics: async () => (await import("./metrics.ts")).renderMetrics(env.metrics, host),
  } satisfies Handlers;
  peers.set(HOST, localPeer(hostHandlers));

  const workerThread = (spec: ThreadSpec, before: readonly Thread[]): Thread => {
    const launch = once(launcher(spec, log, env, onDeath, running, hostHandlers));
    const give = (end: PeerEnd): Promise<void> =>
      launch().call("peer", end, undefined, end.bell === undefined ? [end.port] : [end.port, end.bell]);
    const start = async (): Promise<void> => {
      for (const there of before)
        for (const { name } of there.spec.components) await give(await connect(there, name, env, onDeath));
      for (const { name, module, config } of spec.components)
        await launch().call("start", { name, module: module.href, config });
      thread.isUp = true;
    };
    const thread: Thread = {
      spec,
      launch,
      start: once(start),
      serve: (name, port) => launch().call("serve", { name, port }, undefined, [port]),
      isUp: false,
    };
    return thread;
  };

  const mainThread = (spec: ThreadSpec): Thread => {
    const own = createEnv(env.log, () => env.now(), env.stopping);
    env.defer(`components of ${spec.name}`, () => own.close());
    const start = async (): Promise<void> => {
      for (const { name, module, config } of spec.components) {
        const ownEnv: Env = { ...own.env, metrics: env.metrics, log: env.log.child({ component: name }) };
        const { start: begin } = (await import(module.href)) as { start: StartComponent<unknown> };
        peers.set(name, localPeer(await begin(config, { env: ownEnv, peer })));
      }
    };
    const serve = (): never => {
      throw new Error(`BUG: components of ${spec.name} are served to their own thread only`);
    };
    const launch = (): void => preload(spec.components.map(({ module }) => module.href));
    return { spec, launch, start, serve, isUp: true };
  };

  const threads: Thread[] = [];
  for (const spec of specs) {
    const before = threads.filter((there) => there.spec.isMain !== true);
    threads.push(spec.isMain === true ? mainThread(spec) : workerThread(spec, before));
  }
  // While one opens its data the others load their modules.
  for (const { spec, launch } of threads) if (spec.onDemand !== true) launch();
  for (const thread of threads) {
    const { spec, start } = thread;
    if (spec.onDemand !== true) await start();
    if (spec.isMain === true) continue;
    for (const { name } of spec.components) peers.set(name, peerAt(await connect(thread, name, env, onDeath)));
  }
  return host;
}

/** Loads modules before they are asked for; who asks is told what is wrong with one. */
function preload(modules: readonly string[]): void {
  for (const module of modules) import(module).catch(() => undefined);
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function launcher(
  { name, components }: ThreadSpec,
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
  running: RpcClient[],
  hostHandlers: Handlers,
): () => RpcClient {
  let stop = async (): Promise<void> => undefined;
  env.defer(`thread ${name}`, () => stop());
  return () => {
    const modules = components.map(({ module }) => module.href);
    const { port1, port2 } = new MessageChannel();
    serveRpc(port1, hostHandlers);
    port1.unref();
    const worker = new Worker(new URL("./host-worker.ts", import.meta.url), {
      name,
      workerData: { thread: name, log, modules, host: port2 } satisfies ThreadData,
      transferList: [port2],
      resourceLimits: { maxYoungGenerationSizeMb: WORKER_YOUNG_GENERATION_MB },
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

/** Makes a way to a component; where its thread is not up, the first call through it starts the thread. */
async function connect(
  there: Thread,
  component: string,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
): Promise<PeerEnd> {
  const { port1, port2 } = new MessageChannel();
  if (there.isUp) {
    await there.serve(component, port1);
    return { name: component, port: port2 };
  }
  const bell = new MessageChannel();
  bell.port1.once("message", () => {
    if (env.stopping.aborted) return;
    // What was called meanwhile waits in the port.
    there
      .start()
      .then(() => there.serve(component, port1))
      .catch((error: unknown) => onDeath(there.spec.name, error as Error));
  });
  bell.port1.unref();
  return { name: component, port: port2, bell: bell.port2 };
}

/** Where a `PeerEnd` has arrived. */
function peerAt({ name, port, bell }: PeerEnd): Peer {
  const peer = new RpcClient(port, name);
  port.unref();
  return bell === undefined ? peer : ringing(peer, bell);
}

/** The worker's end; called by host-worker.ts only. */
export function runHostWorker(): void {
  const { thread, log: logConfig, modules, host } = workerData as ThreadData;
  preload(modules);
  const log = createLog(logConfig, { thread });
  const stopping = new AbortController();
  const deferred = createEnv(log, () => Date.now(), stopping.signal); // oxlint-disable-line no-restricted-properties -- the one clock of this thread
  const components = new Map<string, Handlers>();
  const peers = new Map([[HOST, peerAt({ name: HOST, port: host })]]);
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
    async peer(end: PeerEnd) {
      peers.set(end.name, peerAt(end));
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
    isLocal: false,
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
