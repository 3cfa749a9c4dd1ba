/** What every Store must do, over each way to reach one: here, on another thread's port, by gRPC, behind the proxy. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEnv } from "#libs/kit/env.ts";
import { serveGrpc } from "#libs/kit/grpc-port.ts";
import { silentLog } from "#libs/kit/log.ts";
import { localPeer, RpcClient, serveRpc } from "#libs/kit/rpc.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { formatLabels, type Labels, labelsFrom } from "#libs/model/labels.ts";
import type { MatcherSpec, MatchType } from "#libs/model/matcher.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";
import { decodeFrameChunks, foldReplicas } from "./dedup.ts";
import { frameOf } from "./frames.ts";
import { grpcStore } from "./grpc-client.ts";
import { storeBytesHandlers, storeGrpcService } from "./grpc-server.ts";
import { storeHandlers, storeOf } from "./port.ts";
import { ProxyStore } from "./proxy.ts";
import { sourceItems, sourceLabelNames, sourceLabelValues } from "./series-source.ts";
import type { SeriesRequest, Store } from "./store.ts";

const T0 = 1_700_000_000_000;
const folder = mkdtempSync(join(tmpdir(), "cairn-store-"));
const env = createEnv(silentLog(), () => Date.now(), new AbortController().signal);
const signal = new AbortController().signal;
let made = 0;

/** A store over a head of a few series. */
function headStore(external: Labels, series: readonly (readonly [Record<string, string>, readonly number[]])[]): Store {
  const head = Head.open(join(folder, String(made++)), {
    rangeMs: 7_200_000,
    seriesMax: 1000,
    seed: 1,
    minValidTime: -Infinity,
    log: silentLog(),
  });
  env.env.defer("head", () => head.close());
  head.begin();
  for (const [labels, values] of series) {
    const slot = head.getOrCreate(labelsFrom(Object.entries(labels)));
    values.forEach((value, i) => {
      const [low, high] = new Int32Array(Float64Array.of(value).buffer);
      head.append(slot, T0 + i * 1000, low!, high!);
    });
  }
  head.commit();
  return {
    name: "head",
    info: async () => ({
      componentType: "receive",
      labelSets: [external],
      mint: head.mint,
      maxt: head.maxt,
      supportsWithoutLabels: true,
    }),
    series: (request, stop) => sourceItems(head, external, request, stop),
    labelNames: async (request, stop) => ({
      values: [...(await sourceLabelNames(head, external, request, stop))].sort(),
      warnings: [],
    }),
    labelValues: async (name, request, stop) => ({
      values: [...(await sourceLabelValues(head, external, name, request, stop))].sort(),
      warnings: [],
    }),
  };
}

const EXTERNAL = labelsFrom([["region", "eu"]]);
const SERIES = [
  [{ __name__: "m", a: "1", z: "9" }, [1, 2, 3]],
  [{ __name__: "m", a: "2" }, [4]],
  [{ __name__: "m", region: "own" }, [5]],
  [{ __name__: "other" }, [6, 7]],
] as const;

const failing: Store = {
  name: "broken",
  info: () => Promise.reject(new Error("no info")),
  // oxlint-disable-next-line require-yield -- a store that fails before its first series
  async *series() {
    throw new Error("disk on fire");
  },
  labelNames: () => Promise.reject(new Error("disk on fire")),
  labelValues: () => Promise.reject(new Error("disk on fire")),
};

const request = (matchers: readonly MatcherSpec[], more: Partial<SeriesRequest> = {}): SeriesRequest => ({
  mint: T0,
  maxt: T0 + 10_000,
  matchers,
  skipChunks: false,
  withoutLabels: [],
  limit: 0,
  partialResponse: false,
  views: true,
  ...more,
});

const m = (name: string, type: MatchType, value: string): MatcherSpec => ({ name, type, value });

async function read(
  store: Store,
  wanted: SeriesRequest,
): Promise<{ series: [string, number[]][]; warnings: string[] }> {
  const reader = new FrameReader();
  const series: [string, number[]][] = [];
  const warnings: string[] = [];
  for await (const item of store.series(wanted, signal)) {
    if (item.kind === "warning") {
      warnings.push(item.text);
      continue;
    }
    const frame = frameOf(item);
    reader.enter(frame);
    while (reader.next()) {
      const columns = new SampleColumns();
      decodeFrameChunks(frame, reader.chunkFrom, reader.chunkTo, columns, "test");
      series.push([formatLabels(reader.labels()), Array.from(columns.values.subarray(0, columns.length))]);
    }
  }
  return { series, warnings };
}

const WAYS: Readonly<Record<string, (store: Store) => Promise<Store>>> = {
  "in this thread": async (store) => store,
  "over a port": async (store) => {
    const { port1, port2 } = new MessageChannel();
    serveRpc(port1, storeHandlers(store));
    env.env.defer("port", () => port2.close());
    return storeOf("port", new RpcClient(port2, "store"));
  },
  "over gRPC": async (store) => {
    const { port } = await serveGrpc(
      { host: "127.0.0.1", port: 0 },
      [storeGrpcService(localPeer(storeBytesHandlers(store)))],
      env.env,
    );
    return grpcStore(`127.0.0.1:${port}`, env.env);
  },
  "behind the proxy": async (store) =>
    new ProxyStore("proxy", "query", async () => [{ store, info: await store.info(signal) }]),
};

afterAll(async () => {
  await env.close();
  rmSync(folder, { recursive: true });
});

for (const [way, reach] of Object.entries(WAYS)) {
  describe(`store ${way}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await reach(headStore(EXTERNAL, SERIES));
    });

    test("series ascend by complete labels; external labels win", async () => {
      const { series } = await read(store, request([m("__name__", "=~", ".+")]));
      expect(series).toEqual([
        ['{__name__="m", a="1", region="eu", z="9"}', [1, 2, 3]],
        ['{__name__="m", a="2", region="eu"}', [4]],
        ['{__name__="m", region="eu"}', [5]],
        ['{__name__="other", region="eu"}', [6, 7]],
      ]);
    });

    test("matchers on external labels are judged and stripped", async () => {
      expect((await read(store, request([m("region", "=", "eu"), m("__name__", "=", "other")]))).series.length).toBe(1);
      expect((await read(store, request([m("region", "=", "us"), m("__name__", "=", "other")]))).series).toEqual([]);
      expect((await read(store, request([m("region", "!~", "u.*"), m("a", "!=", "")]))).series.length).toBe(2);
    });

    test("labels left out are gone before sorting; equal series become one", async () => {
      const { series } = await read(store, request([m("__name__", "=", "m")], { withoutLabels: ["region", "a", "z"] }));
      expect(series.map(([labels]) => labels)).toEqual(['{__name__="m"}']);
    });

    test("labels only, limits, ranges without data", async () => {
      expect(
        (await read(store, request([m("__name__", "=", "m")], { skipChunks: true }))).series.every(
          ([, values]) => values.length === 0,
        ),
      ).toBe(true);
      expect(
        (await read(store, request([m("__name__", "=", "other")], { mint: T0 + 60_000, maxt: T0 + 70_000 }))).series,
      ).toEqual([]);
    });

    test("names and values", async () => {
      const all = { mint: T0, maxt: T0 + 10_000, matchers: [], withoutLabels: [], limit: 0, partialResponse: false };
      expect((await store.labelNames(all, signal)).values).toEqual(["__name__", "a", "region", "z"]);
      expect((await store.labelNames({ ...all, matchers: [m("__name__", "=", "other")] }, signal)).values).toEqual([
        "__name__",
        "region",
      ]);
      expect((await store.labelValues("a", all, signal)).values).toEqual(["1", "2"]);
      expect((await store.labelValues("region", all, signal)).values).toEqual(["eu"]);
      expect((await store.labelValues("__name__", { ...all, matchers: [m("a", "=", "2")] }, signal)).values).toEqual([
        "m",
      ]);
      expect((await store.labelValues("a", { ...all, withoutLabels: ["a"] }, signal)).values).toEqual([]);
    });

    test("a bad regular expression is the caller's", async () => {
      await expect(read(store, request([m("a", "=~", "(")]))).rejects.toMatchObject({ name: "BadRequestError" });
    });

    test("info", async () => {
      expect(await store.info(signal)).toMatchObject({
        labelSets: [EXTERNAL],
        mint: T0,
        maxt: T0 + 2000,
        supportsWithoutLabels: true,
      });
    });
  });
}

describe("fan-out", () => {
  const proxy = (...stores: Store[]): ProxyStore =>
    new ProxyStore("proxy", "query", () =>
      Promise.all(stores.map(async (store) => ({ store, info: await store.info(signal).catch(() => undefined) }))),
    );
  const named = [m("__name__", "=~", ".+")];

  test("merges by labels; what two stores have of one series is one", async () => {
    const a = headStore(
      [],
      [
        [{ __name__: "a" }, [1, 2]],
        [{ __name__: "c" }, [3]],
      ],
    );
    const b = headStore(
      [],
      [
        [{ __name__: "a" }, [1, 2]],
        [{ __name__: "b" }, [4]],
      ],
    );
    expect((await read(proxy(a, b), request(named))).series).toEqual([
      ['{__name__="a"}', [1, 2]],
      ['{__name__="b"}', [4]],
      ['{__name__="c"}', [3]],
    ]);
  });

  test("views of one store pass as they are, and are merged with frames of another", async () => {
    const views = headStore([], SERIES);
    const kinds = async (store: Store): Promise<string[]> => {
      const found: string[] = [];
      for await (const item of store.series(request([m("__name__", "=", "m")]), signal)) found.push(item.kind);
      return found;
    };
    const empty = headStore([], []);
    const framed: Store = {
      ...headStore([], [...SERIES, [{ __name__: "m", z: "0" }, [8]]]),
    };
    const frames: Store = { ...framed, series: (asked, stop) => framed.series({ ...asked, views: false }, stop) };
    expect(await kinds(proxy(views, empty))).toEqual(["view"]);
    expect(await kinds(proxy(views, frames))).toEqual(["frame"]);
    const all = request([m("__name__", "=~", ".+")]);
    expect(await read(proxy(views, frames), all)).toEqual(await read(frames, all));
    expect(await read(proxy(frames, views, empty), all)).toEqual(await read(frames, all));
  });

  test("a store that fails fails the request, or is named in a warning", async () => {
    const good = headStore([], [[{ __name__: "a" }, [1]]]);
    await expect(read(proxy(good, failing), request(named))).rejects.toMatchObject({
      name: "UnavailableError",
      message: "store broken: disk on fire",
    });
    const partial = await read(proxy(good, failing), request(named, { partialResponse: true }));
    expect(partial).toEqual({ series: [['{__name__="a"}', [1]]], warnings: ["store broken: disk on fire"] });
  });

  test("a block that one store holds is not asked of others, but of that one", async () => {
    const asked: (readonly [string, readonly string[] | undefined, readonly string[] | undefined])[] = [];
    const store = (name: string, blocks: readonly string[] | undefined): Store => ({
      ...failing,
      name,
      info: async () => ({ componentType: name, labelSets: [], mint: 0, maxt: 9, supportsWithoutLabels: true, blocks }),
      // oxlint-disable-next-line require-yield -- a store without series
      async *series({ heldBlocks, withoutBlocks }) {
        asked.push([name, heldBlocks, withoutBlocks]);
      },
    });
    const all = [m("__name__", "=", "a")];
    const nested = proxy(store("a", ["1", "2"]), store("b", ["3"]));
    for (const skipChunks of [false, true]) {
      asked.length = 0;
      await read(proxy(nested, store("bucket", undefined)), request(all, { mint: 0, maxt: 9, skipChunks }));
      expect(asked.toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
        ["a", ["1", "2", "3"], undefined],
        ["b", ["1", "2", "3"], undefined],
        ["bucket", undefined, ["1", "2", "3"]],
      ]);
    }
    // One that is not asked, because of its time, holds nothing.
    asked.length = 0;
    await read(proxy(nested, store("bucket", undefined)), request(all, { mint: 20, maxt: 29 }));
    expect(asked).toEqual([]);
  });

  test("a store whose labels contradict is not asked", async () => {
    const elsewhere: Store = {
      ...failing,
      info: async () => ({
        componentType: "store",
        labelSets: [["region", "us"]],
        mint: T0,
        maxt: T0 + 1,
        supportsWithoutLabels: true,
      }),
    };
    expect(
      (
        await read(
          proxy(headStore(EXTERNAL, SERIES), elsewhere),
          request([m("region", "=", "eu"), m("__name__", "=", "other")]),
        )
      ).series.length,
    ).toBe(1);
  });

  test("replicas do not interleave", () => {
    const columns = (start: number): SampleColumns => {
      const made = new SampleColumns();
      for (let i = 0; i < 10; i++) {
        made.times[i] = start + i * 1000;
        made.values[i] = start === 0 ? 1 : 2;
      }
      made.length = 10;
      return made;
    };
    const folded = foldReplicas(columns(0), columns(400));
    expect(new Set(folded.values.subarray(0, folded.length))).toEqual(new Set([1]));
    expect(folded.length).toBe(10);
  });
});
