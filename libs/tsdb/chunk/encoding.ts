/** Chunk encodings by the byte that stands for them on disk (prometheus/tsdb/chunkenc). */
export const ENCODING = {
  XOR: 1,
  HISTOGRAM: 2,
  FLOAT_HISTOGRAM: 3,
  XOR2: 4,
  HISTOGRAM_ST: 5,
  FLOAT_HISTOGRAM_ST: 6,
} as const;

export const ENCODING_NAMES: Readonly<Record<number, string>> = {
  1: "XOR",
  2: "histogram",
  3: "floathistogram",
  4: "XOR2",
  5: "histogramST",
  6: "floathistogramST",
};

/** A chunk of one series as it lies in a block or head. `mint` and `maxt` inclusive. */
export interface Chunk {
  readonly mint: number;
  readonly maxt: number;
  readonly encoding: number;
  /** The stream without the encoding byte. Owned by whoever made the chunk: do not write. */
  readonly data: Uint8Array;
}
