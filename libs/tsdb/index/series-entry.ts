/**
 * Series entries of an index: `uvarint len | body | crc32`, on 16-byte boundaries.
 *
 *   body: uvarint #labels, (uvarint name ref, uvarint value ref)*,
 *         uvarint #chunks, varint mint, uvarint maxt - mint, uvarint ref, then deltas to the chunk before
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader } from "../encoding/reader.ts";

export interface ChunkMeta {
  readonly mint: number;
  /** Inclusive. */
  readonly maxt: number;
  /** Segment number from 0, and offset of the chunk's length field in it. */
  readonly segment: number;
  readonly offset: number;
}

export interface SeriesEntry {
  /** Symbol refs: name, value, name, value, … */
  readonly labelRefs: readonly number[];
  readonly chunks: readonly ChunkMeta[];
  /** Bytes of the whole entry: the next one starts at the next 16-byte boundary. */
  readonly bytes: number;
}

/** Reads the entry at the reader's position. @throws CorruptionError when it is cut short or its checksum is wrong. */
export function readSeriesEntry(reader: ByteReader): SeriesEntry {
  const start = reader.at;
  const length = reader.uvarint();
  reader.need(length + 4);
  const bodyEnd = reader.at + length;
  const stored = new ByteReader(reader.bytes, reader.file, bodyEnd, bodyEnd + 4, reader.base).u32();
  if (crc32c(reader.bytes, reader.at, bodyEnd) !== stored) {
    throw new CorruptionError(reader.file, reader.base + start, "series entry: checksum");
  }
  const body = new ByteReader(reader.bytes, reader.file, reader.at, bodyEnd, reader.base);
  const labelCount = body.uvarint();
  if (labelCount * 2 > body.left) body.fail(`${labelCount} labels in ${body.left} bytes`);
  const labelRefs: number[] = [];
  for (let i = 0; i < 2 * labelCount; i++) labelRefs.push(body.uvarint());
  const chunkCount = body.uvarint();
  if (chunkCount > body.left) body.fail(`${chunkCount} chunks in ${body.left} bytes`);
  const chunks: ChunkMeta[] = [];
  let maxt = 0;
  let ref = 0;
  for (let i = 0; i < chunkCount; i++) {
    const mint = i === 0 ? body.varint() : maxt + body.uvarint();
    maxt = mint + body.uvarint();
    ref = i === 0 ? body.uvarint() : ref + body.varint();
    if (ref < 0) body.fail("negative chunk ref");
    chunks.push({ mint, maxt, segment: Math.floor(ref / 4294967296), offset: ref % 4294967296 });
  }
  reader.at = bodyEnd + 4;
  return { labelRefs, chunks, bytes: reader.at - start };
}
