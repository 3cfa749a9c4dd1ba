/** Memory of one large query, each measured in a process of its own (query-memory.ts). */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { row } from "./measure.ts";
import type { QueryMemory } from "./query-memory.ts";

export function queryMemory(print: (line: string) => void): void {
  const series = process.env["BENCH_SERIES"] ?? "100000";
  for (const [blocks, thread] of [
    ["1", "store"],
    ["12", "store"],
    ["12", "query"],
  ] as const) {
    const flags = ["--max-semi-space-size=2", join(import.meta.dirname, "query-memory.ts"), series, blocks, thread];
    const result = JSON.parse(execFileSync(process.execPath, flags, { encoding: "utf8" })) as QueryMemory;
    const { idleMb, peakMb, samples, cpuSeconds, seconds } = result;
    print(
      row([
        `sum by (pod) (rate(m[5m])), ${series} series × 24 h, ${blocks} blocks, read on the ${thread} thread`,
        "MB above idle",
        peakMb - idleMb,
        `idle ${idleMb.toFixed(0)} MB, ${((cpuSeconds * 1e9) / samples).toFixed(1)} ns CPU a sample, ${seconds.toFixed(1)} s`,
      ]),
    );
  }
}
