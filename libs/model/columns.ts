import type { NativeHistogram } from "./native-histogram.ts";

/**
 * Growing columns of samples: `times[i]` in ms, `values[i]`, `i < length`. Reused from series to series.
 *
 * Histograms and start timestamps are rare: their columns are there only for a series that has some. A sample is a
 * histogram when `histograms?.[i]` is set, its value is then 0. A stale histogram is a stale marker like any other.
 */
export class SampleColumns {
  times: Float64Array = new Float64Array(512);
  values: Float64Array = new Float64Array(512);
  /** The words of `values`, low before high: how NaN payloads are written and tested. */
  words: Int32Array = new Int32Array(this.values.buffer);
  length = 0;
  /** As long as `length`, or undefined: all samples are floats. */
  histograms: (NativeHistogram | undefined)[] | undefined;
  /** Start timestamps in ms, 0 unknown; as large as `times`, or undefined: all unknown. */
  starts: Float64Array | undefined;
  /** Where in `kernelMemory` times and values lie (kernel-memory.ts); -1: elsewhere. */
  kernelAt = -1;

  clear(): void {
    this.length = 0;
    this.histograms = undefined;
    this.starts = undefined;
  }

  /** The column of start timestamps, made if there is none: unknown for the samples so far. */
  withStarts(): Float64Array {
    this.starts ??= new Float64Array(this.times.length);
    return this.starts;
  }

  /** Appends a float by its words, where there are floats alone. */
  addFloat(time: number, low: number, high: number, start: number): void {
    this.reserve(1);
    const i = this.length++;
    this.times[i] = time;
    this.words[2 * i] = low;
    this.words[2 * i + 1] = high;
    this.#setStart(i, start);
  }

  #setStart(i: number, start: number): void {
    if (start !== 0) this.withStarts()[i] = start;
    else if (this.starts !== undefined) this.starts[i] = 0;
  }

  /** Appends a histogram; the columns of a stale one say stale. */
  addHistogram(time: number, histogram: NativeHistogram): void {
    this.reserve(1);
    const i = this.length++;
    this.times[i] = time;
    this.values[i] = 0;
    this.histograms ??= [];
    // Floats before and between leave holes.
    this.histograms.length = i;
    this.histograms.push(histogram);
  }

  /** Appends sample `i` of other columns. */
  copy(from: SampleColumns, i: number): void {
    this.reserve(1);
    const at = this.length++;
    this.times[at] = from.times[i]!;
    this.words[2 * at] = from.words[2 * i]!;
    this.words[2 * at + 1] = from.words[2 * i + 1]!;
    const histogram = from.histograms?.[i];
    if (this.histograms !== undefined || histogram !== undefined) {
      this.histograms ??= [];
      this.histograms.length = at;
      this.histograms.push(histogram);
    }
    this.#setStart(at, from.starts?.[i] ?? 0);
  }

  /** Makes room for `count` more samples. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.times.length) return;
    const capacity = Math.max(needed, this.times.length * 2);
    const times = new Float64Array(capacity);
    const values = new Float64Array(capacity);
    const words = new Int32Array(values.buffer);
    times.set(this.times.subarray(0, this.length));
    words.set(this.words.subarray(0, 2 * this.length)); // as words: payloads of NaN stay
    if (this.starts !== undefined) {
      const starts = new Float64Array(capacity);
      starts.set(this.starts.subarray(0, this.length));
      this.starts = starts;
    }
    this.times = times;
    this.values = values;
    this.words = words;
    this.kernelAt = -1;
  }
}
