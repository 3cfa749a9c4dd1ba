/** Where the recorded data of real programs lies. Beside the checkout; tests that need it are skipped by name without. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "vitest";

export const SHARED = resolve(import.meta.dirname, "../../../shared");
export const GOLDEN = resolve(SHARED, "golden/prometheus");
export const CONFORMANCE = resolve(SHARED, "conformance");

/** A group of tests over shared data: skipped by name where it is missing, failing there in CI. */
export function describeShared(name: string, path: string, body: () => void): void {
  if (existsSync(path) || process.env["CI"] === "true") describe(name, body);
  // The body reads the recordings while tests are collected, so it must not run without them.
  else describe.skip(name, () => test(`needs ${path.slice(SHARED.length + 1)} beside the checkout`, () => undefined));
}
