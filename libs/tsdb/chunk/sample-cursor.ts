/** Walks the samples of one chunk of any encoding, floats and histograms alike. Not for queries: see `decode.ts`. */
import { CorruptionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import type { Histogram, HistogramSample } from "#libs/model/histogram.ts";
import { CODECS } from "./codecs.ts";
import type { Chunk } from "./encoding.ts";

export interface Sample {
  readonly time: number;
  /** Start timestamp, 0 unknown. */
  readonly start: number;
  /** The words of a float; of no meaning where there is a histogram. */
  readonly low: number;
  readonly high: number;
  readonly histogram: Histogram | undefined;
}

export class SampleCursor implements Sample {
  time = 0;
  start = 0;
  low = 0;
  high = 0;
  histogram: Histogram | undefined;
  readonly #columns: SampleColumns | undefined;
  readonly #histograms: Iterator<HistogramSample> | undefined;
  #at = 0;

  /** @throws CorruptionError naming `where`, here or in `next`. */
  constructor({ encoding, data }: Chunk, where: string) {
    const codec = CODECS[encoding];
    if (codec === undefined) throw new CorruptionError(where, 0, `a chunk of encoding ${encoding}`);
    if (codec.kind === "float") {
      this.#columns = new SampleColumns();
      codec.decode(data, 0, data.length, this.#columns, where);
    } else this.#histograms = codec.decode(data, 0, data.length, where)[Symbol.iterator]();
  }

  /** Moves to the next sample; false behind the last. */
  next(): boolean {
    const columns = this.#columns;
    if (columns !== undefined) {
      const i = this.#at++;
      if (i >= columns.length) return false;
      this.time = columns.times[i]!;
      this.start = columns.starts?.[i] ?? 0;
      this.low = columns.words[2 * i]!;
      this.high = columns.words[2 * i + 1]!;
      return true;
    }
    const next = this.#histograms!.next();
    if (next.done === true) return false;
    ({ time: this.time, start: this.start, histogram: this.histogram } = next.value);
    return true;
  }
}
