/**
 * Series frames: how series travel inside a process. A frame is a batch of series in columns, all of it in a few
 * buffers that are transferred between threads, never copied or parsed:
 *
 *   symbols  new strings of this stream; ids go on from the frame before
 *   labels   symbol ids, name, value, name, value, … of all series
 *   labelEnds, chunkEnds   where each series ends in `labels` and in the chunk columns
 *   mints, maxts, encodings, dataEnds   one entry a chunk
 *   data     the bytes of all chunks, with `DECODE_SLACK` spare bytes at the end
 */
import { copyBytes } from "#libs/kit/copy-bytes.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { DECODE_SLACK } from "../chunk/xor.ts";

export interface SeriesFrame {
  readonly symbols: readonly string[];
  readonly labels: Uint32Array<ArrayBuffer>;
  readonly labelEnds: Uint32Array<ArrayBuffer>;
  readonly chunkEnds: Uint32Array<ArrayBuffer>;
  readonly mints: Float64Array<ArrayBuffer>;
  readonly maxts: Float64Array<ArrayBuffer>;
  readonly encodings: Uint8Array<ArrayBuffer>;
  readonly dataEnds: Uint32Array<ArrayBuffer>;
  readonly data: Uint8Array<ArrayBuffer>;
}

export function seriesCount(frame: SeriesFrame): number {
  return frame.labelEnds.length;
}

/** The buffers to transfer with a frame, each once. */
export function frameBuffers({ labels, labelEnds, chunkEnds, ...chunks }: SeriesFrame): ArrayBuffer[] {
  return [...new Set([labels.buffer, labelEnds.buffer, chunkEnds.buffer, ...chunkBuffers(chunks)])];
}

/** Those of its chunks; none of them has labels. */
export function chunkBuffers({ mints, maxts, encodings, dataEnds, data }: ChunkColumns): ArrayBuffer[] {
  return [...new Set([mints, maxts, encodings, dataEnds, data].map((column) => column.buffer))];
}

/** A frame without what tells whose its chunks are. */
export type ChunkColumns = Pick<SeriesFrame, "mints" | "maxts" | "encodings" | "dataEnds" | "data">;

/**
 * Gives the memory of a frame's chunks back at once, if it is still here: the collector sees little garbage and comes
 * late (bench/query-memory.ts: 192 MB above idle instead of 136). Nobody may look at its chunks any more.
 */
export function releaseFrame({ data }: Pick<SeriesFrame, "data">): void {
  if (!data.buffer.detached) data.buffer.transfer(0);
}

/** Whether chunks [from, to) ascend and do not overlap. */
export function chunksFollow(mints: Float64Array, maxts: Float64Array, from: number, to: number): boolean {
  for (let i = from + 1; i < to; i++) if (mints[i]! <= maxts[i - 1]!) return false;
  return true;
}

/** Fills frames of one stream. */
export class FrameBuilder {
  #symbolIds = new Map<string, number>();
  #symbolCount = 0;
  #symbols: string[] = [];
  // Columns are empty until something comes, which may be never: a view of newest samples has neither labels nor chunks.
  #labels = NO_WORDS;
  #labelCount = 0;
  #labelEnds = NO_WORDS;
  #chunkEnds = NO_WORDS;
  #seriesCount = 0;
  #mints = NO_FLOATS;
  #maxts = NO_FLOATS;
  #encodings = NO_BYTES;
  #dataEnds = NO_WORDS;
  #chunkCount = 0;
  #data = NO_BYTES;
  /** Bytes to begin the next frame with. */
  #dataBytes: number;
  #dataLength = 0;

  /** `dataBytes`: room for chunks before a frame grows, which to tens of megabytes is felt as a pause. */
  constructor(dataBytes = 2048) {
    this.#dataBytes = dataBytes;
  }

  /** Bytes of chunks and number of series so far: the caller decides when a frame is full. */
  get dataBytes(): number {
    return this.#dataLength;
  }

  get seriesCount(): number {
    return this.#seriesCount;
  }

  get chunkCount(): number {
    return this.#chunkCount;
  }

  /** The chunks so far, where they are: overwritten by those that follow `clear`. */
  get chunks(): ChunkColumns {
    const count = this.#chunkCount;
    if (count === 0) return NO_CHUNKS;
    return {
      mints: this.#mints.subarray(0, count),
      maxts: this.#maxts.subarray(0, count),
      encodings: this.#encodings.subarray(0, count),
      dataEnds: this.#dataEnds.subarray(0, count),
      data: this.#data,
    };
  }

  /** Gives the memory of the chunks back at once, as `releaseFrame` does. */
  release(): void {
    this.#giveBack();
    this.#data = NO_BYTES;
    this.clear();
  }

  #giveBack(): void {
    if (this.#data !== NO_BYTES) this.#data.buffer.transfer(0);
  }

  /** Begins anew, in the same memory. */
  clear(): void {
    this.#labelCount = 0;
    this.#seriesCount = 0;
    this.#chunkCount = 0;
    this.#dataLength = 0;
  }

  /** The stream's id of a string. */
  symbolId(text: string): number {
    let id = this.#symbolIds.get(text);
    if (id === undefined) {
      id = this.newSymbol(text);
      this.#symbolIds.set(text, id);
    }
    return id;
  }

  /** The id of a string the caller knows to be new: one that keeps ids itself saves a look-up by text a symbol. */
  newSymbol(text: string): number {
    this.#symbols.push(text);
    return this.#symbolCount++;
  }

  /** One label of the series being added, by ids of `symbolId`. */
  label(nameId: number, valueId: number): void {
    if (this.#labelCount + 2 > this.#labels.length) this.#growLabels();
    this.#labels[this.#labelCount++] = nameId;
    this.#labels[this.#labelCount++] = valueId;
  }

  #growLabels(): void {
    this.#labels = filled(new Uint32Array(Math.max(FIRST_LABELS, 4 * this.#labelCount)), this.#labels);
  }

  labels(labels: Labels): void {
    for (let i = 0; i < labels.length; i += 2) this.label(this.symbolId(labels[i]!), this.symbolId(labels[i + 1]!));
  }

  /** A chunk of the series being added; its bytes are copied. */
  chunk(mint: number, maxt: number, encoding: number, bytes: Uint8Array, from: number, length: number): void {
    const at = this.reserveChunk(mint, maxt, encoding, length);
    copyBytes(bytes, from, from + length, this.#data, at);
  }

  /** Adds chunks [from, to) of a frame to the series being added. */
  copyChunks({ mints, maxts, encodings, dataEnds, data }: SeriesFrame, from: number, to: number): void {
    if (from === to) return;
    const start = from === 0 ? 0 : dataEnds[from - 1]!;
    let end = start;
    const at = this.#dataLength;
    for (let i = from; i < to; i++) {
      this.reserveChunk(mints[i]!, maxts[i]!, encodings[i]!, dataEnds[i]! - end);
      end = dataEnds[i]!;
    }
    copyBytes(data, start, end, this.#data, at);
  }

  /** As `chunk`, but the caller writes the bytes into `bytes` from the index returned on, at once. */
  reserveChunk(mint: number, maxt: number, encoding: number, length: number): number {
    const at = this.#dataLength;
    if (at + length + DECODE_SLACK > this.#data.length) {
      const factor = this.#data.length < GROWN_FAST_MAX ? 4 : 2;
      const before = this.#data;
      // `transfer` to a larger one would write zeros into all of it: a pause of 0.4 s where it has 128 MB.
      const larger = new Uint8Array(Math.max(before.length * factor, this.#dataBytes, at + length + DECODE_SLACK));
      copyBytes(before, 0, at, larger, 0);
      this.#giveBack();
      this.#data = larger;
    }
    this.#dataLength = at + length;
    if (this.#chunkCount === this.#mints.length) this.#growChunks();
    const i = this.#chunkCount++;
    this.#mints[i] = mint;
    this.#maxts[i] = maxt;
    this.#encodings[i] = encoding;
    this.#dataEnds[i] = this.#dataLength;
    return at;
  }

  #growChunks(): void {
    const capacity = Math.max(FIRST_ITEMS, 4 * this.#chunkCount);
    const columns = new Columns(21 * capacity);
    this.#mints = filled(columns.float64(capacity), this.#mints);
    this.#maxts = filled(columns.float64(capacity), this.#maxts);
    this.#dataEnds = filled(columns.uint32(capacity), this.#dataEnds);
    this.#encodings = filled(columns.uint8(capacity), this.#encodings);
  }

  get bytes(): Uint8Array {
    return this.#data;
  }

  /** `chunkEnd`: where its chunks end, when chunks of more series were added before the labels of this one. */
  endSeries(chunkEnd = this.#chunkCount): void {
    if (this.#seriesCount === this.#labelEnds.length) this.#growSeries();
    this.#labelEnds[this.#seriesCount] = this.#labelCount;
    this.#chunkEnds[this.#seriesCount++] = chunkEnd;
  }

  #growSeries(): void {
    const capacity = Math.max(FIRST_ITEMS, 4 * this.#seriesCount);
    const columns = new Columns(8 * capacity);
    this.#labelEnds = filled(columns.uint32(capacity), this.#labelEnds);
    this.#chunkEnds = filled(columns.uint32(capacity), this.#chunkEnds);
  }

  /** Index of the first chunk of the series being added. */
  get #firstChunk(): number {
    return this.#seriesCount === 0 ? 0 : this.#chunkEnds[this.#seriesCount - 1]!;
  }

  /** Whether the chunks of the series being added follow each other. */
  get chunksFollow(): boolean {
    return chunksFollow(this.#mints, this.#maxts, this.#firstChunk, this.#chunkCount);
  }

  /** Takes back the chunks of the series being added; their bytes are the caller's. */
  takeChunks(): Chunk[] {
    const first = this.#firstChunk;
    const startOf = (i: number): number => (i === 0 ? 0 : this.#dataEnds[i - 1]!);
    const chunks = Array.from({ length: this.#chunkCount - first }, (_, n): Chunk => {
      const i = first + n;
      const data = this.#data.slice(startOf(i), this.#dataEnds[i]);
      return { mint: this.#mints[i]!, maxt: this.#maxts[i]!, encoding: this.#encodings[i]!, data };
    });
    this.#chunkCount = first;
    this.#dataLength = startOf(first);
    return chunks;
  }

  /** Takes back the chunks of the series being added, which is then left out. */
  dropSeries(): void {
    const last = this.#seriesCount - 1;
    this.#labelCount = last < 0 ? 0 : this.#labelEnds[last]!;
    this.#chunkCount = last < 0 ? 0 : this.#chunkEnds[last]!;
    this.#dataLength = this.#chunkCount === 0 ? 0 : this.#dataEnds[this.#chunkCount - 1]!;
  }

  /**
   * The frame so far, in buffers of its own; the builder goes on with the next. One buffer has the labels, another the
   * chunks: each costs half a microsecond to allocate, to send and to free, and small queries are made of such.
   */
  take(): SeriesFrame {
    const [labelCount, seriesCount, chunkCount] = [this.#labelCount, this.#seriesCount, this.#chunkCount];
    const labels = new Columns(4 * (labelCount + 2 * seriesCount));
    const used = this.#dataLength + DECODE_SLACK;
    const isCopied = used <= COPIED_BYTES_MAX || 2 * used < this.#data.length;
    const chunks = new Columns(21 * chunkCount + (isCopied ? used : 0));
    const frame = {
      symbols: this.#symbols,
      labels: filled(labels.uint32(labelCount), this.#labels),
      labelEnds: filled(labels.uint32(seriesCount), this.#labelEnds),
      chunkEnds: filled(labels.uint32(seriesCount), this.#chunkEnds),
      mints: filled(chunks.float64(chunkCount), this.#mints),
      maxts: filled(chunks.float64(chunkCount), this.#maxts),
      dataEnds: filled(chunks.uint32(chunkCount), this.#dataEnds),
      encodings: filled(chunks.uint8(chunkCount), this.#encodings),
      data: isCopied ? filled(chunks.uint8(used), this.#data, this.#dataLength) : this.#takeData(used),
    };
    this.#symbols = [];
    this.clear();
    return frame;
  }

  /** The bytes themselves; the next frame gets a new buffer. */
  #takeData(used: number): Uint8Array<ArrayBuffer> {
    const data = this.#data;
    // What lies behind may be of a series that was dropped: decoders read it, but never use it.
    this.#data = NO_BYTES;
    this.#dataBytes = data.length;
    return data.subarray(0, used);
  }
}

/** Small at first: most streams are one small frame. */
const FIRST_LABELS = 256;
/** Series and chunks. */
const FIRST_ITEMS = 32;
const NO_WORDS = new Uint32Array(0);
const NO_FLOATS = new Float64Array(0);
const NO_BYTES = new Uint8Array(0);
const NO_CHUNKS: ChunkColumns = {
  mints: NO_FLOATS,
  maxts: NO_FLOATS,
  encodings: NO_BYTES,
  dataEnds: NO_WORDS,
  data: NO_BYTES,
};
/** Smaller buffers grow to four times their size, others to twice. */
const GROWN_FAST_MAX = 1 << 20;
/** Less is copied rather than given away. */
const COPIED_BYTES_MAX = 1 << 14;

/** Columns in one buffer: first those of the largest items, for alignment. */
class Columns {
  readonly #buffer: ArrayBuffer;
  #at = 0;

  constructor(bytes: number) {
    this.#buffer = new ArrayBuffer(bytes);
  }

  #next(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  float64(count: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.#buffer, this.#next(8 * count), count);
  }

  uint32(count: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#buffer, this.#next(4 * count), count);
  }

  uint8(count: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer, this.#next(count), count);
  }
}

/** Fills a column with the first items of another. */
function filled<T extends Float64Array | Uint32Array | Uint8Array>(column: T, from: T, count = column.length): T {
  column.set(from.subarray(0, count));
  return column;
}

/** Where the label ids of series `s` begin in `frame.labels`; they end at `frame.labelEnds[s]`. */
export function labelsFrom(frame: SeriesFrame, s: number): number {
  return s === 0 ? 0 : frame.labelEnds[s - 1]!;
}

/** Walks the series of a stream's frames. Keeps the stream's symbols; frames must come in order. */
export class FrameReader {
  /** The strings of label ids so far. */
  readonly symbols: string[] = [];
  #frame: SeriesFrame | undefined;
  #series = -1;

  /** Starts a frame; `next` then walks it. */
  enter(frame: SeriesFrame): void {
    for (const symbol of frame.symbols) this.symbols.push(symbol);
    this.#frame = frame;
    this.#series = -1;
  }

  /** Moves to the next series of the frame. */
  next(): boolean {
    return ++this.#series < (this.#frame?.labelEnds.length ?? 0);
  }

  get frame(): SeriesFrame {
    return this.#frame!;
  }

  /** The series' labels; a fresh array of interned strings. */
  labels(): Labels {
    return this.labelsOf(this.#frame!, this.#series);
  }

  /** The same of any series of a frame that was entered. */
  labelsOf(frame: SeriesFrame, s: number): Labels {
    const to = frame.labelEnds[s]!;
    const out: string[] = [];
    for (let i = labelsFrom(frame, s); i < to; i++) out.push(this.symbols[frame.labels[i]!]!);
    return out;
  }

  /** Whether the series has the labels of the one before it in the frame. */
  get continues(): boolean {
    const { labels, labelEnds } = this.#frame!;
    const s = this.#series;
    if (s === 0) return false;
    const from = labelEnds[s - 1]!;
    const length = labelEnds[s]! - from;
    const before = s === 1 ? 0 : labelEnds[s - 2]!;
    if (from - before !== length) return false;
    for (let i = 0; i < length; i++) if (labels[from + i] !== labels[before + i]) return false;
    return true;
  }

  /** Where the series' label ids lie in `frame.labels`. */
  get labelsFrom(): number {
    return labelsFrom(this.#frame!, this.#series);
  }

  get labelsTo(): number {
    return this.#frame!.labelEnds[this.#series]!;
  }

  get chunkFrom(): number {
    return this.#series === 0 ? 0 : this.#frame!.chunkEnds[this.#series - 1]!;
  }

  get chunkTo(): number {
    return this.#frame!.chunkEnds[this.#series]!;
  }

  /** Chunk `i` of the frame as a value; its bytes are a view. */
  chunk(i: number): Chunk {
    const { mints, maxts, encodings, dataEnds, data } = this.#frame!;
    const from = i === 0 ? 0 : dataEnds[i - 1]!;
    return { mint: mints[i]!, maxt: maxts[i]!, encoding: encodings[i]!, data: data.subarray(from, dataEnds[i]) };
  }
}
