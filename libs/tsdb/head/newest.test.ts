import { expect, test } from "vitest";
import { createMatcher } from "#libs/model/matcher.ts";
import {
  append,
  headFolder,
  HOUR,
  intHistogram,
  MINUTE,
  openHead,
  seen,
  STALE,
  T0,
  type TestSample,
} from "../../../test/support/head.ts";

test("the newest sample alone is given without the others, where that is all there is to know", async () => {
  const head = openHead(headFolder(), { outOfOrderMs: HOUR });
  const minutes = (...values: TestSample[1][]): TestSample[] => values.map((value, i) => [T0 + i * MINUTE, value]);
  append(head, ["__name__", "float"], minutes(1, 2, 3));
  append(
    head,
    ["__name__", "full"],
    Array.from({ length: 130 }, (_, i) => [T0 + i * 10_000, i] as const),
  );
  append(head, ["__name__", "histogram"], minutes(intHistogram([[0, 1]], [1]), intHistogram([[0, 1]], [2])));
  append(head, ["__name__", "late"], minutes(1, 2, 3));
  append(head, ["__name__", "late"], [[T0 + 30_000, 1.5]]);
  append(head, ["__name__", "nan"], minutes(1, NaN));
  append(head, ["__name__", "stale"], minutes(1, STALE));
  append(
    head,
    ["__name__", "started"],
    [
      [T0, 1, T0 - 1],
      [T0 + MINUTE, 2, T0 - 1],
      [T0 + 2 * MINUTE, 3, T0 + 1],
    ],
  );
  append(head, ["__name__", "deleted"], minutes(1, 2, 3));
  await head.deleteSeries(
    [createMatcher({ type: "=", name: "__name__", value: "deleted" })],
    T0 + 2 * MINUTE,
    Infinity,
  );
  const query = { matchers: [], mint: T0 + MINUTE / 2, skipChunks: false, limit: 0, newestOnly: true };
  const ask = async (maxt: number): Promise<[labels: string, newest: unknown, samples: number, start?: number][]> =>
    (await seen(head.frames({ ...query, maxt }, new AbortController().signal))).map(({ labels, samples }) => {
      const upTo = samples.filter(([time]) => time <= maxt);
      const [, value, start] = upTo.at(-1) ?? [];
      const name = labels.slice("__name__,".length);
      return start === undefined ? [name, value, samples.length] : [name, value, samples.length, start];
    });
  /** Of those whose newest sample alone is given. */
  const askViews = async (maxt: number): Promise<[labels: string, newest: number, time: number, start?: number][]> => {
    const found: [string, number, number, number?][] = [];
    for await (const { labels, newest } of head.views({ ...query, maxt }, new AbortController().signal)) {
      const values = new Float64Array(newest!.words.buffer);
      for (let s = 0; s < labels.count; s++)
        if (!Number.isNaN(newest!.times[s]!)) {
          const start = newest!.starts?.[s] ?? 0;
          const sample = [labels.labels(s)[1]!, values[s]!, (newest!.times[s]! - T0) / 1000] as const;
          found.push(start === 0 ? [...sample] : [...sample, start]);
        }
    }
    return found;
  };
  expect(await askViews(T0 + HOUR * 3)).toEqual([
    ["float", 3, 120],
    ["full", 129, 1290],
    ["nan", NaN, 60],
    ["stale", NaN, 60],
    ["started", 3, 120, T0 + 1],
  ]);
  expect(await askViews(T0 + MINUTE)).toEqual([
    ["nan", NaN, 60],
    ["stale", NaN, 60],
  ]);
  expect(await ask(T0 + HOUR * 3)).toEqual([
    ["deleted", 2, 2],
    ["float", 3, 1],
    ["full", 129, 1],
    ["histogram", [2], 2],
    ["late", 3, 4],
    ["nan", NaN, 1],
    ["stale", "stale", 1],
    ["started", 3, 1, T0 + 1],
  ]);
  // Of a moment before the newest sample all that may be needed is there.
  expect(await ask(T0 + MINUTE)).toEqual([
    ["deleted", 2, 2],
    ["float", 2, 3],
    ["full", 6, 120],
    ["histogram", [2], 2],
    ["late", 2, 4],
    ["nan", NaN, 1],
    ["stale", "stale", 1],
    ["started", 2, 3, T0 - 1],
  ]);
  query.mint = T0 + 3 * MINUTE;
  expect(await ask(T0 + HOUR * 3)).toEqual([["full", 129, 1]]);
  await head.close();
});
