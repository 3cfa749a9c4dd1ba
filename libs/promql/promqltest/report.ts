/** What the runs of scripts gave, for people to read. */
import type { ScriptReport } from "./run.ts";

/** Each failure as `file:line: query` and what differs, then the totals of the file. */
export function formatReport({ file, passed, failures }: ScriptReport): string {
  const lines = failures.flatMap(({ line, what, run, wanted, got }) => [
    `${file}:${line}: ${what}`,
    ...(run === "" ? [] : [`  run:    ${run}`]),
    `  wanted: ${wanted}`,
    `  got:    ${got}`,
  ]);
  return [...lines, `${file}: ${formatTotals(passed, failures.length)}`].join("\n");
}

export function formatTotals(passed: number, failed: number): string {
  return `${passed} passed, ${failed} failed`;
}
