/** Data for the HTTP API and the engine out of a Store: tenancy, replicas, frames to columns. */
import type { SampleColumns } from "#libs/model/columns.ts";
import { type Labels, NO_LABELS } from "#libs/model/labels.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import type {
  Answer,
  DataSource,
  ExemplarQuery,
  LabelQuery,
  MetricMetadata,
  SourceOptions,
} from "#libs/promapi/api.ts";
import type { SeriesExemplars } from "#libs/promapi/exemplars.ts";
import type { FloatBatch, OnWarning, QueryStorage, SelectRequest, SeriesBatch } from "#libs/promql/storage.ts";
import { decodeFrameChunks } from "#libs/storeapi/dedup.ts";
import { joinAnswers } from "#libs/storeapi/proxy.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, Store } from "#libs/storeapi/store.ts";
import { joinExemplars } from "#libs/tsdb/block/merge-extras.ts";
import { ENCODING } from "#libs/tsdb/chunk/encoding.ts";
import {
  type ChunkColumns,
  chunkBuffers,
  FrameBuilder,
  FrameReader,
  labelsFrom,
  releaseFrame,
  seriesCount,
  type SeriesFrame,
} from "#libs/tsdb/series/frame.ts";
import type { NewestSamples, SeriesView } from "#libs/tsdb/series/view.ts";
import { PickedLabels } from "#libs/tsdb/series/picked-labels.ts";
import { compareLabels, dropLabels, equalLabels, formatLabels, labelsKey } from "#libs/model/labels.ts";
import type { QuerierConfig } from "./config.ts";

/** What a tenant's metrics are said to be. */
export type MetadataOf = (tenant: string) => Promise<Answer<ReadonlyMap<string, MetricMetadata>>>;

export const NO_METADATA: MetadataOf = async () => ({ values: new Map(), warnings: [] });

/** A tenant's exemplars, external labels among those of their series. */
export type ExemplarsOf = (
  query: ExemplarQuery,
  tenant: string,
  signal: AbortSignal,
) => Promise<Answer<readonly SeriesExemplars[]>>;

export class StoreSource implements DataSource {
  readonly #store: Store;
  readonly #config: QuerierConfig;
  readonly #metadata: MetadataOf;
  readonly #exemplars: ExemplarsOf;

  constructor(
    store: Store,
    config: QuerierConfig,
    metadata: MetadataOf,
    exemplars: ExemplarsOf = async () => ({ values: [], warnings: [`${store.name} gives no exemplars`] }),
  ) {
    this.#store = store;
    this.#config = config;
    this.#metadata = metadata;
    this.#exemplars = exemplars;
  }

  #tenantMatchers(options: SourceOptions): MatcherSpec[] {
    return this.#config.enforceTenancy ? [{ type: "=", name: this.#config.tenantLabel, value: options.tenant }] : [];
  }

  /** Labels that results go without: replica labels, and the tenant's where it is enforced. */
  #without(options: SourceOptions): string[] {
    const replicas = options.dedup ? (options.replicaLabels ?? this.#config.replicaLabels) : [];
    return this.#config.enforceTenancy ? [...replicas, this.#config.tenantLabel] : [...replicas];
  }

  #partial(options: SourceOptions): boolean {
    return options.partialResponse ?? this.#config.partialResponse;
  }

  storage(options: SourceOptions): QueryStorage {
    const store = this.#store;
    const tenant = this.#tenantMatchers(options);
    const withoutLabels = this.#without(options);
    const partialResponse = this.#partial(options);
    // The rule that chooses between replicas looks at all their samples.
    const hasReplicas = options.dedup && (options.replicaLabels ?? this.#config.replicaLabels).length > 0;
    return {
      select(request: SelectRequest, onWarning: OnWarning, signal: AbortSignal): AsyncIterable<SeriesBatch> {
        const seriesRequest: SeriesRequest = {
          mint: request.mint,
          maxt: request.maxt,
          matchers: [...request.matchers, ...tenant],
          skipChunks: false,
          newestOnly: request.newestOnly === true && !hasReplicas,
          withoutLabels,
          limit: 0,
          partialResponse,
          views: true,
        };
        return batches(store, seriesRequest, request.labels, onWarning, signal);
      },
    };
  }

  #labelRequests(query: LabelQuery, options: SourceOptions): LabelRequest[] {
    const tenant = this.#tenantMatchers(options);
    const selectors = query.selectors.length === 0 ? [[]] : query.selectors;
    return selectors.map((matchers) => ({
      mint: query.mint,
      maxt: query.maxt,
      matchers: [...matchers, ...tenant],
      withoutLabels: this.#without(options),
      limit: query.limit,
      partialResponse: this.#partial(options),
    }));
  }

  async #join(
    query: LabelQuery,
    options: SourceOptions,
    ask: (request: LabelRequest) => Promise<LabelAnswer>,
  ): Promise<Answer<readonly string[]>> {
    return joinAnswers(await Promise.all(this.#labelRequests(query, options).map(ask)), query.limit);
  }

  labelNames(query: LabelQuery, options: SourceOptions, signal: AbortSignal): Promise<Answer<readonly string[]>> {
    return this.#join(query, options, (request) => this.#store.labelNames(request, signal));
  }

  labelValues(
    name: string,
    query: LabelQuery,
    options: SourceOptions,
    signal: AbortSignal,
  ): Promise<Answer<readonly string[]>> {
    return this.#join(query, options, (request) => this.#store.labelValues(name, request, signal));
  }

  async series(query: LabelQuery, options: SourceOptions, signal: AbortSignal): Promise<Answer<readonly Labels[]>> {
    const warnings = new Set<string>();
    const found: Labels[] = [];
    const requests = this.#labelRequests(query, options);
    for (const request of requests) {
      const reader = new FrameReader();
      for await (const item of this.#store.series({ ...request, skipChunks: true, views: true }, signal)) {
        if (item.kind === "warning") warnings.add(item.text);
        else if (item.kind === "view") {
          const { labels } = item.view;
          for (let i = 0; i < labels.count; i++) found.push(labels.labels(i));
        } else {
          reader.enter(item.frame);
          while (reader.next()) if (!reader.continues) found.push(reader.labels());
        }
      }
    }
    if (requests.length > 1) found.sort(compareLabels);
    // The same from several selectors, or from one frame and the next.
    const values = found.filter((labels, i) => i === 0 || !equalLabels(found[i - 1]!, labels));
    return { values, warnings: [...warnings] };
  }

  async metadata(options: SourceOptions): Promise<Answer<ReadonlyMap<string, readonly MetricMetadata[]>>> {
    const { values, warnings } = await this.#metadata(options.tenant);
    return { values: new Map(Array.from(values, ([metric, entry]) => [metric, [entry]])), warnings };
  }

  async exemplars(
    query: ExemplarQuery,
    options: SourceOptions,
    signal: AbortSignal,
  ): Promise<Answer<readonly SeriesExemplars[]>> {
    const { values, warnings } = await this.#exemplars(query, options.tenant, signal);
    const without = new Set(this.#without(options));
    const joined = new Map<string, SeriesExemplars>();
    for (const { series, exemplars } of values) {
      const labels = dropLabels(series, without);
      const key = labelsKey(labels);
      const others = joined.get(key)?.exemplars ?? [];
      joined.set(key, { series: labels, exemplars: joinExemplars([others, exemplars]) });
    }
    return { values: [...joined.values()].sort((a, b) => compareLabels(a.series, b.series)), warnings };
  }
}

/** The labels of a series: all, or those asked for. */
type LabelsOf = (s: number) => Labels;

async function* batches(
  store: Store,
  request: SeriesRequest,
  names: readonly string[] | undefined,
  onWarning: OnWarning,
  signal: AbortSignal,
): AsyncGenerator<SeriesBatch> {
  let picked: PickedLabels | undefined;
  let frames: FrameBatches | undefined;
  for await (const item of store.series(request, signal)) {
    // Where views come nothing else does, and no series goes on in the next.
    if (item.kind === "view") {
      if (names !== undefined) picked ??= new PickedLabels(names, item.view.labels.symbols);
      yield viewBatch(item.view, picked);
    } else if (item.kind === "frame") {
      for (const batch of (frames ??= new FrameBatches(names)).of(item.frame)) yield batch;
    } else onWarning(item.text);
  }
  if (frames !== undefined) yield* frames.rest();
}

/** Series of a stream of frames. The last of a frame may go on in the next: it is held back until the next is seen. */
class FrameBatches {
  readonly #names: readonly string[] | undefined;
  readonly #reader = new FrameReader();
  readonly #copies = new FrameBuilder();
  #picked: PickedLabels | undefined;
  #held: HeldSeries | undefined;

  constructor(names: readonly string[] | undefined) {
    this.#names = names;
  }

  *of(frame: SeriesFrame): Generator<SeriesBatch> {
    const reader = this.#reader;
    const copies = this.#copies;
    const held = this.#held;
    reader.enter(frame);
    const all: LabelsOf = (s) => reader.labelsOf(frame, s);
    const labelsOf: LabelsOf =
      this.#names === undefined
        ? all
        : pickedOf(frame, (this.#picked ??= new PickedLabels(this.#names, reader.symbols)));
    const rows = seriesRows(reader);
    const { places, ends, count } = rows;
    if (count === 0) return;
    const last = count - 1;
    let first = 0;
    if (held !== undefined && isSame(held.ids, idsOf(frame, 0))) {
      held.parts.push(last === 0 ? { frame, from: 0, to: ends[0]! } : copyOf(frame, 0, ends[0]!, copies));
      first = 1;
      if (last === 0) return;
    }
    yield* this.rest();
    const place = places[last]!;
    const from = last === 0 ? 0 : ends[last - 1]!;
    // Else copied: the frame's buffers may go to another thread while these chunks wait for the next frame.
    const part = last === 0 ? { frame, from, to: ends[last]! } : copyOf(frame, from, ends[last]!, copies);
    this.#held = { ids: idsOf(frame, place).slice(), labels: labelsOf(place), all: all(place), parts: [part] };
    if (last > first) yield frameBatch(frame, rows, labelsOf, all, first, last);
    if (last > 0) releaseFrame(frame);
  }

  /** What is held back. */
  *rest(): Generator<SeriesBatch> {
    if (this.#held !== undefined) yield* heldBatch(this.#held);
  }
}

/** The series of a frame, those in a row with equal labels as one. */
interface SeriesRows {
  readonly count: number;
  /** The first of each in the frame. */
  readonly places: Uint32Array<ArrayBuffer>;
  /** Where its chunks end. */
  readonly ends: Uint32Array<ArrayBuffer>;
}

function seriesRows(reader: FrameReader): SeriesRows {
  const length = seriesCount(reader.frame);
  const places = new Uint32Array(length);
  const ends = new Uint32Array(length);
  let count = 0;
  for (let s = 0; reader.next(); s++) {
    if (!reader.continues) places[count++] = s;
    ends[count - 1] = reader.chunkTo;
  }
  return { count, places, ends };
}

function pickedOf(frame: SeriesFrame, picked: PickedLabels): LabelsOf {
  return (s) => picked.of(frame.labels, labelsFrom(frame, s), frame.labelEnds[s]!);
}

function idsOf(frame: SeriesFrame, s: number): Uint32Array<ArrayBuffer> {
  return frame.labels.subarray(labelsFrom(frame, s), frame.labelEnds[s]);
}

function isSame(a: Uint32Array, b: Uint32Array): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** Chunks [from, to) of a frame. */
interface Chunks {
  readonly frame: SeriesFrame;
  readonly from: number;
  readonly to: number;
}

interface HeldSeries {
  /** Of the stream: equal where the labels are. */
  readonly ids: Uint32Array;
  readonly labels: Labels;
  readonly all: Labels;
  readonly parts: Chunks[];
}

function copyOf(frame: SeriesFrame, from: number, to: number, builder: FrameBuilder): Chunks {
  builder.copyChunks(frame, from, to);
  return { frame: builder.take(), from: 0, to: to - from };
}

function* heldBatch(held: HeldSeries): Generator<SeriesBatch> {
  yield new HeldBatch(held);
  for (const { frame } of held.parts) releaseFrame(frame);
}

/** Rows of chunks in columns. */
interface ChunkRows {
  /** Until `take` is called. */
  readonly chunks: ChunkColumns;
  /** Where the chunks of each row end. */
  readonly ends: Uint32Array<ArrayBuffer>;
  /** As a view has them. */
  readonly newest?: NewestSamples | undefined;
  /** The chunks in buffers that may be sent away. */
  readonly take: () => ChunkColumns;
  /** Wanted labels by row. */
  readonly labels: LabelsOf;
  /** For messages. */
  readonly all: LabelsOf;
}

/** Rows [first, end), decoded where they are. */
class RowsBatch implements SeriesBatch {
  readonly #rows: ChunkRows;
  readonly #end: number;
  #at: number;

  constructor(rows: ChunkRows, first: number, end: number) {
    this.#rows = rows;
    this.#at = first - 1;
    this.#end = end;
  }

  next(): boolean {
    return ++this.#at < this.#end;
  }

  get floats(): FloatBatch | undefined {
    const { chunks, ends, newest, take, labels } = this.#rows;
    if (newest !== undefined) return undefined;
    const first = this.#at + 1;
    const end = this.#end;
    const chunksFrom = first === 0 ? 0 : ends[first - 1]!;
    const chunksTo = ends[end - 1]!;
    for (let i = chunksFrom; i < chunksTo; i++) if (chunks.encodings[i] !== ENCODING.XOR) return undefined;
    return {
      count: end - first,
      labels: (i) => labels(first + i),
      bytes: chunks.dataEnds[chunksTo - 1]! - (chunksFrom === 0 ? 0 : chunks.dataEnds[chunksFrom - 1]!),
      detach: () => detachRows(take(), ends, first, end),
    };
  }

  labels(): Labels {
    return this.#rows.labels(this.#at);
  }

  samples(columns: SampleColumns): void {
    const { chunks, ends, newest, all } = this.#rows;
    const at = this.#at;
    if (newest !== undefined && !Number.isNaN(newest.times[at]!)) {
      columns.addFloat(newest.times[at]!, newest.words[2 * at]!, newest.words[2 * at + 1]!, newest.starts?.[at] ?? 0);
      return;
    }
    try {
      decodeFrameChunks(chunks, at === 0 ? 0 : ends[at - 1]!, ends[at]!, columns, "chunk");
    } catch (error) {
      throw naming(all(at), error);
    }
  }
}

/** With the labels that were picked, if any were. */
function viewBatch(view: SeriesView, picked: PickedLabels | undefined): SeriesBatch {
  const { labels: sets, chunks, chunkEnds, newest } = view;
  const all: LabelsOf = (s) => sets.labels(s);
  const labels: LabelsOf = picked === undefined ? all : (s) => picked.ofSet(sets.sets, sets.at[s]!);
  const rows = { chunks, ends: chunkEnds, newest, take: () => view.take(), labels, all };
  return new RowsBatch(rows, 0, chunkEnds.length);
}

/** Rows [first, end) of a frame. */
function frameBatch(
  frame: SeriesFrame,
  { ends, places }: SeriesRows,
  labelsOf: LabelsOf,
  all: LabelsOf,
  first: number,
  end: number,
): SeriesBatch {
  const rows = {
    chunks: frame,
    ends,
    take: () => frame,
    labels: (row: number) => labelsOf(places[row]!),
    all: (row: number) => all(places[row]!),
  };
  return new RowsBatch(rows, first, end);
}

/** A batch on its way to a scanner thread. */
export interface DetachedBatch {
  readonly chunks: ChunkColumns;
  readonly ends: Uint32Array<ArrayBuffer>;
  readonly first: number;
  readonly end: number;
}

/** The labels stay. */
function detachRows(
  { mints, maxts, encodings, dataEnds, data }: ChunkColumns,
  ends: Uint32Array<ArrayBuffer>,
  first: number,
  end: number,
): { message: DetachedBatch; transfer: ArrayBuffer[] } {
  const chunks = { mints, maxts, encodings, dataEnds, data };
  return { message: { chunks, ends, first, end }, transfer: [...chunkBuffers(chunks), ends.buffer] };
}

/** The batch on the thread it was sent to; its series have no labels there. */
export function attachBatch({ chunks, ends, first, end }: DetachedBatch): SeriesBatch {
  const none: LabelsOf = () => NO_LABELS;
  return new RowsBatch({ chunks, ends, take: () => chunks, labels: none, all: none }, first, end);
}

class HeldBatch implements SeriesBatch {
  readonly #series: HeldSeries;
  #seen = false;

  constructor(series: HeldSeries) {
    this.#series = series;
  }

  next(): boolean {
    const first = !this.#seen;
    this.#seen = true;
    return first;
  }

  labels(): Labels {
    return this.#series.labels;
  }

  samples(columns: SampleColumns): void {
    const { parts, all } = this.#series;
    const [one] = parts;
    const { frame, from, to } = parts.length === 1 ? one! : joined(parts);
    try {
      decodeFrameChunks(frame, from, to, columns, "chunk");
    } catch (error) {
      throw naming(all, error);
    }
  }
}

function joined(parts: readonly Chunks[]): Chunks {
  const builder = new FrameBuilder();
  for (const { frame, from, to } of parts) builder.copyChunks(frame, from, to);
  return { frame: builder.take(), from: 0, to: parts.reduce((count, { from, to }) => count + to - from, 0) };
}

/** Adds the series to what went wrong with its chunks. */
function naming(labels: Labels, error: unknown): unknown {
  if (error instanceof Error) error.message = `series ${formatLabels(labels)}: ${error.message}`;
  return error;
}
