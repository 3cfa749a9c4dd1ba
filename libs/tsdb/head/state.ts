/**
 * What a head holds in memory, and how samples get into it: shared by appending, replay, cutting and snapshots.
 * Nothing here is logged; `Head` does that. When chunks are cut follows prometheus/tsdb/head_append.go, so that equal
 * samples give equal chunks.
 */
import { join } from "node:path";
import type { Logger } from "#libs/kit/log.ts";
import type { Histogram } from "#libs/model/histogram.ts";
import type { Labels } from "#libs/model/labels.ts";
import { CorruptionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { MERGE_ENCODING } from "../chunk/chunk-encoder.ts";
import type { Chunk } from "../chunk/encoding.ts";
import { XOR_HEADER_BYTES, xorCount } from "../chunk/xor.ts";
import { decodeXorChunk } from "../chunk/xor-chunk.ts";
import type { BytesCache } from "../encoding/bytes-cache.ts";
import type { ByteReader } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { readLabels } from "../wal/records.ts";
import { chunkEndTime, rangeEnd } from "./chunk-end.ts";
import { HeadChunkFiles } from "./chunk-files.ts";
import { Exemplars } from "./exemplars.ts";
import { KeyTable, writeKey, writeKeyLabel } from "./key-table.ts";
import { MetricMetadata } from "./metric-metadata.ts";
import { OpenHistogram } from "./open-histogram.ts";
import { OutOfOrder } from "./out-of-order.ts";
import type { FullChunk } from "./full-chunks.ts";
import type { HeadImage } from "./image.ts";
import { HeadSeries } from "./series.ts";
import { Tombstones } from "./tombstones.ts";

const SAMPLES_PER_CHUNK = 120;
const CHUNK_BYTES_CUT = 1005;
const TIME_MAX = 2 ** 51;

const columns = new SampleColumns();

export interface HeadOptions {
  /** Width of a block, 2 h: chunks never cross its multiples. */
  readonly rangeMs: number;
  readonly seriesMax: number;
  /** Seeds the key hash. */
  readonly seed: number;
  /** Samples below it are in blocks already. */
  readonly minValidTime: number;
  /** How much later than the newest sample others are taken, 0: not at all. */
  readonly outOfOrderMs?: number | undefined;
  /** Most exemplars that are held; 0: none are taken. */
  readonly exemplarsMax?: number | undefined;
  /** Where the logs go on in another segment; 128 MiB unless a test makes it small. */
  readonly segmentBytes?: number | undefined;
  readonly log: Logger;
}

export class HeadState {
  readonly options: HeadOptions;
  readonly folder: string;
  readonly files: HeadChunkFiles;
  readonly late = new OutOfOrder();
  readonly tombstones = new Tombstones();
  readonly exemplars: Exemplars;
  readonly metadata = new MetricMetadata();
  /** Refs that the log has for series known by another. */
  readonly aliases = new Map<number, number>();
  series: HeadSeries;
  keys: KeyTable;
  /** Bounds of in-order samples; `mint` only of what is held. */
  mint = Infinity;
  maxt = -Infinity;
  minValidTime: number;
  nextRef = 1;
  /** Of its hashes; that of an image where there was one. */
  seed: number;
  /** Of the labels that were looked up last. */
  readonly #key = new ByteWriter(512);
  #hash = 0;

  constructor(folder: string, options: HeadOptions) {
    this.folder = folder;
    this.options = options;
    this.minValidTime = options.minValidTime;
    this.seed = options.seed;
    this.series = new HeadSeries(options.seed);
    this.keys = new KeyTable(options.seed);
    this.exemplars = new Exemplars(options.exemplarsMax ?? 0, options.outOfOrderMs ?? 0);
    this.files = new HeadChunkFiles(join(folder, "chunks_head"));
  }

  /** Takes what an image has in arrays, for a head that has nothing. */
  takeImage({ seed, mint, maxt, nextRef, aliases, series, keys }: HeadImage): void {
    this.seed = seed;
    this.series = new HeadSeries(seed);
    this.series.takeImage(series);
    this.keys = new KeyTable(seed);
    this.keys.takeImage(keys);
    this.mint = mint;
    this.maxt = maxt;
    this.nextRef = nextRef;
    for (const [alias, ref] of aliases) this.aliases.set(alias, ref);
  }

  /** The slot of a label set, or -1. */
  find(labels: Labels): number {
    this.#key.clear();
    writeKey(this.#key, labels);
    return this.#findKey();
  }

  #findKey(): number {
    const { view, length } = this.#key;
    this.#hash = this.keys.hashOf(view, 0, length);
    return this.keys.find(view, 0, length, this.#hash);
  }

  /** Adds the series of labels that `find` has just not found. */
  add(ref: number, labels: Labels): number {
    this.#addKey(ref);
    return this.series.add(ref, labels);
  }

  /**
   * The slot of the label set that `reader` has next, as logs have it; one that is new is added with `ref`. `ids` has
   * symbols by their bytes, -1 for what is no UTF-8. No strings are made: they took a tenth of an open (bench/figures.ts).
   */
  takeStoredLabels(ref: number, reader: ByteReader, ids: BytesCache<number>): number {
    const { at: start, bytes } = reader;
    const count = reader.uvarint();
    if (count * 2 > reader.left) reader.fail(`${count} labels in ${reader.left} bytes`);
    const found: number[] = [];
    this.#key.clear();
    for (let i = 0; i < count; i++) {
      const nameBytes = reader.uvarint();
      const name = reader.at;
      reader.skip(nameBytes);
      const valueBytes = reader.uvarint();
      const value = reader.at;
      reader.skip(valueBytes);
      writeKeyLabel(this.#key, bytes, name, name + nameBytes, value, value + valueBytes);
      found.push(ids.get(bytes, name, name + nameBytes), ids.get(bytes, value, value + valueBytes));
    }
    if (found.includes(-1)) {
      reader.at = start;
      const labels = readLabels(reader);
      const known = this.find(labels);
      return known >= 0 ? known : this.add(ref, labels);
    }
    const known = this.#findKey();
    if (known >= 0) return known;
    this.#addKey(ref);
    return this.series.addIds(ref, found);
  }

  /** Of the series that is added next: where there is no room for its key, nothing has changed. */
  #addKey(ref: number): void {
    this.keys.add(this.#key.view, 0, this.#key.length, this.#hash);
    this.nextRef = Math.max(this.nextRef, ref + 1);
  }

  /** Appends a sample later than the last of its series. */
  appendFloat(slot: number, time: number, low: number, high: number, start: number): void {
    const { series } = this;
    const { rangeMs } = this.options;
    if (series.hasStored(slot)) this.#resume(slot);
    if (!series.takesFloat(slot, start)) {
      if (series.hasOpenChunk(slot)) this.closeChunk(slot);
      series.open(slot, time, rangeEnd(time, rangeMs), start !== 0);
    } else {
      const count = series.openCount(slot);
      let cut = series.openBytes(slot) > CHUNK_BYTES_CUT;
      if (!cut) {
        if (count === SAMPLES_PER_CHUNK / 4) {
          series.setNextAt(slot, chunkEndTime(series.openMint(slot), series.lastTime(slot), series.nextAt(slot), 4));
        }
        cut = time >= series.nextAt(slot) || count >= 2 * SAMPLES_PER_CHUNK;
      }
      if (cut) {
        this.closeChunk(slot);
        series.open(slot, time, rangeEnd(time, rangeMs), start !== 0);
      }
    }
    series.append(slot, time, low, high, start);
    if (time < this.mint) this.mint = time;
    if (time > this.maxt) this.maxt = time;
  }

  /**
   * Takes an XOR chunk that was stored when the head was closed as the open one of a series that has none. It is decoded
   * when it is written on: 100,000 of them took a fifth of a start (bench/figures.ts). `low` and `high`: its last value.
   *
   * @returns false, and nothing changes, when that cannot be.
   */
  takeStored(slot: number, chunk: Chunk, low: number, high: number): boolean {
    const { series } = this;
    const { mint, maxt, data } = chunk;
    const count = data.length > XOR_HEADER_BYTES ? xorCount(data, 0) : 0;
    if (series.hasOpenChunk(slot) || series.lastTime(slot) >= mint || mint < this.minValidTime) return false;
    // Far from the times that numbers hold exactly, an end is not decoded (`decodedEnd`).
    if (count === 0 || count > 2 * SAMPLES_PER_CHUNK || maxt < mint || mint < -TIME_MAX || maxt > TIME_MAX)
      return false;
    series.takeStored(slot, chunk, low, high);
    if (mint < this.mint) this.mint = mint;
    if (maxt > this.maxt) this.maxt = maxt;
    return true;
  }

  /** Decodes the end of an open chunk that was taken as stored; one that is not what it said is closed. */
  #resume(slot: number): void {
    const { series } = this;
    const chunk = series.openChunk(slot)!;
    const { data, mint, maxt } = chunk;
    const what = `chunk of the head's snapshot, series ${series.refs[slot]!}`;
    try {
      columns.clear();
      decodeXorChunk(data, 0, data.length, columns, what);
      const { times, words, length } = columns;
      const [low, high] = [words[2 * length - 2]!, words[2 * length - 1]!];
      if (times[0] !== mint || times[length - 1] !== maxt || !series.lastValueIs(slot, low, high))
        throw new CorruptionError(what, 0, `does not go from ${mint} to ${maxt}, or ends with another value`);
      const whole = rangeEnd(mint, this.options.rangeMs);
      const predicted = SAMPLES_PER_CHUNK / 4;
      const nextAt = length > predicted ? chunkEndTime(mint, times[predicted - 1]!, whole, 4) : whole;
      series.close(slot);
      series.restore(slot, chunk, nextAt, maxt, low, high);
    } catch (err) {
      if (!(err instanceof CorruptionError)) throw err;
      this.options.log.error({ err }, "open chunk of the head's snapshot cannot be written on; it is kept as it is");
      this.closeChunk(slot);
    }
  }

  /** As `appendFloat`. The histogram is kept: it must not change. */
  appendHistogram(slot: number, time: number, histogram: Histogram, start: number): void {
    const { series } = this;
    const encoding = MERGE_ENCODING(histogram, start !== 0);
    let open = series.histogram(slot);
    // One with start timestamps goes on without, too.
    if (open?.encoding !== encoding && open?.encoding !== MERGE_ENCODING(histogram, true)) {
      if (series.hasOpenChunk(slot)) this.closeChunk(slot);
      open = new OpenHistogram(encoding);
      series.openHistogram(slot, open);
    }
    const ended = open.append(start, time, histogram, this.options.rangeMs);
    if (ended !== undefined) this.#addFull(slot, ended);
    series.setHistogramTimes(slot, open.mint, time);
    if (time < this.mint) this.mint = time;
    if (time > this.maxt) this.maxt = time;
  }

  /** Moves the open chunk of a series to the chunk files. */
  closeChunk(slot: number): void {
    this.#addFull(slot, this.series.openChunk(slot)!);
    this.series.close(slot);
  }

  #addFull(slot: number, chunk: Chunk): void {
    const { series, files } = this;
    const { full, refs } = series;
    series.setFullList(slot, files.addTo(full, series.fullList(slot), refs[slot]!, chunk, series.firstValue(slot)));
  }

  /** Moves the out-of-order samples of a series to the chunk files. */
  packLate(ref: number): readonly FullChunk[] {
    const series = this.late.of(ref);
    if (series?.open === undefined) return [];
    const packed = series.open.toChunks(Infinity).map((chunk) => this.files.add(ref, chunk, true));
    series.open = undefined;
    for (const chunk of packed) this.late.addChunk(ref, chunk);
    return packed;
  }
}
