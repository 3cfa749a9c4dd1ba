/**
 * `Store`: series by matchers and time, wherever they are. One interface, three ways to reach it: in this thread,
 * on another by MessagePort (port.ts), on another host by gRPC (grpc-client.ts). All pass one conformance suite.
 */
import type { Labels } from "#libs/model/labels.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import type { SeriesFrame } from "#libs/tsdb/series/frame.ts";
import type { SeriesView } from "#libs/tsdb/series/view.ts";

export interface LabelRequest {
  /** Milliseconds, both inclusive. */
  readonly mint: number;
  readonly maxt: number;
  readonly matchers: readonly MatcherSpec[];
  // Not told to stores on other hosts:
  /** Blocks that the store has said to have and that nobody else is asked for: it fails if it cannot read one. */
  readonly heldBlocks?: readonly string[] | undefined;
  /** Blocks that others answer for. */
  readonly withoutBlocks?: readonly string[] | undefined;
  /** Labels to remove from every series, before sorting. */
  readonly withoutLabels: readonly string[];
  /** Most series, names or values wanted; 0 is all. */
  readonly limit: number;
  /** True: what is missing becomes a warning. False: it fails the request. */
  readonly partialResponse: boolean;
}

export interface SeriesRequest extends LabelRequest {
  readonly skipChunks: boolean;
  /** As in `SeriesQuery`. Not told to stores on other hosts. */
  readonly newestOnly?: boolean | undefined;
  /** Whether views may come in place of frames. Told to stores on this thread only. */
  readonly views?: boolean | undefined;
}

/** Some series of a stream. */
export type SeriesItem =
  | { readonly kind: "frame"; readonly frame: SeriesFrame }
  | { readonly kind: "view"; readonly view: SeriesView };

export type StoreItem = SeriesItem | { readonly kind: "warning"; readonly text: string };

export interface LabelAnswer {
  /** Sorted in UTF-8 order, each once. */
  readonly values: readonly string[];
  readonly warnings: readonly string[];
}

export interface StoreInfo {
  /** What kind of component answers: receive, store, query, … */
  readonly componentType: string;
  /** External label sets of the data. */
  readonly labelSets: readonly Labels[];
  /** Milliseconds; mint > maxt when there is no data. */
  readonly mint: number;
  readonly maxt: number;
  readonly supportsWithoutLabels: boolean;
  /** ULIDs of blocks it reads in place of the bucket, while the same are in the bucket (decisions/0012). */
  readonly blocks?: readonly string[] | undefined;
}

export interface Store {
  /** Names the store in warnings and errors. */
  readonly name: string;
  info(signal: AbortSignal): Promise<StoreInfo>;
  /**
   * Frames of series ascending by their complete labels (external ones in, `withoutLabels` out). Equal label sets in
   * a row, also over frames, are one series. The consumer may transfer the frames' buffers away.
   */
  series(request: SeriesRequest, signal: AbortSignal): AsyncIterable<StoreItem>;
  labelNames(request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer>;
  labelValues(name: string, request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer>;
}

/** Bounds of "all time" that fit int64 milliseconds and a number. */
export const TIME_MIN = -(2 ** 53);
export const TIME_MAX = 2 ** 53;
