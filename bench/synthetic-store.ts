/**
 * A store of as many counters as one likes, 24 h of a sample every 15 s each, in as many blocks: frames are made when
 * they are asked for, out of the chunks of 16 series, so that nothing but the query has a size. Runs as a component.
 */
import type { StartComponent } from "#libs/kit/host.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { labelsFrom, labelValue, type Labels } from "#libs/model/labels.ts";
import { mergeItems } from "#libs/storeapi/merge-items.ts";
import { storeHandlers } from "#libs/storeapi/port.ts";
import type { SeriesRequest, Store, StoreItem } from "#libs/storeapi/store.ts";
import { ENCODING } from "#libs/tsdb/chunk/encoding.ts";
import { appendXor, emptyXorState, XOR_SAMPLE_BYTES_MAX } from "#libs/tsdb/chunk/xor.ts";
import { FRAME_BYTES, FRAME_SERIES } from "#libs/tsdb/select.ts";
import { FrameBuilder } from "#libs/tsdb/series/frame.ts";
import { loadSeries } from "#tools/load.ts";

export const PODS = 100;
export const START_MS = 1_699_999_200_000;
export const END_MS = START_MS + 86_400_000 - 15_000;
const PATTERNS = 16;
const CHUNK_SAMPLES = 120;
const CHUNKS = 48;

interface Chunk {
  readonly mint: number;
  readonly maxt: number;
  readonly data: Uint8Array;
}

export interface SyntheticConfig {
  readonly series: number;
  /** Into so many blocks one after the other the day is divided. */
  readonly blocks: number;
}

export const start: StartComponent<SyntheticConfig> = async ({ series, blocks }) => {
  const patterns = Array.from({ length: PATTERNS }, (_, i) => chunksOf(loadSeries(4 * i, 42).valueAt));
  const store: Store = {
    name: "synthetic",
    info: async () => ({
      componentType: "store",
      labelSets: [],
      mint: START_MS,
      maxt: END_MS,
      supportsWithoutLabels: true,
    }),
    series: (request) =>
      mergeItems(
        Array.from({ length: blocks }, (_, b) => {
          const [from, to] = [b, b + 1].map((end) => Math.round((end * CHUNKS) / blocks));
          return frames(
            series,
            patterns.map((chunks) => chunks.slice(from, to)),
            request,
          );
        }),
      ),
    labelNames: async () => ({ values: [], warnings: [] }),
    labelValues: async () => ({ values: [], warnings: [] }),
  };
  return storeHandlers(store);
};

/** Hosts of 100 series each, one pod on each; ascending. */
function labelsOf(i: number): Labels {
  const host = Math.floor(i / 100);
  return labelsFrom([
    ["__name__", "m"],
    ["instance", `host-${String(host).padStart(5, "0")}:9100`],
    ["job", "synthetic"],
    ["pod", `pod-${host % PODS}`],
    ["route", `/route/${String(i % 100).padStart(2, "0")}`],
  ]);
}

async function* frames(
  series: number,
  patterns: readonly (readonly Chunk[])[],
  { matchers, mint, maxt }: SeriesRequest,
): AsyncGenerator<StoreItem> {
  const wanted = matchers.map(createMatcher);
  const builder = new FrameBuilder();
  for (let i = 0; i < series; i++) {
    const labels = labelsOf(i);
    if (!wanted.every((matcher) => matcher.matches(labelValue(labels, matcher.name)))) continue;
    builder.labels(labels);
    for (const chunk of patterns[i % PATTERNS]!) {
      if (chunk.maxt >= mint && chunk.mint <= maxt)
        builder.chunk(chunk.mint, chunk.maxt, ENCODING.XOR, chunk.data, 0, chunk.data.length);
    }
    builder.endSeries();
    if (builder.dataBytes >= FRAME_BYTES || builder.seriesCount >= FRAME_SERIES)
      yield { kind: "frame", frame: builder.take() };
  }
  if (builder.seriesCount > 0) yield { kind: "frame", frame: builder.take() };
}

function chunksOf(valueAt: (step: number) => number): Chunk[] {
  const value = new Float64Array(1);
  const words = new Int32Array(value.buffer);
  return Array.from({ length: CHUNKS }, (_, c) => {
    const state = emptyXorState(new Uint8Array(2 + CHUNK_SAMPLES * XOR_SAMPLE_BYTES_MAX));
    const first = c * CHUNK_SAMPLES;
    for (let i = 0; i < CHUNK_SAMPLES; i++) {
      value[0] = valueAt(first + i);
      appendXor(state, START_MS + (first + i) * 15_000, words[0]!, words[1]!);
    }
    state.bytes[1] = state.count;
    const mint = START_MS + first * 15_000;
    const data = state.bytes.slice(0, Math.ceil(state.bitAt / 8));
    return { mint, maxt: mint + (CHUNK_SAMPLES - 1) * 15_000, data };
  });
}
