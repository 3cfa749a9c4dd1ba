/** Who may import whom (STYLE §1), as a test: fails with the sentence to act on, and when it saw too few files. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");
const ANYTHING = ["gen", "libs/", "services/", "tools", "bench", "test", "main.ts", "all.ts"];

/** Folder → what it may import besides itself and npm; the first match counts. */
const MAY_IMPORT: readonly (readonly [folder: string, allowed: readonly string[]])[] = [
  ["gen", []],
  ["libs/kit", ["gen"]],
  ["libs/model", ["libs/kit"]],
  ["libs/tsdb", ["libs/kit", "libs/model"]],
  ["libs/promql", ["libs/kit", "libs/model"]],
  ["libs/objstore", ["libs/kit"]],
  ["libs/storeapi", ["libs/kit", "libs/model", "libs/tsdb", "gen"]],
  ["libs/promapi", ["libs/kit", "libs/model", "libs/promql"]],
  ["services/", ["libs/", "gen"]],
  ["main.ts", ["services/", "libs/kit", "all.ts", "tools"]],
  ["all.ts", ["services/", "libs/kit", "libs/objstore", "libs/storeapi"]],
  ["tools", ANYTHING],
  ["bench", ANYTHING],
  ["test", ANYTHING],
];

/** npm package → where it may be imported. */
const PACKAGE_HOMES: Readonly<Record<string, readonly string[]>> = {
  "@grpc/grpc-js": ["libs/kit", "libs/storeapi", "test", "bench"],
  fastify: ["libs/kit", "libs/promapi", "services/"],
  "@aws-sdk/client-s3": ["libs/objstore/s3.ts", "test"],
  ioredis: ["libs/cache/redis.ts", "libs/ring", "test"],
  re2js: ["libs/model", "libs/promql"],
  commander: ["main.ts", "tools"],
  // Each loads much of what one thread needs: through libs/kit/prometheus.ts and libs/kit/yaml.ts.
  "prom-client": ["libs/kit"],
  yaml: ["libs/kit"],
};

interface Import {
  readonly from: string;
  readonly to: string;
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

function importsOf(file: string, text: string): Import[] {
  const found = text.matchAll(/^(?:import|export)\b[^;]*?from "([^"]+)"|import\("([^"]+)"\)/gm);
  return [...found].map((match) => {
    const spec = (match[1] ?? match[2])!;
    if (spec.startsWith("#")) return { from: file, to: spec.slice(1) };
    if (spec.startsWith(".")) return { from: file, to: relative(ROOT, resolve(ROOT, dirname(file), spec)) };
    return { from: file, to: `npm:${spec}` };
  });
}

/** The unit a file belongs to: services are one each. */
function unitOf(path: string): string {
  const [first, second] = path.split("/");
  if (first === "services" || first === "libs") return `${first}/${second}`;
  return first!;
}

/** What is wrong with an import, or undefined. Tests beside the code may also use what tests use. */
function violation({ from, to }: Import): string | undefined {
  if (to.startsWith("npm:")) {
    const name = to.slice(4).replace(/^(@[^/]+\/[^/]+|[^@/][^/]*).*$/, "$1");
    const homes = PACKAGE_HOMES[name];
    if (homes === undefined || homes.some((home) => from.startsWith(home))) return undefined;
    return `${from} imports ${name}: only ${homes.join(", ")} may; move the code there or pass what it makes`;
  }
  if (unitOf(from) === unitOf(to)) return undefined;
  if (from.endsWith(".test.ts") && (to.startsWith("test/") || to.startsWith("libs/"))) return undefined;
  const rule = MAY_IMPORT.find(([folder]) => from.startsWith(folder));
  if (rule === undefined) return `${from}: add its folder to MAY_IMPORT in test/tidy.test.ts`;
  if (rule[1].some((allowed) => to.startsWith(allowed))) return undefined;
  return `${from} imports ${to}: ${rule[0]} may import only ${rule[1].join(", ") || "npm"}; move the code or pass it as a parameter`;
}

const files = ["libs", "services", "tools", "bench", "test", "gen"]
  .filter((folder) => existsSync(join(ROOT, folder)))
  .flatMap(sources);

describe("tidy", () => {
  test("sees the whole tree", () => {
    expect(files.length).toBeGreaterThan(90);
    expect(files.flatMap((file) => importsOf(file, readFileSync(join(ROOT, file), "utf8"))).length).toBeGreaterThan(
      300,
    );
  });

  test("imports follow the table", () => {
    const all = [...files, "main.ts", "all.ts"];
    const found = all.flatMap((file) => importsOf(file, readFileSync(join(ROOT, file), "utf8"))).map(violation);
    expect(found.filter((text) => text !== undefined)).toEqual([]);
  });

  test("catches planted violations", () => {
    const planted = [
      ["libs/promql/engine.ts", 'import { Head } from "#libs/tsdb/head/head.ts";'],
      ["services/querier/main.ts", 'import { Shipper } from "../receiver/shipper.ts";'],
      ["libs/tsdb/head/head.ts", 'import fastify from "fastify";'],
      ["libs/kit/env.ts", 'import { NO_LABELS } from "#libs/model/labels.ts";'],
      ["services/querier/main.ts", 'const x = await import("#tools/load.ts");'],
    ] as const;
    for (const [file, text] of planted) expect(importsOf(file, text).map(violation)).not.toContain(undefined);
  });

  test("pages have no marks of a merge left", () => {
    const pages = execFileSync("git", ["ls-files", "*.md"], { cwd: ROOT, encoding: "utf8" }).trim().split("\n");
    expect(pages.length).toBeGreaterThan(20);
    const marked = pages.filter((page) => /^(?:<{7}|>{7}|(?:> ){7})/m.test(readFileSync(join(ROOT, page), "utf8")));
    expect(marked).toEqual([]);
  });

  test("no machine path, no disabled check without a reason, one closing of a test file", () => {
    const bad = files.flatMap((file) => {
      const text = readFileSync(join(ROOT, file), "utf8");
      const lines = text.split("\n").map((line, i) => ({ line, at: `${file}:${i + 1}` }));
      return lines
        .filter(
          ({ line }) =>
            /oxlint-disable(?!.*--)|@ts-(?:ignore|nocheck|expect-error)|catch \{\s*\}|\b(?:test|it|describe)\.(?:only|todo)\(/.test(
              line,
            ) && !file.includes("tidy.test"),
        )
        .map(({ at, line }) => `${at}: ${line.trim()}`);
    });
    expect(bad).toEqual([]);
  });
});
