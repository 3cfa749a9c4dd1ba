/** Serves a `Store` as Thanos's Store and Info services. The handlers work on raw bytes, so they can run anywhere. */
import type { GrpcService } from "#libs/kit/grpc.ts";
import type { Peer } from "#libs/kit/rpc.ts";
import { type Handlers } from "#libs/kit/rpc.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";
import type * as Codec from "./codec.ts";
import { METHODS } from "./methods.ts";
import type { Store } from "./store.ts";

/** Loaded with the first gRPC call: the generated messages cost a thread 8 MB that most never need. */
const loadCodec = (): Promise<typeof Codec> => import("./codec.ts");

/** Handlers for the thread that has the store: bytes in, bytes out. */
export function storeBytesHandlers(store: Store): Handlers {
  return {
    grpcInfo: async (_request: Uint8Array, signal) => (await loadCodec()).encodeInfo(await store.info(signal)),
    async *grpcSeries(request: Uint8Array, signal) {
      const { decodeSeriesRequest, encodeItem } = await loadCodec();
      const decoded = decodeSeriesRequest(request);
      const reader = new FrameReader();
      for await (const item of store.series(decoded, signal)) yield* encodeItem(item, reader, decoded.batchSize);
    },
    grpcLabelNames: async (request: Uint8Array, signal) => {
      const { decodeLabelNamesRequest, encodeLabelNames } = await loadCodec();
      return encodeLabelNames(await store.labelNames(decodeLabelNamesRequest(request), signal));
    },
    grpcLabelValues: async (bytes: Uint8Array, signal) => {
      const { decodeLabelValuesRequest, encodeLabelValues } = await loadCodec();
      const { name, request } = decodeLabelValuesRequest(bytes);
      return encodeLabelValues(await store.labelValues(name, request, signal));
    },
  } satisfies Handlers;
}

/** The services for the thread that has the socket. */
export function storeGrpcService(peer: Peer): GrpcService {
  return {
    unary: {
      [METHODS.info]: ({ request, signal }) => peer.call("grpcInfo", request, signal),
      [METHODS.labelNames]: ({ request, signal }) => peer.call("grpcLabelNames", request, signal),
      [METHODS.labelValues]: ({ request, signal }) => peer.call("grpcLabelValues", request, signal),
    },
    stream: { [METHODS.series]: ({ request, signal }) => peer.stream("grpcSeries", request, signal) },
  };
}
