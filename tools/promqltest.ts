/** `tools promqltest`: scripts of Prometheus's promqltest format against our engine and our chunks. */
import { readFileSync } from "node:fs";
import { Engine } from "#libs/promql/engine.ts";
import { formatReport, formatTotals } from "#libs/promql/promqltest/report.ts";
import { ALL_FEATURES, runScript, type ScriptReport } from "#libs/promql/promqltest/run.ts";
import { ChunkStorage } from "./promqltest-storage.ts";

export interface PromqltestOptions {
  /** Only evals whose query contains it; "" for all. */
  readonly run: string;
}

/** The settings that the scripts of Prometheus are written for. */
export function scriptEngine(): Engine {
  return new Engine({
    lookbackMs: 300_000,
    defaultStepMs: 60_000,
    timeoutMs: 100_000,
    samplesMax: 1_000_000,
    parser: ALL_FEATURES,
    delayedNameRemoval: true,
    useStartTimestamps: true,
  });
}

/** Runs files one after the other. @returns 0 if everything in them passed, else 1. */
export async function promqltest(
  files: readonly string[],
  { run }: PromqltestOptions,
  print: (text: string) => void,
  signal: AbortSignal,
): Promise<number> {
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const report = await runFile(file, run, signal);
    print(formatReport(report));
    passed += report.passed;
    failed += report.failures.length;
  }
  print(formatTotals(passed, failed));
  return failed === 0 ? 0 : 1;
}

export async function runFile(file: string, only: string, signal: AbortSignal): Promise<ScriptReport> {
  return runScript(readFileSync(file, "utf8"), file, scriptEngine(), new ChunkStorage(), only, signal);
}
