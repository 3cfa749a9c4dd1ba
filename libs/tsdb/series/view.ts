/**
 * Series where they are: what a source gives, in place of frames, to a reader on its own thread. A frame can travel, so
 * it has copies and symbols of its own; a view names its source's.
 */
import type { Labels } from "#libs/model/labels.ts";
import type { LabelSets } from "../head/label-sets.ts";
import type { ChunkColumns, SeriesFrame } from "./frame.ts";

/** Label sets by ids of strings; there for good, whatever becomes of the view. */
export class LabelRows {
  /** By id; only ever grows. */
  readonly symbols: readonly string[];
  readonly sets: LabelSets;
  /** Addresses in `sets`. */
  readonly at: Uint32Array;

  constructor(symbols: readonly string[], sets: LabelSets, at: Uint32Array) {
    this.symbols = symbols;
    this.sets = sets;
    this.at = at;
  }

  get count(): number {
    return this.at.length;
  }

  labels(i: number): Labels {
    return this.sets.labels(this.at[i]!, this.symbols);
  }
}

/** A sample of each series; the time is NaN where a series has chunks instead. Values are two words, low before high. */
export interface NewestSamples {
  readonly times: Float64Array;
  readonly words: Int32Array;
  /** Start timestamps, 0 unknown; undefined where there are none. */
  starts: Float64Array | undefined;
}

/** Some series, each once. There until the next view of the stream is asked for, or `take` or `toFrame` is called. */
export interface SeriesView {
  readonly labels: LabelRows;
  /** Where the chunks of each series end in `chunks`. */
  readonly chunkEnds: Uint32Array<ArrayBuffer>;
  readonly chunks: ChunkColumns;
  /** Where only the newest sample of each series was asked for. */
  readonly newest: NewestSamples | undefined;
  /** The chunks in buffers of the caller's, which may be sent away; where there is no `newest`. */
  take(): ChunkColumns;
  /** The same series as a frame. The frames of one stream belong together. */
  toFrame(): SeriesFrame;
}
