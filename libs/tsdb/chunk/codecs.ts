/** The codecs by encoding byte: what a chunk holds and how it is read. */
import type { HistogramSample } from "#libs/model/histogram.ts";
import type { SampleColumns } from "#libs/model/columns.ts";
import { ENCODING } from "./encoding.ts";
import { readHistograms } from "./histogram-decode.ts";
import { decodeXorChunk } from "./xor-chunk.ts";
import { decodeXor2 } from "./xor2.ts";

/** Decodes the chunk `[from, from + length)` behind the samples in `columns`. @throws CorruptionError, naming `where`. */
export type FloatDecoder = (
  bytes: Uint8Array,
  from: number,
  length: number,
  columns: SampleColumns,
  where: string,
) => void;

/** The histograms of the chunk `[from, from + length)`, made one by one. @throws CorruptionError, naming `where`. */
export type HistogramDecoder = (
  bytes: Uint8Array,
  from: number,
  length: number,
  where: string,
) => Iterable<HistogramSample>;

export type Codec =
  | { readonly kind: "float"; readonly decode: FloatDecoder }
  | { readonly kind: "histogram"; readonly decode: HistogramDecoder };

const histograms = (encoding: number): Codec => ({
  kind: "histogram",
  decode: (bytes, from, length, where) => readHistograms(encoding, bytes, from, length, where),
});

/** The codec of an encoding byte; undefined for one that Prometheus 3.14 does not know. */
export const CODECS: Readonly<Record<number, Codec | undefined>> = {
  [ENCODING.XOR]: { kind: "float", decode: decodeXorChunk },
  [ENCODING.HISTOGRAM]: histograms(ENCODING.HISTOGRAM),
  [ENCODING.FLOAT_HISTOGRAM]: histograms(ENCODING.FLOAT_HISTOGRAM),
  [ENCODING.XOR2]: { kind: "float", decode: decodeXor2 },
  [ENCODING.HISTOGRAM_ST]: histograms(ENCODING.HISTOGRAM_ST),
  [ENCODING.FLOAT_HISTOGRAM_ST]: histograms(ENCODING.FLOAT_HISTOGRAM_ST),
};
