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

/** Samples the chunk at `from` says it holds; histograms with start timestamps keep two flags in the same bytes. */
export function sampleCount(encoding: number, bytes: Uint8Array, from: number): number {
  const count = (bytes[from]! << 8) | bytes[from + 1]!;
  return encoding === ENCODING.HISTOGRAM_ST || encoding === ENCODING.FLOAT_HISTOGRAM_ST ? count & 0x3fff : count;
}

export function holdsFloats(encoding: number): boolean {
  return encoding === ENCODING.XOR || encoding === ENCODING.XOR2;
}
