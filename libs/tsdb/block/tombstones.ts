/**
 * The tombstones file: deleted ranges by series ref. Format as code has it (prometheus/tsdb/tombstones):
 * `magic u32 | version 1 u8 | (uvarint ref, varint mint, varint maxt)* | crc32 of the entries`.
 */
import { readFileSync } from "node:fs";
import { CorruptionError, codeOf } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { writeFileAtomic } from "../files.ts";

const MAGIC = 0x0130ba30;

/** Samples with mint ≤ t ≤ maxt of the series are deleted. */
export interface Tombstone {
  readonly ref: number;
  readonly mint: number;
  readonly maxt: number;
}

/** Writes the file anew, series ascending. */
export function writeTombstones(path: string, tombstones: Tombstones): void {
  const out = new ByteWriter();
  out.u32(MAGIC);
  out.u8(1);
  for (const list of [...tombstones.values()].sort((a, b) => a[0]!.ref - b[0]!.ref)) {
    for (const { ref, mint, maxt } of list) {
      out.uvarint(ref);
      out.varint(mint);
      out.varint(maxt);
    }
  }
  out.crc(5);
  writeFileAtomic(path, out.bytes);
}

/** Deleted ranges by series ref: ascending, neither overlapping nor adjacent. */
export type Tombstones = ReadonlyMap<number, readonly Tombstone[]>;

export const NO_TOMBSTONES: Tombstones = new Map();

/** Adds a range to those of its series; those it overlaps or touches become one with it. */
export function addTombstone(byRef: Map<number, readonly Tombstone[]>, added: Tombstone): void {
  const { ref } = added;
  const others: Tombstone[] = [];
  let { mint, maxt } = added;
  for (const tombstone of byRef.get(ref) ?? []) {
    if (tombstone.maxt < mint - 1 || tombstone.mint > maxt + 1) others.push(tombstone);
    else {
      mint = Math.min(mint, tombstone.mint);
      maxt = Math.max(maxt, tombstone.maxt);
    }
  }
  others.push({ ref, mint, maxt });
  byRef.set(
    ref,
    others.sort((a, b) => a.mint - b.mint),
  );
}

/** The tombstones of the file at `path`; of a missing file none. @throws CorruptionError. */
export function readTombstones(path: string): Tombstones {
  try {
    return parseTombstones(readFileSync(path), path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return NO_TOMBSTONES;
    throw error;
  }
}

/** The tombstones in the bytes of a file. @throws CorruptionError naming `file`. */
export function parseTombstones(bytes: Uint8Array, file: string): Tombstones {
  const reader = new ByteReader(bytes, file, 0, Math.max(0, bytes.length - 4));
  if (reader.u32() !== MAGIC) throw new CorruptionError(file, 0, "not a tombstones file (magic number)");
  if (reader.u8() !== 1) throw new CorruptionError(file, 4, "tombstones version");
  const stored = new ByteReader(bytes, file, bytes.length - 4).u32();
  if (crc32c(bytes, 5, bytes.length - 4) !== stored) throw new CorruptionError(file, 5, "tombstones: checksum");
  const byRef = new Map<number, readonly Tombstone[]>();
  while (reader.left > 0) {
    const tombstone = { ref: reader.uvarint(), mint: reader.varint(), maxt: reader.varint() };
    if (tombstone.mint > tombstone.maxt) reader.fail(`a range from ${tombstone.mint} to ${tombstone.maxt}`);
    addTombstone(byRef, tombstone);
  }
  return byRef;
}

/** How many ranges: what meta.json counts. */
export function countTombstones(tombstones: Tombstones): number {
  let count = 0;
  for (const list of tombstones.values()) count += list.length;
  return count;
}
