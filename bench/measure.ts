/** Measuring: repeated timing in this process, CPU and memory of other processes from /proc. */
import { readFileSync } from "node:fs";

export interface Timing {
  readonly best: number;
  readonly median: number;
}

/** Milliseconds of `job`, best and median of `runs` after one warm-up. */
export function time(runs: number, job: () => void): Timing {
  job();
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const startedAt = performance.now();
    job();
    times.push(performance.now() - startedAt);
  }
  return summary(times);
}

export function summary(times: readonly number[]): Timing {
  const sorted = times.toSorted((a, b) => a - b);
  return { best: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]! };
}

/** CPU seconds, user and system, of all threads of a process. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export function rssMegabytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}

export function row(cells: readonly (string | number)[]): string {
  return `| ${cells.map((cell) => (typeof cell === "number" ? cell.toPrecision(3) : cell)).join(" | ")} |`;
}
