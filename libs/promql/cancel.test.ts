/** A query ends soon after it is cancelled, wherever it is: here, once the stores have sent everything. */
import { describe, expect, test } from "vitest";
import type { SampleColumns } from "#libs/model/columns.ts";
import type { Labels } from "#libs/model/labels.ts";
import { Slices } from "#libs/kit/slices.ts";
import { Engine } from "./engine.ts";
import { forEachInSlices, sortInSlices } from "./operators/in-slices.ts";
import { ALL_FEATURES } from "./promqltest/run.ts";
import type { QueryStorage, SeriesBatch } from "./storage.ts";

const SERIES = 60_000;
const BATCH = 1000;

/** `a`, `b_bucket` and so on, each with one sample at 0. Calls `onEnd` when the last of `selects` is answered. */
function manySeries(selects: number, onEnd: () => void): QueryStorage {
  let left = selects;
  return {
    // oxlint-disable-next-line typescript/require-await -- the contract is asynchronous
    async *select({ matchers }) {
      const name = matchers.find((matcher) => matcher.name === "__name__")!.value;
      for (let from = 0; from < SERIES; from += BATCH) yield new Batch(name, from);
      if (--left === 0) onEnd();
    },
  };
}

class Batch implements SeriesBatch {
  readonly #name: string;
  readonly #end: number;
  #at: number;

  constructor(name: string, from: number) {
    this.#name = name;
    this.#at = from - 1;
    this.#end = from + BATCH;
  }

  next(): boolean {
    return ++this.#at < this.#end;
  }

  labels(): Labels {
    return ["__name__", this.#name, "i", String(this.#at).padStart(5, "0"), "le", "1"];
  }

  samples(columns: SampleColumns): void {
    columns.reserve(1);
    columns.times[0] = 0;
    columns.values[0] = this.#at % 1000;
    columns.length = 1;
  }
}

const engine = new Engine({
  lookbackMs: 300_000,
  timeoutMs: 60_000,
  samplesMax: 1e8,
  defaultStepMs: 60_000,
  parser: ALL_FEATURES,
});

describe("cancelled when the stores are done", () => {
  for (const [query, selects] of [
    ["a + ignoring(le) b", 2],
    ["a + on(i) group_left b", 2],
    ["a and b", 2],
    ["a or b", 2],
    ["a unless ignoring(le) b", 2],
    ["sort_desc(a)", 1],
    ["sort_by_label(a, 'i')", 1],
    ["histogram_quantile(0.9, b_bucket)", 1],
    ["label_replace(a, 'j', '$1', 'i', '(.*)')", 1],
    ['-{__name__="a", i!="x"} or -b', 2],
    ["info(a)", 1],
  ] as const) {
    test(query, async () => {
      const abort = new AbortController();
      // Behind what was sent already, before what the next turn of the event loop brings.
      const storage = manySeries(selects, () => setImmediate(() => abort.abort(new Error("gone"))));
      await expect(engine.instant(query, 0, storage, {}, abort.signal)).rejects.toThrow("gone");
    });
  }
});

describe("in slices", () => {
  const slices = new Slices(0);

  test("all are visited, in order", async () => {
    const seen: number[] = [];
    await forEachInSlices(200, (i) => seen.push(i), slices);
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  test("sorting is stable", async () => {
    const items = Array.from({ length: 10_000 }, (_, i) => ({ key: (i * 7919) % 100, i }));
    const byKey = (a: { key: number }, b: { key: number }): number => a.key - b.key;
    expect(await sortInSlices(items, byKey, slices)).toEqual(items.toSorted(byKey));
    expect(await sortInSlices([], byKey, slices)).toEqual([]);
  });
});
