import { expect, test } from "vitest";
import { labelsKey } from "#libs/model/labels.ts";
import { type SeriesFrame, FrameReader, seriesCount } from "#libs/tsdb/series/frame.ts";
import type { SeriesView } from "#libs/tsdb/series/view.ts";
import { append, headFolder, intHistogram, MINUTE, openHead, T0 } from "../../../test/support/head.ts";
import { seeded } from "../../../test/support/write.ts";

const everything = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
const signal = new AbortController().signal;

/** Labels and bytes of chunks by series. */
type Series = [labels: string, chunks: string[]];

function chunksOf({ dataEnds, data }: Pick<SeriesFrame, "dataEnds" | "data">, from: number, to: number): string[] {
  const startOf = (i: number): number => (i === 0 ? 0 : dataEnds[i - 1]!);
  return Array.from({ length: to - from }, (_, n) =>
    Buffer.from(data.subarray(startOf(from + n), dataEnds[from + n])).toString("hex"),
  );
}

test("views have what frames have, however each is used", async () => {
  const random = seeded(5);
  const head = openHead(headFolder(), { outOfOrderMs: MINUTE });
  // More than a view holds, of several symbols, some with histograms, full chunks and late samples.
  for (let i = 0; i < 6000; i++) {
    const labels = ["__name__", `m${i % 7}`, "id", String(i), ...(i % 3 === 0 ? ["job", `j${i % 40}`] : [])];
    const count = i % 50 === 0 ? 200 : 1 + Math.floor(random() * 3);
    append(
      head,
      labels,
      Array.from({ length: count }, (_, k) => [
        T0 + k * 1000,
        i % 11 === 0 ? intHistogram([[0, 1]], [k + 1]) : random(),
      ]),
    );
    if (i % 90 === 0) append(head, labels, [[T0 + 500, 1]]);
  }
  const reader = new FrameReader();
  const fromFrame = (frame: SeriesFrame): Series[] => {
    const out: Series[] = [];
    reader.enter(frame);
    for (let s = 0; s < seriesCount(frame); s++) {
      reader.next();
      out.push([labelsKey(reader.labels()), chunksOf(frame, reader.chunkFrom, reader.chunkTo)]);
    }
    return out;
  };
  const want: Series[] = [];
  for await (const frame of head.frames(everything, signal)) want.push(...fromFrame(frame));
  expect(want.length).toBe(6000);

  const direct = ({ labels, chunkEnds }: SeriesView, chunks: SeriesView["chunks"]): Series[] =>
    Array.from(chunkEnds, (end, s) => [
      labelsKey(labels.labels(s)),
      chunksOf(chunks, s === 0 ? 0 : chunkEnds[s - 1]!, end),
    ]);
  for (const order of [[0], [1], [0, 1, 2], [2, 2, 0]]) {
    const got: Series[] = [];
    reader.symbols.length = 0;
    let n = 0;
    for await (const view of head.views(everything, signal)) {
      const way = order[n++ % order.length];
      if (way === 0) got.push(...direct(view, view.chunks));
      else if (way === 1) got.push(...direct(view, view.take()));
      else got.push(...fromFrame(view.toFrame()));
    }
    expect(n).toBeGreaterThan(2);
    expect(got).toEqual(want);
  }
  await head.close();
});

test("labels of a view stay when the head has grown and views have followed", async () => {
  const head = openHead(headFolder());
  for (let i = 0; i < 3000; i++) append(head, ["__name__", "m", "id", String(i).padStart(4, "0")], [[T0, i]]);
  const seen: SeriesView["labels"][] = [];
  for await (const view of head.views(everything, signal)) {
    seen.push(view.labels);
    for (let i = 0; i < 3000; i++) append(head, ["__name__", `new${seen.length}`, "id", `x${i}`], [[T0, i]]);
  }
  const ids = seen.flatMap((labels) => Array.from({ length: labels.count }, (_, s) => labels.labels(s)[3]));
  expect(ids).toEqual(Array.from({ length: 3000 }, (_, i) => String(i).padStart(4, "0")));
  await head.close();
});
