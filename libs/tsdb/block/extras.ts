/**
 * What outlives the head beside a block's samples: exemplars, and what metrics are said to be. Prometheus has both in
 * memory only, so the file is ours, and it and Thanos pass over it. Format: docs/formats/extras.md.
 *
 *   <ULID>/cairn-extras    header │ metadata, families ascending │ exemplars, series ascending, each by time
 *
 * A block without either has no such file. A writer keeps to EXEMPLAR_BYTES_MAX, and says when that left some out.
 */
import { CorruptionError } from "#libs/kit/errors.ts";
import type { Slices } from "#libs/kit/slices.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { compareLabels, type Labels } from "#libs/model/labels.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
import type { Exemplar, SeriesExemplars } from "../head/exemplars.ts";
import type { MetadataEntry } from "../head/metric-metadata.ts";
import { METADATA_TYPES } from "../wal/records.ts";

export const EXTRAS_FILE = "cairn-extras";

/** Of one block: half a million exemplars or so. */
export const EXEMPLAR_BYTES_MAX = 64 << 20;

const MAGIC = 0xca1ee87a;
const HEADER_BYTES = 18;
const CRC_BYTES = 4;

export type FamilyMetadata = readonly [family: string, MetadataEntry];

export interface Extras {
  /** In any order, each family once. */
  readonly metadata: readonly FamilyMetadata[];
  /** Series ascending, each once; their exemplars by time. */
  readonly exemplars: Iterable<SeriesExemplars>;
  /** Whether exemplars were left out before. */
  readonly isPartial: boolean;
}

/** Bytes of the file, shorter only at its end; undefined where there is none. */
export type ReadExtras = (offset: number, length: number) => Promise<Uint8Array | undefined>;

/** The file's bytes; undefined when there is nothing to keep. */
export async function encodeExtras(
  { metadata, exemplars, isPartial }: Extras,
  slices: Slices,
  exemplarBytesMax: number = EXEMPLAR_BYTES_MAX,
): Promise<Uint8Array | undefined> {
  const families = new ByteWriter();
  families.uvarint(metadata.length);
  for (const [family, { type, unit, help }] of metadata.toSorted(([a], [b]) => compareUtf8(a, b))) {
    families.text(family);
    families.u8(METADATA_TYPES.indexOf(type));
    families.text(unit);
    families.text(help);
  }
  const series = new ByteWriter();
  let isCut = isPartial;
  for (const list of exemplars) {
    const from = series.length;
    writeSeries(series, list);
    if (series.length > exemplarBytesMax) {
      series.length = from;
      isCut = true;
    }
    if (slices.due) await slices.breathe();
  }
  if (metadata.length === 0 && series.length === 0) return undefined;
  const out = new ByteWriter(HEADER_BYTES + families.length + series.length + 2 * CRC_BYTES);
  out.u32(MAGIC);
  out.u8(1);
  out.u8(isCut ? 1 : 0);
  out.u32(families.length);
  out.u32(series.length);
  out.crc(0);
  for (const section of [families, series]) {
    const from = out.length;
    out.raw(section.bytes);
    out.crc(from);
  }
  return out.bytes;
}

function writeSeries(out: ByteWriter, { series, exemplars }: SeriesExemplars): void {
  writeLabels(out, series);
  out.uvarint(exemplars.length);
  let before = 0;
  for (const { time, value, labels } of exemplars) {
    out.varint(time - before);
    const words = new Int32Array(value.buffer, value.byteOffset, 2);
    out.f64Words(words[0]!, words[1]!);
    writeLabels(out, labels);
    before = time;
  }
}

function writeLabels(out: ByteWriter, labels: Labels): void {
  out.uvarint(labels.length / 2);
  for (const text of labels) out.text(text);
}

interface Header {
  readonly isPartial: boolean;
  readonly metadataBytes: number;
  readonly exemplarBytes: number;
}

async function readHeader(read: ReadExtras, file: string): Promise<Header | undefined> {
  const bytes = await read(0, HEADER_BYTES);
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes, file);
  if (reader.u32() !== MAGIC) throw new CorruptionError(file, 0, "not a file of exemplars and metadata (magic number)");
  const version = reader.u8();
  if (version !== 1) throw new CorruptionError(file, 4, `version ${version}, only 1 is known`);
  const isPartial = reader.u8() !== 0;
  const header = { isPartial, metadataBytes: reader.u32(), exemplarBytes: reader.u32() };
  if (reader.u32() !== crc32c(bytes, 0, HEADER_BYTES - CRC_BYTES))
    throw new CorruptionError(file, 0, "header: checksum");
  return header;
}

/** A section whose checksum holds. */
async function readSection(read: ReadExtras, offset: number, length: number, file: string): Promise<ByteReader> {
  const bytes = await read(offset, length + CRC_BYTES);
  if (bytes === undefined || bytes.length < length + CRC_BYTES)
    throw new CorruptionError(file, offset, `${length + CRC_BYTES} bytes are claimed, ${bytes?.length ?? 0} are there`);
  const crc = new ByteReader(bytes, file, length, length + CRC_BYTES, offset).u32();
  if (crc !== crc32c(bytes, 0, length)) throw new CorruptionError(file, offset, "checksum");
  return new ByteReader(bytes, file, 0, length, offset);
}

/** What the file says of metrics; nothing where there is no file. @throws CorruptionError */
export async function readMetadata(read: ReadExtras, file: string): Promise<FamilyMetadata[]> {
  const header = await readHeader(read, file);
  if (header === undefined) return [];
  const reader = await readSection(read, HEADER_BYTES, header.metadataBytes, file);
  const families: FamilyMetadata[] = [];
  for (let count = reader.uvarint(); count > 0; count--) {
    const family = reader.text();
    const type = METADATA_TYPES[reader.u8()] ?? reader.fail("unknown type of a metric");
    families.push([family, { type, unit: reader.text(), help: reader.text() }]);
  }
  if (reader.left > 0) reader.fail(`${reader.left} bytes behind the last metric`);
  return families;
}

export interface StoredExemplars {
  /** Whether some were left out when the file was written. */
  readonly isPartial: boolean;
  readonly bytes: number;
  /** Decoded while it is iterated, once. @throws CorruptionError */
  readonly series: Iterable<SeriesExemplars>;
}

/** The file's exemplars; none where there is no file. @throws CorruptionError */
export async function readExemplars(read: ReadExtras, file: string): Promise<StoredExemplars> {
  const header = await readHeader(read, file);
  if (header === undefined) return { isPartial: false, bytes: 0, series: [] };
  const { isPartial, metadataBytes, exemplarBytes } = header;
  const section = await readSection(read, HEADER_BYTES + metadataBytes + CRC_BYTES, exemplarBytes, file);
  return { isPartial, bytes: exemplarBytes, series: decodeSeries(section) };
}

function* decodeSeries(reader: ByteReader): Generator<SeriesExemplars> {
  let before: Labels | undefined;
  while (reader.left > 0) {
    const series = readLabels(reader);
    if (before !== undefined && compareLabels(before, series) >= 0) reader.fail("series do not ascend");
    before = series;
    const exemplars: Exemplar[] = [];
    let time = 0;
    for (let count = reader.uvarint(); count > 0; count--) {
      const step = reader.varint();
      time += step;
      if (!Number.isSafeInteger(time) || (exemplars.length > 0 && step < 0)) reader.fail("times do not ascend");
      const value = new Float64Array(1);
      reader.f64Into(new Int32Array(value.buffer), 0);
      exemplars.push({ time, value, labels: readLabels(reader) });
    }
    yield { series, exemplars };
  }
}

function readLabels(reader: ByteReader): Labels {
  const labels: string[] = [];
  for (let count = reader.uvarint(); count > 0; count--) labels.push(reader.text(), reader.text());
  return labels;
}
