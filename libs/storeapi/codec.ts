/**
 * Between our frames and requests and Thanos's messages. int64 fields come as bigint and are converted here, once;
 * bounds of "all time" are clamped to ±2^53.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type InfoResponse, InfoResponseSchema } from "#gen/thanos/info_pb.ts";
import type { Label } from "#gen/thanos/labels_pb.ts";
import {
  type LabelNamesRequest,
  LabelNamesRequestSchema,
  LabelNamesResponseSchema,
  type LabelValuesRequest,
  LabelValuesRequestSchema,
  LabelValuesResponseSchema,
  type SeriesRequest as ProtoSeriesRequest,
  SeriesRequestSchema,
  SeriesResponseSchema,
} from "#gen/thanos/rpc_pb.ts";
import type { Chunk_Encoding, LabelMatcher_Type } from "#gen/thanos/types_pb.ts";
import {
  type Chunk as ProtoChunk,
  type LabelMatcher,
  PartialResponseStrategy,
  type Series,
} from "#gen/thanos/types_pb.ts";
import { BadRequestError, ExecutionError } from "#libs/kit/errors.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { MatcherSpec, MatchType } from "#libs/model/matcher.ts";
import { FRAME_BYTES, FRAME_SERIES } from "#libs/tsdb/select.ts";
import type { FrameReader } from "#libs/tsdb/series/frame.ts";
import { FrameBuilder, type SeriesFrame } from "#libs/tsdb/series/frame.ts";
import { frameOf } from "./frames.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, StoreInfo, StoreItem } from "./store.ts";
import { TIME_MAX, TIME_MIN } from "./store.ts";

/** Series a message when the caller takes batches. */
const BATCH_SIZE = 64;

function time(value: bigint): number {
  return Math.max(TIME_MIN, Math.min(TIME_MAX, Number(value)));
}

function int64(value: number): bigint {
  if (value >= TIME_MAX) return 9223372036854775807n;
  if (value <= TIME_MIN) return -9223372036854775808n;
  return BigInt(Math.trunc(value));
}

const TYPES: readonly MatchType[] = ["=", "!=", "=~", "!~"];

function fromMatchers(matchers: readonly LabelMatcher[]): MatcherSpec[] {
  return matchers.map(({ type, name, value }) => {
    const known = TYPES[type];
    if (known === undefined) throw new BadRequestError(`label matcher of unknown type ${type}`);
    return { type: known, name, value };
  });
}

function toMatchers(matchers: readonly MatcherSpec[]): { type: LabelMatcher_Type; name: string; value: string }[] {
  return matchers.map(({ type, name, value }) => ({ type: TYPES.indexOf(type) as LabelMatcher_Type, name, value }));
}

function fromLabels(labels: readonly Label[]): Labels {
  return labels.flatMap(({ name, value }) => [name, value]);
}

export function toLabels(labels: Labels): { name: string; value: string }[] {
  const out: { name: string; value: string }[] = [];
  for (let i = 0; i < labels.length; i += 2) out.push({ name: labels[i]!, value: labels[i + 1]! });
  return out;
}

function partial(request: {
  partialResponseDisabled: boolean;
  partialResponseStrategy: PartialResponseStrategy;
}): boolean {
  return !request.partialResponseDisabled && request.partialResponseStrategy === PartialResponseStrategy.WARN;
}

// ---- requests

export function decodeSeriesRequest(bytes: Uint8Array): SeriesRequest & { readonly batchSize: number } {
  const request: ProtoSeriesRequest = decode(() => fromBinary(SeriesRequestSchema, bytes));
  if ((request.shardInfo?.totalShards ?? 0n) > 1n)
    throw new ExecutionError("sharded Series requests are not supported yet");
  return {
    mint: time(request.minTime),
    maxt: time(request.maxTime),
    matchers: fromMatchers(request.matchers),
    skipChunks: request.skipChunks,
    withoutLabels: request.withoutReplicaLabels,
    limit: Number(request.limit),
    partialResponse: partial(request),
    batchSize: Math.min(Number(request.responseBatchSize), FRAME_SERIES),
  };
}

export function encodeSeriesRequest(request: SeriesRequest): Uint8Array {
  return toBinary(
    SeriesRequestSchema,
    create(SeriesRequestSchema, {
      minTime: int64(request.mint),
      maxTime: int64(request.maxt),
      matchers: toMatchers(request.matchers),
      skipChunks: request.skipChunks,
      withoutReplicaLabels: [...request.withoutLabels],
      limit: BigInt(request.limit),
      partialResponseDisabled: !request.partialResponse,
      partialResponseStrategy: request.partialResponse ? PartialResponseStrategy.WARN : PartialResponseStrategy.ABORT,
      responseBatchSize: BigInt(BATCH_SIZE),
    }),
  );
}

function labelRequest(request: LabelNamesRequest | LabelValuesRequest): LabelRequest {
  return {
    mint: time(request.start),
    maxt: time(request.end),
    matchers: fromMatchers(request.matchers),
    withoutLabels: request.withoutReplicaLabels,
    limit: Number(request.limit),
    partialResponse: partial(request),
  };
}

export function decodeLabelNamesRequest(bytes: Uint8Array): LabelRequest {
  return labelRequest(decode(() => fromBinary(LabelNamesRequestSchema, bytes)));
}

export function decodeLabelValuesRequest(bytes: Uint8Array): { name: string; request: LabelRequest } {
  const request = decode(() => fromBinary(LabelValuesRequestSchema, bytes));
  if (request.label === "") throw new BadRequestError("label name parameter cannot be empty");
  return { name: request.label, request: labelRequest(request) };
}

function labelFields(request: LabelRequest): {
  start: bigint;
  end: bigint;
  matchers: { type: LabelMatcher_Type; name: string; value: string }[];
  withoutReplicaLabels: string[];
  limit: bigint;
  partialResponseDisabled: boolean;
  partialResponseStrategy: PartialResponseStrategy;
} {
  return {
    start: int64(request.mint),
    end: int64(request.maxt),
    matchers: toMatchers(request.matchers),
    withoutReplicaLabels: [...request.withoutLabels],
    limit: BigInt(request.limit),
    partialResponseDisabled: !request.partialResponse,
    partialResponseStrategy: request.partialResponse ? PartialResponseStrategy.WARN : PartialResponseStrategy.ABORT,
  };
}

export function encodeLabelNamesRequest(request: LabelRequest): Uint8Array {
  return toBinary(LabelNamesRequestSchema, create(LabelNamesRequestSchema, labelFields(request)));
}

export function encodeLabelValuesRequest(name: string, request: LabelRequest): Uint8Array {
  return toBinary(LabelValuesRequestSchema, create(LabelValuesRequestSchema, { label: name, ...labelFields(request) }));
}

// ---- answers

export function encodeLabelNames(answer: LabelAnswer): Uint8Array {
  const message = create(LabelNamesResponseSchema, { names: [...answer.values], warnings: [...answer.warnings] });
  return toBinary(LabelNamesResponseSchema, message);
}

export function decodeLabelNames(bytes: Uint8Array): LabelAnswer {
  const { names, warnings } = fromBinary(LabelNamesResponseSchema, bytes);
  return { values: names, warnings };
}

export function encodeLabelValues(answer: LabelAnswer): Uint8Array {
  const message = create(LabelValuesResponseSchema, { values: [...answer.values], warnings: [...answer.warnings] });
  return toBinary(LabelValuesResponseSchema, message);
}

export function decodeLabelValues(bytes: Uint8Array): LabelAnswer {
  const { values, warnings } = fromBinary(LabelValuesResponseSchema, bytes);
  return { values, warnings };
}

export function encodeInfo(info: StoreInfo): Uint8Array {
  const labelSets = info.labelSets.map((set) => ({ labels: toLabels(set) }));
  const hasData = info.mint <= info.maxt;
  const bounds = { minTime: int64(hasData ? info.mint : TIME_MAX), maxTime: int64(hasData ? info.maxt : TIME_MIN) };
  return toBinary(
    InfoResponseSchema,
    create(InfoResponseSchema, {
      labelSets,
      componentType: info.componentType,
      store: {
        ...bounds,
        supportsWithoutReplicaLabels: info.supportsWithoutLabels,
        tsdbInfos: labelSets.map((labels) => ({ labels, ...bounds })),
      },
    }),
  );
}

export function decodeInfo(bytes: Uint8Array): StoreInfo {
  const response: InfoResponse = fromBinary(InfoResponseSchema, bytes);
  const { store } = response;
  return {
    componentType: response.componentType,
    labelSets: response.labelSets.map((set) => fromLabels(set.labels)),
    mint: store === undefined ? TIME_MAX : time(store.minTime),
    maxt: store === undefined ? TIME_MIN : time(store.maxTime),
    supportsWithoutLabels: store?.supportsWithoutReplicaLabels ?? false,
  };
}

/** The messages of a frame: one series each, or batches for who takes them. */
export function* encodeItem(item: StoreItem, reader: FrameReader, batchSize: number): Generator<Uint8Array> {
  if (item.kind === "warning") {
    yield toBinary(
      SeriesResponseSchema,
      create(SeriesResponseSchema, { result: { case: "warning", value: item.text } }),
    );
    return;
  }
  const batch: Series[] = [];
  const flush = (): Uint8Array => {
    const series = batch.splice(0);
    return toBinary(
      SeriesResponseSchema,
      create(
        SeriesResponseSchema,
        batchSize > 1
          ? { result: { case: "batch", value: { series } } }
          : { result: { case: "series", value: series[0]! } },
      ),
    );
  };
  reader.enter(frameOf(item));
  while (reader.next()) {
    batch.push(seriesMessage(reader));
    if (batch.length >= Math.max(1, batchSize)) yield flush();
  }
  if (batch.length > 0) yield flush();
}

function seriesMessage(reader: FrameReader): Series {
  const chunks: unknown[] = [];
  for (let i = reader.chunkFrom; i < reader.chunkTo; i++) {
    const { mint, maxt, encoding, data } = reader.chunk(i);
    chunks.push({
      minTime: BigInt(mint),
      maxTime: BigInt(maxt),
      raw: { type: (encoding - 1) as Chunk_Encoding, data, hash: 0n },
    });
  }
  return { labels: toLabels(reader.labels()), chunks } as unknown as Series;
}

/** Collects messages of one stream into frames. */
export class ItemDecoder {
  readonly #builder = new FrameBuilder();

  /** @returns the items that are complete after this message. */
  push(bytes: Uint8Array): StoreItem[] {
    const { result } = decode(() => fromBinary(SeriesResponseSchema, bytes));
    const items: StoreItem[] = [];
    if (result.case === "warning") items.push({ kind: "warning", text: result.value });
    else if (result.case === "series") this.#add(result.value);
    else if (result.case === "batch") for (const series of result.value.series) this.#add(series);
    if (this.#builder.dataBytes >= FRAME_BYTES || this.#builder.seriesCount >= FRAME_SERIES) items.push(this.#take());
    return items;
  }

  end(): StoreItem[] {
    return this.#builder.seriesCount > 0 ? [this.#take()] : [];
  }

  #take(): StoreItem {
    return { kind: "frame", frame: this.#builder.take() as SeriesFrame };
  }

  #add(series: Series): void {
    this.#builder.labels(fromLabels(series.labels));
    for (const chunk of series.chunks) {
      const raw: ProtoChunk | undefined = chunk.raw;
      if (raw === undefined)
        throw new ExecutionError("the store answered with aggregates of downsampled data, which are not supported yet");
      this.#builder.chunk(time(chunk.minTime), time(chunk.maxTime), raw.type + 1, raw.data, 0, raw.data.length);
    }
    this.#builder.endSeries();
  }
}

function decode<T>(job: () => T): T {
  try {
    return job();
  } catch (cause) {
    throw new BadRequestError(
      `not a valid protobuf message: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
