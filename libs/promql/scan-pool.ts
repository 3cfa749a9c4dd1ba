/**
 * Threads that scan for the one that evaluates: decoding chunks and walking windows is most of a range query, and
 * needs nothing but a batch and plain data. Results come back in columns and are used in the order of series, so that
 * additions happen in the order they always do.
 */
import { borrowColumns, returnColumns } from "#libs/model/kernel-memory.ts";
import { Annotations } from "./annotations.ts";
import { FloatScanner, type RangeScan } from "./operators/float-scanner.ts";
import type { FloatBatch, SeriesBatch } from "./storage.ts";

/** The series of a batch that have a value at some step. */
export interface ScannedRows {
  /** Their places in the batch. */
  readonly series: Uint32Array<ArrayBuffer>;
  /** Rows × steps. */
  readonly values: Float64Array<ArrayBuffer>;
  readonly present: Uint8Array<ArrayBuffer>;
  /** Samples of the whole batch. */
  readonly samples: number;
}

export interface ScanPool {
  /** Gives the batch away; undefined when it is to be scanned here: it is small, or all threads are busy. */
  offer(scan: RangeScan, batch: FloatBatch, signal: AbortSignal): Promise<ScannedRows> | undefined;
  /** Batches under way, here and there, that keep all threads busy. */
  readonly depth: number;
}

/** Scans a batch of `count` series of floats on this thread. */
export function scanFloats(scan: RangeScan, batch: SeriesBatch, count: number): ScannedRows {
  const steps = scan.steps.count;
  const scanner = new FloatScanner(scan, new Annotations(""));
  const values = new Float64Array(count * steps);
  const present = new Uint8Array(count * steps);
  const series = new Uint32Array(count);
  let rows = 0;
  let samples = 0;
  const columns = borrowColumns();
  try {
    for (let s = 0; batch.next(); s++) {
      columns.clear();
      batch.samples(columns);
      samples += columns.length;
      if (columns.length > 0 && scanner.scan(columns, values, present, rows * steps)) series[rows++] = s;
    }
  } finally {
    returnColumns(columns);
  }
  return { series: series.slice(0, rows), values, present, samples };
}
