/**
 * The programs that are measured beside each other: `cairn all`, Debian's Prometheus (or the one that PROMETHEUS names)
 * and VictoriaMetrics, each on its own folder and loopback ports.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { type Agent, request } from "node:http";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cpuSeconds, row } from "./measure.ts";

export interface Server {
  readonly name: string;
  /** Of the process that runs now. */
  readonly pid: number;
  readonly folder: string;
  readonly write: string;
  readonly query: string;
  readonly kill: () => void;
  /** Ends it as an operator does; resolves when it is gone. */
  readonly stop: () => Promise<void>;
  /** Starts it on its folder; resolves when it says that it is ready. */
  readonly start: () => Promise<void>;
}

interface Program {
  readonly command: string;
  readonly flags: readonly string[];
  readonly ready: string;
  readonly write: string;
  /** Where writes go, when it is not the port of queries. */
  readonly writePort?: number;
}

/** Ours first: it is what the others are compared with. */
export const NAMES = ["cairn", "victoria-metrics", "prometheus"] as const;

const MAIN = resolve(import.meta.dirname, "../main.ts");
/** As the `cairn` script has it. */
const OWN_ENV = {
  NODE_COMPILE_CACHE: resolve(import.meta.dirname, "../node_modules/.cache/node-compile"),
  GLIBC_TUNABLES: "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1",
};

function program(name: string, folder: string, port: number, writePort: number): Program {
  if (name === "cairn") {
    const flags = [
      // As the `cairn` script starts it.
      "--initial-old-space-size=48",
      "--max-semi-space-size=4",
      MAIN,
      "all",
      `--data-dir=${folder}`,
      `--http-address=127.0.0.1:${port}`,
      "--grpc-address=127.0.0.1:0",
      `--remote-write.address=127.0.0.1:${writePort}`,
      "--no-self-monitor",
      "--tsdb.too-far-in-future.time-window=0s",
      // How soon uploaded blocks are served from the bucket too, beside the local ones.
      `--sync-block-duration=${process.env["BENCH_SYNC"] ?? "5s"}`,
    ];
    return { command: process.execPath, flags, ready: "/-/ready", write: "/api/v1/receive", writePort };
  }
  if (name === "prometheus") {
    writeFileSync(`${folder}.yml`, "global: {scrape_interval: 60s}\n");
    const flags = [
      `--config.file=${folder}.yml`,
      `--storage.tsdb.path=${folder}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--web.enable-remote-write-receiver",
      "--storage.tsdb.retention.time=10y",
      "--query.max-samples=500000000",
      "--web.enable-admin-api",
    ];
    return { command: process.env["PROMETHEUS"] ?? name, flags, ready: "/-/ready", write: "/api/v1/write" };
  }
  const flags = [
    `-storageDataPath=${folder}`,
    `-httpListenAddr=127.0.0.1:${port}`,
    "-retentionPeriod=10y",
    "-search.disableCache=true",
    "-search.latencyOffset=0s",
    "-search.maxUniqueTimeseries=10000000",
  ];
  return { command: name, flags, ready: "/health", write: "/api/v1/write" };
}

/** `ownFlags` are for our Node. Those that are installed, ready; one that is not is named in the table. */
export async function startAll(
  print: (line: string) => void,
  folder: string,
  names: readonly string[] = NAMES,
  ownFlags: readonly string[] = [],
): Promise<Server[]> {
  const running: Server[] = [];
  try {
    for (const name of names) {
      const port = await freePort();
      const { command, flags, ready, write, writePort } = program(name, join(folder, name), port, await freePort());
      if (!isInstalled(command)) {
        print(row([`${name} is not installed`, "", "", "apt-get install it to compare"]));
        continue;
      }
      const base = `http://127.0.0.1:${port}`;
      let child: ChildProcess;
      const kill = (): void => void child.kill("SIGKILL");
      const server: Server = {
        name,
        get pid() {
          return child.pid!;
        },
        folder: join(folder, name),
        write: `http://127.0.0.1:${writePort ?? port}${write}`,
        query: `${base}/api/v1`,
        kill,
        async stop() {
          child.kill("SIGTERM");
          await once(child, "exit");
        },
        async start() {
          child = spawn(command, name === "cairn" ? [...ownFlags, ...flags] : flags, {
            stdio: "ignore",
            env: { ...(name === "cairn" && OWN_ENV), ...process.env },
          });
          await untilOk(`${base}${ready}`);
        },
      };
      running.push(server);
      process.once("exit", kill);
      await server.start();
    }
  } catch (error) {
    for (const server of running) server.kill();
    throw error;
  }
  return running;
}

/** Kills them and removes the folder. */
export async function stopAll(running: readonly Server[], folder: string): Promise<void> {
  for (const server of running) server.kill();
  await sleep(300);
  rmSync(folder, { recursive: true, force: true });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", () => done()));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function untilOk(url: string): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok === true) return;
    await sleep(10);
  }
  throw new Error(`${url} is not ready after 30 s`);
}

/** Sends a remote-write 1.0 body. @throws when it is refused. */
export function post(agent: Agent, server: Server, body: Uint8Array): Promise<void> {
  const headers = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "content-length": body.length,
  };
  return new Promise((done, fail) => {
    const call = request(server.write, { method: "POST", agent, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("end", () => {
        if (answer.statusCode! < 300) done();
        else fail(new Error(`${server.name} answered ${answer.statusCode} to a write: ${text.slice(0, 300)}`));
      });
    });
    call.on("error", fail);
    call.end(body);
  });
}

/**
 * Asks the query API, without VictoriaMetrics's cache. Uncompressed: the others would compress what they answer, we do
 * not. @throws when it does not succeed.
 */
export async function ask(server: Server, path: string, params: Readonly<Record<string, string>>): Promise<string> {
  const url = `${server.query}/${path}?${new URLSearchParams({ ...params, nocache: "1" }).toString()}`;
  const answer = await fetch(url, { headers: { "accept-encoding": "identity" } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${server.name}: ${text.slice(0, 300)}`);
  return text;
}

export function loadAverage(): string {
  return readFileSync("/proc/loadavg", "utf8").split(" ").slice(0, 3).join(" ");
}

/** Seconds that Prometheus takes to merge the blocks it finds in `folder`, which it does a minute after its start. */
export async function compactionOfPrometheus(folder: string): Promise<{ wall: number; cpu: number } | undefined> {
  const { command, flags } = program("prometheus", folder, await freePort(), 0);
  if (!isInstalled(command)) return undefined;
  const child = spawn(command, flags, {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  try {
    let log = "";
    let started = 0;
    for await (const text of child.stderr.setEncoding("utf8") as AsyncIterable<string>) {
      log += text;
      if (text.includes("ready to receive web requests")) started = cpuSeconds(child.pid!);
      const duration = /msg="compact blocks" .*duration=(\S+)/.exec(log)?.[1];
      if (duration !== undefined) return { wall: parseDuration(duration), cpu: cpuSeconds(child.pid!) - started };
    }
    throw new Error(`prometheus has ended: ${log.slice(-500)}`);
  } finally {
    kill();
    rmSync(`${folder}.yml`);
  }
}

/** As Go prints it: `2.41s`, `870.5ms`. */
function parseDuration(text: string): number {
  return Number.parseFloat(text) / (text.endsWith("ms") ? 1000 : 1);
}

function isInstalled(command: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;
}
