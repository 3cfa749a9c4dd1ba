/**
 * Memory for the large reads of a stream of series. Left to the collector, what is read called for a full collection at
 * every query of 100,000 series (bench/queries.ts: `count` of all takes 0.85 of the CPU).
 */
const BYTES_MIN = 1 << 15;
/** Longer ones are of single large entries, or lengths are broken: who reads them looks at the file's size first. */
const BYTES_MAX = 1 << 25;

export class ReadWindows {
  readonly #free: Uint8Array<ArrayBuffer>[] = [];
  readonly #taken: Uint8Array<ArrayBuffer>[] = [];

  /** Where a read of so many bytes may go; undefined where memory of its own will do. */
  take(bytes: number): Uint8Array | undefined {
    if (bytes < BYTES_MIN || bytes > BYTES_MAX) return undefined;
    const found = this.#free.findIndex(({ length }) => length >= bytes);
    const window = found < 0 ? new Uint8Array(2 ** Math.ceil(Math.log2(bytes))) : this.#free.splice(found, 1)[0]!;
    this.#taken.push(window);
    return window;
  }

  /** What was read so far is not needed any more. */
  reuse(): void {
    this.#free.push(...this.#taken.splice(0));
  }

  /** Gives all of the memory back at once. */
  release(): void {
    this.reuse();
    for (const { buffer } of this.#free.splice(0)) buffer.transfer(0);
  }
}
