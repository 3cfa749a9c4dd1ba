/**
 * What one commit adds to a log, as records in Prometheus's order: series, metadata, floats, histograms, exemplars.
 * A record with start timestamps is of another type than one without, which older programs read, too.
 * A series whose kind of sample changes within the commit ends the batch: in a log, its samples stay in order.
 */
import type { Histogram } from "#libs/model/histogram.ts";
import type { Labels } from "#libs/model/labels.ts";
import { ByteWriter } from "../encoding/writer.ts";
import {
  histogramRecordType,
  type RefHistogram,
  writeHistogramRecord,
  writeHistogramRecordV2,
} from "../wal/histogram-records.ts";
import {
  type MmapMarker,
  RECORD,
  type RefExemplar,
  type RefInterval,
  type RefMetadata,
  writeExemplars,
  writeMetadata,
  writeMmapMarkers,
  writeSamples,
  writeSeries,
  writeTombstoneRecord,
} from "../wal/records.ts";

export class LogBatch {
  readonly #add: (record: Uint8Array) => void;
  readonly #series = new ByteWriter(1 << 12);
  readonly #record = new ByteWriter(1 << 14);
  #refs = new Float64Array(4096);
  #times = new Float64Array(4096);
  #words = new Int32Array(8192);
  /** Start timestamps; undefined until the batch has any. */
  #starts: Float64Array | undefined;
  #count = 0;
  #histograms: RefHistogram[] = [];
  /** Kind of histogram by ref, of this batch. */
  readonly #kinds = new Map<number, number>();
  #metadata: RefMetadata[] = [];
  #exemplars: RefExemplar[] = [];
  /** Series of batches of this commit that are sealed already. */
  readonly #sealed = new Set<number>();

  /** `add` takes a record; its bytes are valid during the call. */
  constructor(add: (record: Uint8Array) => void) {
    this.#add = add;
  }

  series(ref: number, labels: Labels): void {
    if (this.#series.length === 0) this.#series.u8(RECORD.SERIES);
    writeSeries(this.#series, ref, labels);
  }

  float(ref: number, time: number, low: number, high: number, start: number): void {
    if (this.#kinds.size > 0 && this.#kinds.has(ref)) this.seal();
    if (this.#count === this.#refs.length) this.#grow();
    const i = this.#count++;
    this.#refs[i] = ref;
    this.#times[i] = time;
    this.#words[2 * i] = low;
    this.#words[2 * i + 1] = high;
    if (start !== 0) (this.#starts ??= new Float64Array(this.#refs.length))[i] = start;
  }

  histogram(ref: number, time: number, histogram: Histogram, start: number): void {
    const kind = histogramRecordType(histogram);
    if ((this.#kinds.get(ref) ?? kind) !== kind) this.seal();
    this.#kinds.set(ref, kind);
    this.#histograms.push({ ref, start, time, histogram });
  }

  metadata(entry: RefMetadata): void {
    this.#metadata.push(entry);
  }

  exemplar(exemplar: RefExemplar): void {
    this.#exemplars.push(exemplar);
  }

  tombstones(intervals: readonly RefInterval[]): void {
    this.seal();
    writeTombstoneRecord(this.#record, intervals);
    this.#flushRecord();
  }

  markers(markers: readonly MmapMarker[]): void {
    this.seal();
    writeMmapMarkers(this.#record, markers);
    this.#flushRecord();
  }

  /** Whether a sample of this series is in the commit; for rare paths, it looks through it. */
  has(ref: number): boolean {
    return this.#kinds.has(ref) || this.#sealed.has(ref) || this.#refs.subarray(0, this.#count).lastIndexOf(ref) >= 0;
  }

  /** Hands over everything; the commit is complete. */
  end(): void {
    this.seal();
    this.#sealed.clear();
  }

  /** Hands over what is there; the commit goes on. */
  seal(): void {
    if (this.#series.length > 0) {
      this.#add(this.#series.bytes);
      this.#series.clear();
    }
    if (this.#metadata.length > 0) {
      writeMetadata(this.#record, this.#metadata);
      this.#flushRecord();
      this.#metadata = [];
    }
    if (this.#count > 0) this.#sealFloats();
    if (this.#histograms.length > 0) this.#sealHistograms();
    if (this.#exemplars.length > 0) {
      writeExemplars(this.#record, this.#exemplars);
      this.#flushRecord();
      this.#exemplars = [];
    }
  }

  #sealFloats(): void {
    // What is looked up by `has` is rare, so is more than one batch a commit.
    if (this.#kinds.size > 0) for (let i = 0; i < this.#count; i++) this.#sealed.add(this.#refs[i]!);
    const batch = {
      refs: this.#refs,
      times: this.#times,
      words: this.#words,
      starts: this.#starts,
      count: this.#count,
    };
    writeSamples(this.#record, batch, 0, this.#count);
    this.#flushRecord();
    this.#count = 0;
    this.#starts = undefined;
  }

  #sealHistograms(): void {
    for (const { ref } of this.#histograms) this.#sealed.add(ref);
    const withStarts = this.#histograms.some(({ start }) => start !== 0);
    for (const type of withStarts ? HISTOGRAM_TYPES_V2 : HISTOGRAM_TYPES) {
      const samples = this.#histograms.filter(({ histogram }) =>
        withStarts
          ? histogram.isFloat === (type === RECORD.FLOAT_HISTOGRAMS_V2)
          : histogramRecordType(histogram) === type,
      );
      if (samples.length === 0) continue;
      (withStarts ? writeHistogramRecordV2 : writeHistogramRecord)(this.#record, type, samples);
      this.#flushRecord();
    }
    this.#histograms = [];
    this.#kinds.clear();
  }

  #flushRecord(): void {
    this.#add(this.#record.bytes);
    this.#record.clear();
  }

  #grow(): void {
    const capacity = this.#refs.length * 2;
    const larger = (list: Float64Array): Float64Array<ArrayBuffer> => {
      const copy = new Float64Array(capacity);
      copy.set(list);
      return copy;
    };
    const words = new Int32Array(2 * capacity);
    words.set(this.#words);
    this.#refs = larger(this.#refs);
    this.#times = larger(this.#times);
    this.#words = words;
    if (this.#starts !== undefined) this.#starts = larger(this.#starts);
  }
}

const HISTOGRAM_TYPES = [
  RECORD.HISTOGRAMS,
  RECORD.CUSTOM_HISTOGRAMS,
  RECORD.FLOAT_HISTOGRAMS,
  RECORD.CUSTOM_FLOAT_HISTOGRAMS,
];
const HISTOGRAM_TYPES_V2 = [RECORD.HISTOGRAMS_V2, RECORD.FLOAT_HISTOGRAMS_V2];
