/** Prometheus's and Thanos's hashes of label sets: xxhash64 of `name 0xff value 0xff …`. */
import xxhash from "xxhash-wasm";
import type { Labels } from "./labels.ts";

const hasher = await xxhash();
const SEPARATOR = 0xff;

/** `labels.Hash()` of a whole set, as Thanos keys its compaction groups and shards by. */
export function hashLabels(labels: Labels): bigint {
  return hasher.h64Raw(hashInput(labels));
}

/** xxhash64 of any bytes. */
export function xxhash64(bytes: Uint8Array): bigint {
  return hasher.h64Raw(bytes);
}

function hashInput(labels: Labels): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const text of labels) parts.push(Buffer.from(text, "utf8"), Uint8Array.of(SEPARATOR));
  return Buffer.concat(parts);
}

/**
 * Prometheus's `labels.Hash()` as its servers are built (stringlabels): xxhash64 of every name and value behind its
 * length, one byte, or 0xff and three bytes, low first, from 255 on.
 */
export function hashStringLabels(labels: Labels): bigint {
  const parts: Uint8Array[] = [];
  for (const text of labels) {
    const bytes = Buffer.from(text, "utf8");
    const { length } = bytes;
    parts.push(length < 0xff ? Uint8Array.of(length) : Uint8Array.of(0xff, length, length >>> 8, length >>> 16), bytes);
  }
  return hasher.h64Raw(Buffer.concat(parts));
}
