/** All that the engine knows of where samples are: the contract a data source fulfils. */
import type { SampleColumns } from "#libs/model/columns.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";

export interface SelectRequest {
  readonly matchers: readonly MatcherSpec[];
  /** Milliseconds, both inclusive. More may come back; the engine looks at times. */
  readonly mint: number;
  readonly maxt: number;
  /** The function around the selector, "" for none: lets a store choose aggregates of downsampled data. */
  readonly func: string;
  readonly stepMs: number;
  readonly rangeMs: number;
  /** Only the newest sample up to `maxt` of each series is looked at, stale or not: others may be left out. */
  readonly newestOnly?: boolean | undefined;
  /** Sorted. Set when no others are looked at: `labels` may leave them out, and give equal sets as the same array. */
  readonly labels?: readonly string[] | undefined;
}

/** Some series, walked once, front to back. */
export interface SeriesBatch {
  /** Moves to the next series; false after the last. */
  next(): boolean;
  labels(): Labels;
  /** Puts the series' samples into `columns`, times strictly ascending, stale markers among them. */
  samples(columns: SampleColumns): void;
  /** Set when all series are of floats alone and nothing was walked yet: they can be scanned on another thread. */
  readonly floats?: FloatBatch | undefined;
}

export interface FloatBatch {
  readonly count: number;
  /** Of series `i`, also once the batch was given away. */
  labels(i: number): Labels;
  /** Encoded. */
  readonly bytes: number;
  /** The series as a message and the buffers to transfer with it; the batch is not to be touched any more. */
  detach(): { readonly message: unknown; readonly transfer: ArrayBuffer[] };
}

/** Told of what a query was answered without: shown as a warning. */
export type OnWarning = (text: string) => void;

export interface QueryStorage {
  /**
   * The matching series, ascending by labels, each once. A batch is there until the next is asked for.
   *
   * @throws UnavailableError when part of the data cannot be had and partial response is off.
   */
  select(request: SelectRequest, onWarning: OnWarning, signal: AbortSignal): AsyncIterable<SeriesBatch>;
}
