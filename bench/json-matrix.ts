/** 1000 series × 240 points as JSON: our bytes writer beside JSON.stringify of points. */
import { Slices } from "#libs/kit/slices.ts";
import { writeResult } from "#libs/promapi/results.ts";
import type { QueryResult } from "#libs/promql/engine.ts";
import { createTile } from "#libs/promql/tile.ts";
import { loadSeries } from "#tools/load.ts";
import { row, summary, time } from "./measure.ts";

export async function jsonMatrix(print: (line: string) => void): Promise<void> {
  const series = 1000;
  const count = 240;
  const tile = createTile(series, count);
  for (let s = 0; s < series; s++) {
    const { labels, valueAt } = loadSeries(s, 1);
    tile.labels.push(labels.flatMap(({ name, value }) => [name, value]));
    for (let i = 0; i < count; i++) tile.values[s * count + i] = valueAt(i);
  }
  tile.present.fill(1);
  const steps = { startMs: 1.7e12, stepMs: 15_000, count };
  const result: QueryResult = {
    value: { type: "matrix", tile, steps },
    warnings: [],
    infos: [],
    stats: { samplesLoaded: 0, bytesPeak: 0, samplesPeak: 0, tookMs: 0 },
  };
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const startedAt = performance.now();
    await writeResult(result, { limit: 0, stats: "", analysis: false }, new Slices(10));
    times.push(performance.now() - startedAt);
  }
  const ours = summary(times);
  const plain = time(5, () => {
    const list = tile.labels.map((labels, s) => ({
      metric: Object.fromEntries(labels.map((_, i) => [labels[i - (i % 2)], labels[i - (i % 2) + 1]])),
      values: Array.from({ length: count }, (_, i) => [1.7e9 + i * 15, String(tile.values[s * count + i])]),
    }));
    JSON.stringify({ status: "success", data: { resultType: "matrix", result: list } });
  });
  print(
    row(["JSON matrix of 240,000 points, ms", ours.best, ours.median, `JSON.stringify ${plain.best.toFixed(0)} ms`]),
  );
}
