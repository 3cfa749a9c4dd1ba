/** `tools promqltest`: scripts of Prometheus's promqltest format against our engine and our storage. */
import { readFileSync } from "node:fs";
import { BadRequestError, messageOf } from "#libs/kit/errors.ts";
import { Engine } from "#libs/promql/engine.ts";
import { formatReport, formatTotals } from "#libs/promql/promqltest/report.ts";
import { ALL_FEATURES, runScript, type ScriptReport, type ScriptStorage } from "#libs/promql/promqltest/run.ts";
import { HeadStorage } from "./promqltest-head.ts";
import { ChunkStorage } from "./promqltest-storage.ts";

export const STORAGES = {
  chunks: (): ScriptStorage => new ChunkStorage(),
  head: (): ScriptStorage => new HeadStorage(),
} as const;

export interface PromqltestOptions {
  /** Only evals whose query contains it; "" for all. */
  readonly run: string;
  readonly storage: keyof typeof STORAGES;
}

/** Runs files one after the other. @returns 0 if everything in them passed, else 1. */
export async function promqltest(
  files: readonly string[],
  options: PromqltestOptions,
  print: (text: string) => void,
  signal: AbortSignal,
): Promise<number> {
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const report = await runFile(file, options, signal);
    print(formatReport(report));
    passed += report.passed;
    failed += report.failures.length;
  }
  print(formatTotals(passed, failed));
  return failed === 0 ? 0 : 1;
}

export async function runFile(
  file: string,
  { run, storage: kind }: PromqltestOptions,
  signal: AbortSignal,
): Promise<ScriptReport> {
  const text = readScript(file);
  const storage = STORAGES[kind]();
  try {
    return await runScript(text, file, scriptEngine(), storage, run, signal);
  } finally {
    await storage.close();
  }
}

function readScript(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new BadRequestError(`no script can be read: ${messageOf(cause)}`, { cause });
  }
}

/** The settings that the scripts of Prometheus are written for. */
function scriptEngine(): Engine {
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
