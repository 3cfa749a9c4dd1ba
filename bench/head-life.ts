/**
 * A head's folder in this thread, without HTTP: opened from its snapshot and from its log, read, cut into a block and
 * truncated. Pauses are those of the event loop, from a timer that is due each millisecond.
 */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog } from "#libs/kit/log.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import type { WrittenBlock } from "#libs/tsdb/block/writer.ts";
import { createUlid } from "#libs/tsdb/block/ulid.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { row } from "./measure.ts";

/** `folder` has a snapshot, and is changed. */
export async function headLife(print: (line: string) => void, folder: string): Promise<void> {
  const open = (): Head =>
    Head.open(folder, { rangeMs: 7_200_000, seriesMax: 1e7, seed: 1, minValidTime: -Infinity, log: silentLog() });
  let head = open();
  print(row([`head in one thread, ${head.seriesCount} series`, "ms", "ms CPU", "longest pause, ms"]));
  await head.close(true);
  const shown = async (what: string, job: () => unknown): Promise<void> => {
    const { ms, cpuMs, pause } = await watched(job);
    print(row([`  ${what}`, ms, cpuMs, pause]));
  };
  await shown("opened from its snapshot", () => (head = open()));
  await shown("closed with a snapshot", () => head.close(true));
  for (const name of readdirSync(folder))
    if (name.startsWith("chunk_snapshot")) rmSync(join(folder, name), { recursive: true });
  await shown("opened from its log", () => (head = open()));
  const all = {
    matchers: [createMatcher({ type: "=~", name: "__name__", value: ".+" })],
    mint: -Infinity,
    maxt: Infinity,
  };
  await shown("all series and chunks read", async () => {
    for await (const _frame of head.frames({ ...all, skipChunks: false, limit: 0 }, new AbortController().signal));
  });
  const some = ["__name__=up", "job=job-3"].map((pair) => {
    const [name, value] = pair.split("=") as [string, string];
    return createMatcher({ type: "=", name, value });
  });
  await shown("values of pod where they are few", () => head.valuesOf("pod", some));
  const end = head.cutEnd;
  let block: WrittenBlock | undefined;
  await shown("cut into a block", async () => (block = await head.cutBlock(folder, createUlid(end))));
  const bytes = blockBytes(block!.path);
  const samples = block!.meta.stats!.numSamples!;
  await shown("truncated", () => head.truncate(end));
  print(row(["  bytes a sample in the block", bytes / samples, "", `${(samples / 1e6).toFixed(1)} M samples`]));
  await head.close();
}

/**
 * Time and CPU; and the longest time between two turns of a timer that is due each millisecond, with the CPU that this
 * thread used in it: on a busy machine the first has waiting for a processor in it.
 */
async function watched(job: () => unknown): Promise<{ ms: number; cpuMs: number; pause: string }> {
  const pauses: { ms: number; cpuMs: number }[] = [];
  let at = performance.now();
  let cpu = process.threadCpuUsage();
  const turn = (): void => {
    const used = process.threadCpuUsage(cpu);
    pauses.push({ ms: performance.now() - at, cpuMs: (used.user + used.system) / 1e3 });
    at = performance.now();
    cpu = process.threadCpuUsage();
  };
  const timer = setInterval(turn, 1);
  await sleep(20);
  pauses.length = 0;
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  await job();
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  await sleep(5);
  clearInterval(timer);
  const longest = Math.max(...pauses.map((pause) => pause.ms));
  const longestCpu = Math.max(...pauses.map((pause) => pause.cpuMs));
  return { ms, cpuMs: (user + system) / 1e3, pause: `${longest.toFixed(0)}, of CPU ${longestCpu.toFixed(0)}` };
}

/** Index and chunks. */
export function blockBytes(path: string): number {
  const sizes = readdirSync(join(path, "chunks")).map((name) => statSync(join(path, "chunks", name)).size);
  return sizes.reduce((sum, size) => sum + size, statSync(join(path, "index")).size);
}
