/**
 * Series entries of an index: `uvarint len | body | crc32`, on 16-byte boundaries.
 *
 *   body: uvarint #labels, (uvarint name ref, uvarint value ref)*,
 *         uvarint #chunks, varint mint, uvarint maxt - mint, uvarint ref, then deltas to the chunk before
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import type { ByteReader } from "../encoding/reader.ts";

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

/** Entries one behind the other, in memory that is used again. */
export class EntryColumns {
  /** Symbol refs, name and value in turn. */
  labelRefs = new Uint32Array(32);
  labelCount = 0;
  mints = new Float64Array(8);
  /** Inclusive. */
  maxts = new Float64Array(8);
  /** As in `ChunkMeta`. */
  segments = new Uint32Array(8);
  offsets = new Uint32Array(8);
  chunkCount = 0;

  clear(): void {
    this.labelCount = 0;
    this.chunkCount = 0;
  }

  /** Makes room for so many more. */
  reserve(labels: number, chunks: number): void {
    if (this.labelCount + labels > this.labelRefs.length)
      this.labelRefs = grown(this.labelRefs, this.labelCount + labels);
    const wanted = this.chunkCount + chunks;
    if (wanted <= this.mints.length) return;
    this.mints = grown(this.mints, wanted);
    this.maxts = grown(this.maxts, wanted);
    this.segments = grown(this.segments, wanted);
    this.offsets = grown(this.offsets, wanted);
  }
}

function grown<T extends Uint32Array | Float64Array>(list: T, wanted: number): T {
  const larger = new (list.constructor as new (length: number) => T)(Math.max(2 * list.length, wanted));
  larger.set(list);
  return larger;
}

/**
 * Adds the entry at `reader.at` to `into`, and moves behind it.
 *
 * @throws CorruptionError when it is cut short, does not hold what it says, or its checksum is wrong.
 */
export function decodeSeriesEntry(reader: ByteReader, into: EntryColumns): void {
  const start = reader.at;
  const length = reader.uvarint();
  reader.need(length + 4);
  const bodyEnd = reader.at + length;
  const { bytes } = reader;
  const stored =
    ((bytes[bodyEnd]! << 24) | (bytes[bodyEnd + 1]! << 16) | (bytes[bodyEnd + 2]! << 8) | bytes[bodyEnd + 3]!) >>> 0;
  if (crc32c(bytes, reader.at, bodyEnd) !== stored)
    throw new CorruptionError(reader.file, reader.base + start, "series entry: checksum");
  const labelCount = reader.uvarint();
  if (labelCount * 2 > bodyEnd - reader.at) reader.fail(`${labelCount} labels in ${bodyEnd - reader.at} bytes`);
  into.reserve(2 * labelCount, 0);
  for (let i = 0; i < 2 * labelCount; i++) {
    const ref = reader.uvarint();
    if (ref > 0xffff_ffff) reader.fail(`symbol ref ${ref}`);
    into.labelRefs[into.labelCount++] = ref;
  }
  const chunkCount = reader.uvarint();
  if (chunkCount > bodyEnd - reader.at) reader.fail(`${chunkCount} chunks in ${bodyEnd - reader.at} bytes`);
  into.reserve(0, chunkCount);
  let maxt = 0;
  let ref = 0;
  for (let i = 0; i < chunkCount; i++) {
    const mint = i === 0 ? reader.varint() : maxt + reader.uvarint();
    maxt = mint + reader.uvarint();
    ref = i === 0 ? reader.uvarint() : ref + reader.varint();
    if (ref < 0) reader.fail("negative chunk ref");
    const k = into.chunkCount++;
    into.mints[k] = mint;
    into.maxts[k] = maxt;
    into.segments[k] = Math.floor(ref / 4294967296);
    into.offsets[k] = ref % 4294967296;
  }
  if (reader.at > bodyEnd)
    throw new CorruptionError(reader.file, reader.base + start, "series entry: longer than it says");
  reader.at = bodyEnd + 4;
}

/** The entry at the reader's position as a value. @throws CorruptionError as `decodeSeriesEntry`. */
export function readSeriesEntry(reader: ByteReader): SeriesEntry {
  const start = reader.at;
  const columns = new EntryColumns();
  decodeSeriesEntry(reader, columns);
  const { mints, maxts, segments, offsets } = columns;
  return {
    labelRefs: [...columns.labelRefs.subarray(0, columns.labelCount)],
    chunks: Array.from({ length: columns.chunkCount }, (_, i) => ({
      mint: mints[i]!,
      maxt: maxts[i]!,
      segment: segments[i]!,
      offset: offsets[i]!,
    })),
    bytes: reader.at - start,
  };
}
