/** Chunks of one series into columns, floats and histograms alike. */
import { CorruptionError } from "#libs/kit/errors.ts";
import type { SampleColumns } from "#libs/model/columns.ts";
import { isStaleHistogram } from "#libs/model/histogram.ts";
import { nativeHistogram } from "#libs/model/native-histogram.ts";
import { setStale } from "#libs/model/stale.ts";
import { CODECS, type HistogramDecoder } from "./codecs.ts";
import { ENCODING } from "./encoding.ts";

/** Decodes a chunk behind the samples already in `columns`. @throws CorruptionError, naming `where`. */
export function decodeChunk(
  encoding: number,
  bytes: Uint8Array,
  from: number,
  length: number,
  columns: SampleColumns,
  where: string,
): void {
  const codec = CODECS[encoding];
  if (codec === undefined) throw new CorruptionError(where, from, `a chunk of encoding ${encoding}`);
  if (codec.kind === "histogram") {
    decodeHistograms(codec.decode, bytes, from, length, columns, where);
    return;
  }
  const before = columns.length;
  codec.decode(bytes, from, length, columns, where);
  // Floats behind histograms: the columns stay as long as each other. Floats without start timestamps behind some with.
  if (columns.histograms !== undefined) columns.histograms.length = columns.length;
  if (columns.starts !== undefined && !hasStarts(encoding)) columns.starts.fill(0, before, columns.length);
}

function hasStarts(encoding: number): boolean {
  return encoding === ENCODING.XOR2;
}

function decodeHistograms(
  decode: HistogramDecoder,
  bytes: Uint8Array,
  from: number,
  length: number,
  columns: SampleColumns,
  where: string,
): void {
  for (const { start, time, histogram } of decode(bytes, from, length, where)) {
    if (isStaleHistogram(histogram)) {
      columns.reserve(1);
      setStale(columns.words, columns.length);
      columns.times[columns.length++] = time;
      if (columns.histograms !== undefined) columns.histograms.length = columns.length;
    } else columns.addHistogram(time, nativeHistogram(histogram));
    if (start !== 0) columns.withStarts()[columns.length - 1] = start;
    else if (columns.starts !== undefined) columns.starts[columns.length - 1] = 0;
  }
}
