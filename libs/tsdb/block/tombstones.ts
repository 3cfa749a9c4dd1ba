/**
 * The tombstones file: deleted ranges by series ref. Format as code has it (prometheus/tsdb/tombstones):
 * `magic u32 | version 1 u8 | (uvarint ref, varint mint, varint maxt)* | crc32 of the entries`.
 */
import { readFileSync } from "node:fs";
import { CorruptionError } from "#libs/kit/errors.ts";
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

export function writeTombstones(path: string, tombstones: readonly Tombstone[]): void {
  const out = new ByteWriter();
  out.u32(MAGIC);
  out.u8(1);
  for (const { ref, mint, maxt } of tombstones) {
    out.uvarint(ref);
    out.varint(mint);
    out.varint(maxt);
  }
  out.crc(5);
  writeFileAtomic(path, out.bytes);
}

/** By series ref, in the order of the file. @throws CorruptionError; a missing file is no tombstones. */
export function readTombstones(path: string): Map<number, Tombstone[]> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw error;
  }
  const reader = new ByteReader(bytes, path, 0, Math.max(0, bytes.length - 4));
  if (reader.u32() !== MAGIC) throw new CorruptionError(path, 0, "not a tombstones file (magic number)");
  if (reader.u8() !== 1) throw new CorruptionError(path, 4, "tombstones version");
  const stored = new ByteReader(bytes, path, bytes.length - 4).u32();
  if (crc32c(bytes, 5, bytes.length - 4) !== stored) throw new CorruptionError(path, 5, "tombstones: checksum");
  const byRef = new Map<number, Tombstone[]>();
  while (reader.left > 0) {
    const tombstone = { ref: reader.uvarint(), mint: reader.varint(), maxt: reader.varint() };
    const list = byRef.get(tombstone.ref);
    if (list === undefined) byRef.set(tombstone.ref, [tombstone]);
    else list.push(tombstone);
  }
  return byRef;
}
