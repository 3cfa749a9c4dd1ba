/** Where chunks end in time, as prometheus/tsdb/head_append.go has it. */

/** The end of the aligned range that holds `time`; Go's truncating division, for times before 1970. */
export function rangeEnd(time: number, width: number): number {
  return Math.trunc(time / width) * width + width;
}

/**
 * Where to end a chunk that began at `start`, so that the time up to `max` is filled by chunks of equal length.
 * `ratioToFull`: a full chunk has so many times what this one has at `current`.
 */
export function chunkEndTime(start: number, current: number, max: number, ratioToFull: number): number {
  const n = (max - start) / ((current - start + 1) * ratioToFull);
  return n <= 1 ? max : Math.trunc(start + (max - start) / Math.floor(n));
}
