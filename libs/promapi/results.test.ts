import { expect, test } from "vitest";
import { Slices } from "#libs/kit/slices.ts";
import type { QueryResult } from "#libs/promql/engine.ts";
import { createTile } from "#libs/promql/tile.ts";
import { writeResult } from "./results.ts";

test("a request that is cancelled while its answer is written ends", async () => {
  const tile = createTile(100_000, 1);
  for (let s = 0; s < 100_000; s++) tile.labels.push(["i", String(s)]);
  tile.present.fill(1);
  const result: QueryResult = {
    value: { type: "vector", tile, timeMs: 0 },
    warnings: [],
    infos: [],
    stats: { samplesLoaded: 0, samplesPeak: 0, bytesPeak: 0, tookMs: 0 },
  };
  const abort = new AbortController();
  setImmediate(() => abort.abort(new Error("gone")));
  const options = { limit: 0, stats: "", analysis: false };
  await expect(writeResult(result, options, new Slices(1, abort.signal))).rejects.toThrow("gone");
});
