/**
 * Samples that came later than newer ones of their series, within the window that is taken: up to 32 in memory a
 * series, sorted, then as chunks in `chunks_head` that may overlap each other and everything else. They are merged
 * when read and cut into blocks of their own.
 */
import type { Histogram } from "#libs/model/histogram.ts";
import { StoredSamples } from "./stored-samples.ts";
import type { FullChunk } from "./full-chunks.ts";

/** Prometheus's `OutOfOrderCapMax`. */
export const LATE_SAMPLES_MAX = 32;

export class LateSeries {
  open: StoredSamples | undefined;
  /** In the order they were filled. Replaced, not changed: a reader may keep it. */
  chunks: readonly FullChunk[] = [];

  clone(): LateSeries {
    const copy = new LateSeries();
    copy.open = this.open?.clone();
    copy.chunks = this.chunks;
    return copy;
  }
}

export class OutOfOrder {
  readonly #byRef = new Map<number, LateSeries>();
  /** Bounds of what is held; they only widen until everything is cut. */
  mint = Infinity;
  maxt = -Infinity;

  /** Series that hold any. */
  get count(): number {
    return this.#byRef.size;
  }

  of(ref: number): LateSeries | undefined {
    return this.#byRef.get(ref);
  }

  /** First and last time of what is held of a series; Infinity and -Infinity when nothing is. */
  boundsOf(ref: number): readonly [number, number] {
    const series = this.#byRef.get(ref);
    if (series === undefined) return [Infinity, -Infinity];
    const { open, chunks } = series;
    return [
      chunks.reduce((min, chunk) => Math.min(min, chunk.mint), open?.mint ?? Infinity),
      chunks.reduce((max, chunk) => Math.max(max, chunk.maxt), open?.maxt ?? -Infinity),
    ];
  }

  refs(): number[] {
    return [...this.#byRef.keys()];
  }

  /** Whether the next sample of the series needs `flush` first. */
  isFull(ref: number): boolean {
    return this.#byRef.get(ref)?.open?.length === LATE_SAMPLES_MAX;
  }

  /** Inserts a sample. @returns false when there is one at this time in memory. */
  insert(
    ref: number,
    time: number,
    low: number,
    high: number,
    histogram: Histogram | undefined,
    start: number,
  ): boolean {
    const series = this.#series(ref);
    series.open ??= new StoredSamples();
    if (!series.open.insert(time, low, high, histogram, start)) return false;
    this.mint = Math.min(this.mint, time);
    this.maxt = Math.max(this.maxt, time);
    return true;
  }

  addChunk(ref: number, chunk: FullChunk): void {
    const series = this.#series(ref);
    series.chunks = [...series.chunks, chunk];
    this.mint = Math.min(this.mint, chunk.mint);
    this.maxt = Math.max(this.maxt, chunk.maxt);
  }

  /** Forgets what is in memory: chunks have it. */
  clearOpen(ref: number): void {
    const series = this.#byRef.get(ref);
    if (series !== undefined) series.open = undefined;
  }

  #series(ref: number): LateSeries {
    let series = this.#byRef.get(ref);
    if (series === undefined) {
      series = new LateSeries();
      this.#byRef.set(ref, series);
    }
    return series;
  }

  /** Forgets chunks that a block has now. */
  drop(ref: number, cut: ReadonlySet<FullChunk>): void {
    const series = this.#byRef.get(ref);
    if (series === undefined) return;
    series.chunks = series.chunks.filter((chunk) => !cut.has(chunk));
    if (series.chunks.length === 0 && series.open === undefined) this.#byRef.delete(ref);
    if (this.#byRef.size === 0) {
      this.mint = Infinity;
      this.maxt = -Infinity;
    }
  }
}
