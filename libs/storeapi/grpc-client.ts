/** A `Store` on another host: ours or Thanos's. */
import type { Env } from "#libs/kit/env.ts";
import { GrpcClient } from "#libs/kit/grpc.ts";
import {
  decodeInfo,
  decodeLabelNames,
  decodeLabelValues,
  encodeLabelNamesRequest,
  encodeLabelValuesRequest,
  encodeSeriesRequest,
  ItemDecoder,
} from "./codec.ts";
import { METHODS } from "./methods.ts";
import type { LabelRequest, SeriesRequest, Store, StoreItem } from "./store.ts";

const INFO_TIMEOUT_MS = 5000;
const LABELS_TIMEOUT_MS = 120_000;

export function grpcStore(address: string, env: Env): Store {
  const client = new GrpcClient(address, env);
  return {
    name: address,
    async info(signal) {
      return decodeInfo(await client.unary(METHODS.info, new Uint8Array(), {}, signal, INFO_TIMEOUT_MS));
    },
    async *series(request: SeriesRequest, signal: AbortSignal): AsyncGenerator<StoreItem> {
      const decoder = new ItemDecoder();
      for await (const bytes of client.stream(METHODS.series, encodeSeriesRequest(request), {}, signal))
        yield* decoder.push(bytes);
      yield* decoder.end();
    },
    async labelNames(request: LabelRequest, signal) {
      return decodeLabelNames(
        await client.unary(METHODS.labelNames, encodeLabelNamesRequest(request), {}, signal, LABELS_TIMEOUT_MS),
      );
    },
    async labelValues(name: string, request: LabelRequest, signal) {
      return decodeLabelValues(
        await client.unary(METHODS.labelValues, encodeLabelValuesRequest(name, request), {}, signal, LABELS_TIMEOUT_MS),
      );
    },
  };
}
