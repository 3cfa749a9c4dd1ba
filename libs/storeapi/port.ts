/** A `Store` on another thread: frames travel as transferred buffers. */
import { type Handlers, type Peer, TransferStream } from "#libs/kit/rpc.ts";
import { frameBuffers } from "#libs/tsdb/series/frame.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, Store, StoreInfo, StoreItem } from "./store.ts";

/** The handlers that serve a store. */
export function storeHandlers(store: Store): Handlers {
  return {
    storeInfo: (_argument: undefined, signal) => store.info(signal),
    storeSeries: (request: SeriesRequest, signal) =>
      new TransferStream(store.series(request, signal), (item) =>
        item.kind === "frame" ? frameBuffers(item.frame) : [],
      ),
    storeLabelNames: (request: LabelRequest, signal) => store.labelNames(request, signal),
    storeLabelValues: ({ name, request }: { name: string; request: LabelRequest }, signal) =>
      store.labelValues(name, request, signal),
  } satisfies Handlers;
}

export function storeOf(name: string, peer: Peer): Store {
  return {
    name,
    info: (signal) => peer.call<StoreInfo>("storeInfo", undefined, signal),
    series: (request, signal) =>
      peer.stream<StoreItem>("storeSeries", peer.isLocal ? request : { ...request, views: false }, signal),
    labelNames: (request, signal) => peer.call<LabelAnswer>("storeLabelNames", request, signal),
    labelValues: (labelName, request, signal) =>
      peer.call<LabelAnswer>("storeLabelValues", { name: labelName, request }, signal),
  };
}
