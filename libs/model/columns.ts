/** Growing columns of samples: `times[i]` in ms, `values[i]`, `i < length`. Reused from series to series. */
export class SampleColumns {
  times: Float64Array = new Float64Array(512);
  values: Float64Array = new Float64Array(512);
  /** The words of `values`, low before high: how NaN payloads are written and tested. */
  words: Int32Array = new Int32Array(this.values.buffer);
  length = 0;

  clear(): void {
    this.length = 0;
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
    this.times = times;
    this.values = values;
    this.words = words;
  }
}
