/** Merging streams and adding labels, in columns, against what maps of label sets say. */
import { expect, test } from "vitest";
import { compareLabels, type Labels, labelsFrom, withLabel } from "#libs/model/labels.ts";
import { FrameBuilder, FrameReader, type SeriesFrame } from "#libs/tsdb/series/frame.ts";
import { seeded } from "../../test/support/write.ts";
import { asItems, changeLabels, framesOf } from "./frames.ts";
import { mergeItems } from "./merge-items.ts";

/** Chunks of one byte, which says what they are. */
interface Series {
  readonly labels: Labels;
  readonly chunks: readonly (readonly [mint: number, byte: number])[];
}

async function* streamOf(series: readonly Series[], perFrame: number): AsyncGenerator<SeriesFrame> {
  const builder = new FrameBuilder();
  for (const [i, { labels, chunks }] of series.entries()) {
    builder.labels(labels);
    for (const [mint, byte] of chunks) builder.chunk(mint, mint + 9, 1, Uint8Array.of(byte), 0, 1);
    builder.endSeries();
    if (i % perFrame === perFrame - 1) yield builder.take();
    if (i % 7 === 0) await Promise.resolve();
  }
  yield builder.take();
}

async function read(frames: AsyncIterable<SeriesFrame>): Promise<Series[]> {
  const reader = new FrameReader();
  const out: Series[] = [];
  for await (const frame of frames) {
    reader.enter(frame);
    while (reader.next()) {
      const chunks = [];
      for (let i = reader.chunkFrom; i < reader.chunkTo; i++) {
        const { mint, data } = reader.chunk(i);
        chunks.push([mint, data[0]!] as const);
      }
      out.push({ labels: reader.labels(), chunks });
    }
  }
  return out;
}

const random = seeded(11);
const below = (n: number): number => Math.floor(random() * n);

/** Ascending, each once. Values are names of others, too. */
function someSeries(count: number): Series[] {
  const sets = new Map<string, Labels>();
  for (let i = 0; i < count; i++) {
    const labels = labelsFrom([
      ["__name__", `m${below(3)}`],
      ["m1", below(2) === 0 ? "" : `v${below(600)}`],
      ["é", below(3) === 0 ? "" : "m1"],
      ["z", `${below(40)}`],
    ]);
    sets.set(labels.join("\n"), labels);
  }
  const sorted = [...sets.values()].sort(compareLabels);
  return sorted.map((labels) => ({
    labels,
    chunks: Array.from({ length: below(4) }, (_, i) => [10 * i + below(2), below(3)] as const),
  }));
}

test("streams become one: each series once, with every distinct chunk, ascending", async () => {
  for (let round = 0; round < 20; round++) {
    const streams = Array.from({ length: 1 + below(5) }, (_, i) => someSeries(i % 3 === 2 ? 0 : 500));
    const want = new Map<string, { labels: Labels; chunks: Set<string> }>();
    for (const { labels, chunks } of streams.flat()) {
      const entry = want.get(labels.join("\n")) ?? { labels, chunks: new Set() };
      for (const chunk of chunks) entry.chunks.add(chunk.join());
      want.set(labels.join("\n"), entry);
    }
    const items = streams.map((series) => asItems(streamOf(series, 1 + below(90))));
    const got = await read(framesOf(mergeItems(items), () => undefined));
    expect(got.map(({ labels }) => labels)).toEqual(
      [...want.values()].map(({ labels }) => labels).toSorted(compareLabels),
    );
    for (const { labels, chunks } of got) {
      expect(new Set(chunks.map((chunk) => chunk.join()))).toEqual(want.get(labels.join("\n"))!.chunks);
      expect(chunks).toEqual(chunks.toSorted((a, b) => a[0] - b[0]));
    }
  }
});

test("labels are added where they belong, over all frames of a stream", async () => {
  for (const external of [
    ["a", "1"],
    ["m2", "x", "ñ", "y"],
    ["_", "m1", "zz", "v7"],
  ]) {
    const series = someSeries(900);
    const want = series.map(({ labels, chunks }) => {
      let all = labels;
      for (let i = 0; i < external.length; i += 2) all = withLabel(all, external[i]!, external[i + 1]!);
      return { labels: all, chunks };
    });
    const change = { external, without: new Set<string>(), mayReorder: false };
    expect(await read(changeLabels(streamOf(series, 70), change))).toEqual(want);
  }
});
