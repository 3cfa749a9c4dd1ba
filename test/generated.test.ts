/** What is committed but derived is current: gen/ from proto/, docs/flags/ from the option tables, kernels. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");

function filesBelow(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    names.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(folder.length + 1), readFileSync(path, "utf8")];
    }),
  );
}

function expectSame(committed: string, made: string): void {
  expect(Object.fromEntries(filesBelow(made)), `run npm run generate and commit ${committed}`).toEqual(
    Object.fromEntries(filesBelow(join(ROOT, committed))),
  );
}

test("gen/ is what buf makes of proto/", () => {
  const out = mkdtempSync(join(tmpdir(), "cairn-gen-"));
  try {
    const bin = join(ROOT, "node_modules/.bin");
    const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}` };
    execFileSync(join(bin, "buf"), ["lint"], { cwd: ROOT, env });
    execFileSync(join(bin, "buf"), ["generate", "-o", out], { cwd: ROOT, env });
    expectSame("gen", join(out, "gen"));
  } finally {
    rmSync(out, { recursive: true });
  }
});

test("a kernel is what its source compiles to", () => {
  const out = mkdtempSync(join(tmpdir(), "cairn-kernel-"));
  try {
    const made = join(out, "made.wasm");
    const env = { ...process.env, PATH: `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}` };
    const kernel = "libs/tsdb/chunk/kernel/decode-xor";
    execFileSync("sh", ["scripts/compile-kernel.sh", `${kernel}.ts`, made], { cwd: ROOT, env });
    const same = readFileSync(made).equals(readFileSync(join(ROOT, `${kernel}.wasm`)));
    expect(same, "run npm run generate and commit the kernel").toBe(true);
  } finally {
    rmSync(out, { recursive: true });
  }
});

test("docs/flags/ is what the option tables say", () => {
  const out = mkdtempSync(join(tmpdir(), "cairn-flags-"));
  try {
    execFileSync(process.execPath, [join(ROOT, "main.ts"), "docs", "flags", out]);
    expectSame("docs/flags", out);
  } finally {
    rmSync(out, { recursive: true });
  }
});
