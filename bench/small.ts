/**
 * What the smallest queries of a dashboard cost a whole process: one after the other over a connection that stays open,
 * from the head and from blocks. In microseconds of CPU by /proc, over rounds in turn.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuSeconds, row } from "./measure.ts";
import { ask, type Server, startAll, stopAll } from "./peers.ts";
import { cut, dashboards, send } from "./queries.ts";

const NAMES = ["i1", "r1", "r6", "l1", "l3"];
const ROUNDS = 5;
const ROUND_QUERIES = 500;
/** Until code is compiled. */
const WARM_ROUNDS = 5;

export async function small(print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  const running = await startAll(print, folder);
  try {
    const steps = 240;
    const start = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 6 * 3_600_000;
    const series = Number(process.env["BENCH_SERIES"] ?? 20_000);
    await send(() => undefined, running, { series, steps, batch: 10, intervalMs: 15_000, start });
    await table(print, "from the head", running, start + steps * 15_000);
    await cut(running);
    await table(print, "from blocks", running, start + steps * 15_000);
  } finally {
    await stopAll(running, folder);
  }
}

async function table(
  print: (line: string) => void,
  title: string,
  running: readonly Server[],
  endMs: number,
): Promise<void> {
  print(`\n| ${title}, µs CPU | ${running.map(({ name }) => name).join(" | ")} |`);
  print(`|---${"|---".repeat(running.length)}|`);
  for (const { name, path, params } of dashboards(endMs)) {
    if (!NAMES.includes(name.split(" ", 1)[0]!)) continue;
    const costs = running.map(() => 0);
    for (let round = -WARM_ROUNDS; round < ROUNDS; round++) {
      for (const [s, server] of running.entries()) {
        const before = cpuSeconds(server.pid);
        for (let i = 0; i < ROUND_QUERIES; i++) await ask(server, path, params);
        if (round >= 0) costs[s]! += ((cpuSeconds(server.pid) - before) * 1e6) / (ROUNDS * ROUND_QUERIES);
      }
    }
    print(row([name.replaceAll("|", "\\|"), ...costs]));
  }
}
