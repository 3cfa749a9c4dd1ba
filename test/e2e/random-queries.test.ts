/**
 * Random queries over a mixed data set, against a real Prometheus that holds the same: results, errors, warnings.
 *
 * Debian's 2.42 limits it to its language and to what did not change since. With PROMETHEUS_3 naming the binary of a
 * 3.x, the whole language is asked, over histograms too: `RANDOM_QUERIES=3000 PROMETHEUS_3=… vitest run …`.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DATA_START_MS, DATA_STEP_MS, DATA_STEPS, mixedBodies } from "../support/mixed-data.ts";
import {
  type Cairn,
  describeWith,
  describeWithPrometheus3,
  freePort,
  run,
  type Running,
  startCairn,
  temporaryFolder,
  until,
} from "../support/process.ts";
import { QueryGenerator } from "../support/random-query.ts";
import { seeded } from "../support/write.ts";

const COUNT = Number(process.env["RANDOM_QUERIES"] ?? 150);
/** Beside 2.42: of three thousand, three meet arithmetic that has changed since. */
const COUNT_OLD_MAX = 1000;
const SEED = Number(process.env["RANDOM_SEED"] ?? 1);
const TOLERANCE = 1e-12;
const ALL_FEATURES =
  "promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors,promql-binop-fill-modifiers";

/** What is explained in decisions/0011; told apart, and at most a hundredth of all. */
const KNOWN: readonly RegExp[] = [
  // Which of equal values ranks depends on the order in which Prometheus walks a hash table.
  /topk|bottomk/,
  /\binfo\(.*\[/,
  /\bstd(?:dev|var)\b.*\btimestamp\(/,
  /\btimestamp\([^()]*@[^()]*(?:\([^()]*\))?[^()]*offset/,
  // Last digits of the C library's or Go's own functions: as labels, and magnified.
  /count_values.*(?:\b(?:exp|ln|log2|log10|sqrt|a?(?:sin|cos|tan)h?)\(|\^)/,
  /\b(?:sin|cos|tan)\(.*(?:\^|\bexp\()/,
];

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly errorType?: string;
  readonly warnings?: string[];
  readonly infos?: string[];
  readonly data?: {
    readonly resultType: string;
    readonly result: unknown;
    readonly stats?: { readonly samples: { readonly totalQueryableSamples: number; readonly samplesRead: number } };
  };
}

async function ask(base: string, path: string, params: Record<string, string>): Promise<Answer> {
  const answer = await fetch(`${base}/api/v1/${path}`, { method: "POST", body: new URLSearchParams(params) });
  return (await answer.json()) as Answer;
}

/** A result as a map from series to its points, so that order does not count. */
function pointsOf(answer: Answer): Map<string, unknown> {
  const { resultType, result } = answer.data!;
  if (!Array.isArray(result) || resultType === "scalar" || resultType === "string") return new Map([["", result]]);
  const points = new Map<string, unknown>();
  for (const series of result as { metric: Record<string, string> }[]) {
    const { metric, ...rest } = series;
    const key = JSON.stringify(Object.entries(metric).sort(([a], [b]) => (a < b ? -1 : 1)));
    points.set(key, rest);
  }
  return points;
}

/** The largest relative difference of the numbers in two JSON values of one shape; Infinity when the shapes differ. */
function difference(a: unknown, b: unknown): number {
  if (typeof a === "string" && typeof b === "string") {
    if (a === b) return 0;
    const [x, y] = [Number(a), Number(b)];
    if (!Number.isFinite(x) || !Number.isFinite(y)) return Infinity;
    return Math.abs(x - y) / Math.max(Math.abs(x), Math.abs(y));
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length ? Math.max(0, ...a.map((item, i) => difference(item, b[i]))) : Infinity;
  }
  if (typeof a === "object" && a !== null && typeof b === "object" && b !== null) {
    const keys = Object.keys(a);
    if (keys.length !== Object.keys(b).length) return Infinity;
    return Math.max(
      0,
      ...keys.map((key) => difference((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])),
    );
  }
  return a === b ? 0 : Infinity;
}

/** Which of several doubles is named depends on the order of series, which a head does not define. */
function shownError({ error }: Answer): string {
  return error!.replace(/(found duplicate series for the match group) .* (on the (?:left|right) hand-side).*/, "$1 $2");
}

/** Prometheus joins the figures of a range query with themselves at every step: its number of samples says nothing. */
function shownNote(note: string): string {
  return note.replace(/over -?\d+ samples/, "over N samples");
}

/** What is different about two answers; "" when nothing counts. */
function compare(ours: Answer, theirs: Answer, notes: boolean): { text: string; relative: number } {
  if (ours.status !== theirs.status) {
    return {
      text: `${ours.status} (${ours.error ?? ""}) against ${theirs.status} (${theirs.error ?? ""})`,
      relative: 0,
    };
  }
  if (ours.status === "error") {
    const same = shownError(ours) === shownError(theirs) && ours.errorType === theirs.errorType;
    return {
      text: same ? "" : `${ours.errorType}: ${ours.error} against ${theirs.errorType}: ${theirs.error}`,
      relative: 0,
    };
  }
  if (ours.data!.resultType !== theirs.data!.resultType) return { text: "another type of result", relative: 0 };
  const [mine, other] = [pointsOf(ours), pointsOf(theirs)];
  const missing = [...other.keys()].filter((key) => !mine.has(key));
  const extra = [...mine.keys()].filter((key) => !other.has(key));
  if (missing.length + extra.length > 0) {
    return {
      text: `${missing.length} series missing (${missing[0] ?? ""}), ${extra.length} too many (${extra[0] ?? ""})`,
      relative: 0,
    };
  }
  let relative = 0;
  for (const [key, points] of mine) {
    const apart = difference(points, other.get(key));
    relative = Math.max(relative, apart);
    if (apart > TOLERANCE) {
      return {
        text: `${key}: ${JSON.stringify(points).slice(0, 300)} against ${JSON.stringify(other.get(key)).slice(0, 300)}`,
        relative,
      };
    }
  }
  if (notes) {
    const sorted = (list: string[] | undefined): string => JSON.stringify((list ?? []).map(shownNote).sort());
    for (const kind of ["warnings", "infos"] as const) {
      if (sorted(ours[kind]) !== sorted(theirs[kind]))
        return { text: `${kind} ${sorted(ours[kind])} against ${sorted(theirs[kind])}`, relative };
    }
  }
  return { text: "", relative };
}

/** What is different about the samples counted. Those that a subquery reads in vain count with us (decisions/0009). */
function compareCounts(ours: Answer, theirs: Answer, query: string): string {
  const shown = ({ data }: Answer): string => {
    const { totalQueryableSamples, samplesRead } = data?.stats?.samples ?? {};
    return `${totalQueryableSamples} queryable${/\[\w+:\w*\]/.test(query) ? "" : `, ${samplesRead} read`}`;
  };
  return shown(ours) === shown(theirs) ? "" : `${shown(ours)} against ${shown(theirs)}`;
}

function body(program: string, isNew: boolean): void {
  const { path, cleanup } = temporaryFolder("random");
  let cairn: Cairn;
  let prometheus: Running;
  let base = "";
  beforeAll(async () => {
    const port = await freePort();
    base = `http://127.0.0.1:${port}`;
    writeFileSync(join(path, "prometheus.yml"), "global: {scrape_interval: 1h}\n");
    prometheus = run(program, [
      `--config.file=${join(path, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(path, "tsdb")}`,
      "--storage.tsdb.retention.time=100y",
      `--web.listen-address=127.0.0.1:${port}`,
      "--web.enable-remote-write-receiver",
      `--enable-feature=${isNew ? ALL_FEATURES : "native-histograms"}`,
    ]);
    cairn = await startCairn(join(path, "cairn"), [
      "--tsdb.retention=100y",
      `--enable-feature=${ALL_FEATURES}`,
      // Odd seeds read views, even ones frames.
      `--receive.ingest-thread=${SEED % 2 === 0 ? "own" : "main"}`,
    ]);
    await until("Prometheus is ready", async () =>
      (await fetch(`${base}/-/ready`).catch(() => undefined))?.ok === true ? true : undefined,
    );
    for (const bytes of mixedBodies(SEED, isNew)) {
      for (const url of [`${base}/api/v1/write`, cairn.remoteWrite]) {
        const headers = { "content-type": "application/x-protobuf", "content-encoding": "snappy" };
        const answer = await fetch(url, { method: "POST", body: new Uint8Array(bytes), headers });
        expect(answer.status, await answer.text()).toBe(204);
      }
    }
  });
  afterAll(async () => {
    await prometheus.stop("SIGKILL");
    await cairn.stop();
    cleanup();
  });

  const count = isNew ? COUNT : Math.min(COUNT, COUNT_OLD_MAX);
  test(`${count} queries, instant and range`, { timeout: 60_000 + count * 400 }, async () => {
    const random = seeded(SEED + 7);
    const seconds = (step: number): number => (DATA_START_MS + step * DATA_STEP_MS) / 1000 + 7.123;
    const generator = new QueryGenerator(random, isNew ? "3.14" : "2.42", [seconds(200), seconds(333)]);
    const wrong: string[] = [];
    let withData = 0;
    let exact = 0;
    let known = 0;
    let asked = 0;
    for (let i = 0; i < count; i++) {
      const query = generator.next().text;
      // Counting takes other ways through the engine.
      const stats = i % 2 === 0 ? "" : "all";
      const time = String(seconds(60 + Math.floor(random() * (DATA_STEPS - 60))));
      const from = 40 + Math.floor(random() * 300);
      const range = {
        query,
        stats,
        start: String(seconds(from)),
        end: String(seconds(from + 20 + Math.floor(random() * 100))),
        step: ["15", "60", "47", "300"][Math.floor(random() * 4)]!,
      };
      for (const [path, params] of [
        ["query", { query, stats, time }],
        ["query_range", range],
      ] as const) {
        const [ours, theirs] = await Promise.all([ask(cairn.http, path, params), ask(base, path, params)]);
        asked++;
        const { text: told, relative } = compare(ours, theirs, isNew);
        const text = told === "" && isNew ? compareCounts(ours, theirs, query) : told;
        if (theirs.status === "success" && JSON.stringify(theirs.data).includes("metric")) withData++;
        if (told === "" && relative === 0) exact++;
        if (text !== "" && KNOWN.some((pattern) => pattern.test(query))) known++;
        else if (text !== "") wrong.push(`${path} ${JSON.stringify(params)}\n    ${text}`);
      }
    }
    console.log(
      `${asked} answers, ${withData} with data, ${exact} equal to the digit, ${known} different as known, ${wrong.length} otherwise`,
    );
    if (process.env["RANDOM_REPORT"] !== undefined) writeFileSync(process.env["RANDOM_REPORT"], wrong.join("\n"));
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(known).toBeLessThan(asked / 100);
    expect(withData).toBeGreaterThan(asked / 4);
  });
}

describeWith("prometheus", "random queries beside Debian's Prometheus", () => body("prometheus", false));

describeWithPrometheus3("random queries beside a Prometheus 3", (program) => body(program, true));
