/** Sample columns with the start timestamp of each sample, in ms; 0 is unknown. */
import { SampleColumns } from "#libs/model/columns.ts";

export class StartedColumns extends SampleColumns {
  starts: Float64Array = new Float64Array(512);

  override reserve(count: number): void {
    super.reserve(count);
    if (this.starts.length >= this.times.length) return;
    const starts = new Float64Array(this.times.length);
    starts.set(this.starts.subarray(0, this.length));
    this.starts = starts;
  }
}
