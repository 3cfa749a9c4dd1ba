/** Real processes for tests: started on free loopback ports in temporary folders, stopped by id. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");

/** Where nothing waits for a disk, if there is such a place: for tests that sync thousands of times. */
export const MEMORY_FOLDER = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A folder that `cleanup` removes. */
export function temporaryFolder(name: string, parent: string = tmpdir()): { path: string; cleanup: () => void } {
  const path = mkdtempSync(join(parent, `cairn-${name}-`));
  return { path, cleanup: () => rmSync(path, { recursive: true, force: true }) };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolveListening) => server.listen(0, "127.0.0.1", () => resolveListening()));
  const { port } = server.address() as { port: number };
  await new Promise((resolveClosed) => server.close(resolveClosed));
  return port;
}

/** Tests that need a program: skipped by name where it is missing, failing there in CI. */
export function describeWith(program: string, name: string, body: () => void): void {
  const found = spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
  if (found || process.env["CI"] === "true") describe(name, body);
  // A clone without the real program still passes; CI, which installs it, never comes here.
  else describe.skip(`${name} (needs ${program}: apt-get install ${program})`, body);
}

/**
 * Tests beside the Prometheus 3 that PROMETHEUS_3 names, absent without it: they compare what Debian's 2.42 does not know
 * or does otherwise.
 */
export function describeWithPrometheus3(name: string, body: (program: string) => void): void {
  const program = process.env["PROMETHEUS_3"];
  if (program !== undefined) describe(name, () => body(program));
}

export async function until<T>(what: string, probe: () => Promise<T | undefined>, timeoutMs = 30_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const result = await probe();
    if (result !== undefined) return result;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(20);
  }
}

export interface Running {
  readonly process: ChildProcess;
  readonly log: () => string;
  /** Sends a signal and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>;
}

/** Ended with the tests, also when one fails half-way. */
const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

export function run(command: string, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  children.add(child);
  child.once("exit", () => children.delete(child));
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (log += text));
  const ended = new Promise<number | null>((resolveEnd) => child.once("exit", (code) => resolveEnd(code)));
  return {
    process: child,
    log: () => log,
    async stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return ended;
    },
  };
}

export interface Cairn extends Running {
  readonly http: string;
  readonly grpc: string;
  readonly remoteWrite: string;
}

/** `cairn all` on a folder, ready; the same threads whatever the machine. */
export async function startCairn(dataDir: string, flags: readonly string[] = []): Promise<Cairn> {
  const listen = [
    "--http-address",
    "127.0.0.1:0",
    "--grpc-address",
    "127.0.0.1:0",
    "--remote-write.address",
    "127.0.0.1:0",
  ];
  const running = run(process.execPath, [
    join(ROOT, "main.ts"),
    "all",
    "--data-dir",
    dataDir,
    "--no-self-monitor",
    "--receive.ingest-thread=main",
    ...listen,
    ...flags,
  ]);
  const file = join(dataDir, "endpoints.json");
  const endpoints = await until("cairn all is ready", async () => {
    if (running.process.exitCode !== null) throw new Error(`cairn all ended: ${running.log()}`);
    // A killed process leaves its file behind: the new one removes it first and says ready after writing its own.
    return running.log().includes("msg=ready") && existsSync(file)
      ? (JSON.parse(readFileSync(file, "utf8")) as Record<"http" | "grpc" | "remoteWrite", string>)
      : undefined;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}, log: ${running.log()}`, { cause: error });
  });
  return {
    ...running,
    http: `http://${endpoints.http}`,
    grpc: endpoints.grpc,
    remoteWrite: `http://${endpoints.remoteWrite}/api/v1/receive`,
  };
}

export interface ApiAnswer {
  readonly status: string;
  readonly data: {
    readonly resultType: string;
    readonly result: { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] }[];
  };
  readonly error?: string;
  readonly warnings?: string[];
}

/** Asks a Prometheus API. */
export async function ask(base: string, path: string, params: Record<string, string>): Promise<ApiAnswer> {
  const answer = await fetch(`${base}/api/v1/${path}`, { method: "POST", body: new URLSearchParams(params) });
  return (await answer.json()) as ApiAnswer;
}

/** A result with what has no order sorted. */
export function canonical(answer: ApiAnswer): string {
  if (answer.status !== "success") return JSON.stringify(answer);
  const { resultType, result } = answer.data;
  if (!Array.isArray(result) || resultType === "scalar" || resultType === "string") return JSON.stringify(answer.data);
  const sorted = result.map((series) => ({
    ...series,
    metric: Object.fromEntries(Object.entries(series.metric).sort(([a], [b]) => (a < b ? -1 : 1))),
  }));
  return JSON.stringify({ resultType, result: sorted.map((series) => JSON.stringify(series)).sort() });
}
