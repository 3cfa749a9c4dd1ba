/**
 * Memory of a query: bounded by what is under way, not by what it reads, and by --query.max-memory, without neighbours
 * noticing. The large form (a minute): QUERY_MEMORY_SERIES=100000 npx vitest run test/e2e/query-memory.test.ts
 */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { ask, startCairn, temporaryFolder } from "../support/process.ts";
import { write } from "../support/write.ts";

const SERIES = Number(process.env["QUERY_MEMORY_SERIES"] ?? 5000);
const BENCH = resolve(import.meta.dirname, "../../bench/query-memory.ts");

const { path, cleanup } = temporaryFolder("query-memory");
afterAll(cleanup);

// A merge of twelve blocks holds a frame and a buffer of each, and what is not collected yet of those before.
test.each([
  { blocks: 1, limitMb: 150 },
  { blocks: 12, limitMb: 150 },
])(
  `a rate over ${SERIES} series × 24 h out of $blocks blocks stays under $limitMb MB above idle`,
  async ({ blocks, limitMb }) => {
    const flags = ["--max-semi-space-size=2", BENCH, String(SERIES), String(blocks)];
    const { stdout } = await promisify(execFile)(process.execPath, flags);
    const result = JSON.parse(stdout) as Record<"groups" | "points" | "samples" | "idleMb" | "peakMb", number>;
    // 100 pods, or as many as there are hosts; a first step without two samples behind it, three samples behind the last.
    const groups = Math.min(100, SERIES / 100);
    expect([result.groups, result.points, result.samples]).toEqual([groups, groups * 1439, SERIES * 5757]);
    expect(result.peakMb - result.idleMb).toBeLessThan(limitMb);
  },
  300_000,
);

test("a query over --query.max-memory fails with its message, and neighbours do not notice", async () => {
  const cairn = await startCairn(path, ["--query.max-memory", "1MB"]);
  try {
    const now = Math.floor(Date.now() / 1000);
    const series = Array.from({ length: 2000 }, (_, i) => ({
      labels: { __name__: "m", i: String(i) },
      samples: [[now * 1000 - 600_000, i]] as const,
    }));
    expect((await write(cairn.remoteWrite, series)).status).toBe(204);
    const range = { start: String(now - 600), end: String(now), step: "1" };
    const large = (): Promise<Response> =>
      fetch(`${cairn.http}/api/v1/query_range?${new URLSearchParams({ query: "m + 1", ...range }).toString()}`);
    const small = async (i: number): Promise<unknown> => {
      const answer = await ask(cairn.http, "query", { query: `m{i="${i}"}`, time: String(now - 500) });
      return answer.data.result[0]?.value?.[1];
    };
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    const [failed, answered] = await Promise.all([
      Promise.all([large(), large(), large()]),
      Promise.all(numbers.map(small)),
    ]);
    for (const answer of failed) {
      expect(answer.status).toBe(422);
      expect(await answer.json()).toEqual({
        status: "error",
        errorType: "execution",
        error:
          "the query needs more than 1048576 bytes of memory" +
          " (--query.max-memory is 1048576; narrow the selectors, shorten the range or raise it)",
      });
    }
    expect(answered).toEqual(numbers.map(String));
    expect(await small(1999)).toBe("1999");
  } finally {
    await cairn.stop();
  }
});
