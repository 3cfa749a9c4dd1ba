/** What is asked of series, wherever they are: the contract shared by head and block. */
import type { Matcher } from "#libs/model/matcher.ts";

export interface SeriesQuery {
  readonly matchers: readonly Matcher[];
  /** Milliseconds, both inclusive. Chunks that reach into the range come whole. */
  readonly mint: number;
  readonly maxt: number;
  /** Labels only. */
  readonly skipChunks: boolean;
  /** Only the newest sample of each series up to `maxt` is looked at, stale markers among them: others may be left out. */
  readonly newestOnly?: boolean | undefined;
  /** Most series wanted; 0 for all. */
  readonly limit: number;
}

/**
 * A frame is sent when it holds this many bytes of chunks, or this many series. A merge holds one of each block: 1 MB
 * took 100 MB more for twelve blocks, and no less CPU (bench/query-memory.ts).
 */
export const FRAME_BYTES = 1 << 18;
export const FRAME_SERIES = 2048;
