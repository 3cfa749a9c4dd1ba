/**
 * Writes an index (version 2) front to back:
 *
 *   header │ symbols │ series … │ postings lists │ postings offset table │ table of contents
 *
 * Memory: the symbols, 4 bytes a series, and the postings of as many label names as fit `POSTINGS_MAX` (one at
 * least). For these the series section just written is read again, once for each group of names, instead of 8 bytes
 * being held for each label of each series. Format: prometheus/tsdb/docs/format/index.md.
 */
import { assert } from "#libs/kit/assert.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
import type { FileWriter } from "../files.ts";
import type { PackedSymbols } from "./packed-symbols.ts";
import { INDEX_HEADER_BYTES, INDEX_MAGIC, INDEX_VERSION } from "./toc.ts";

/** Label pairs of series whose postings are made together: 12 bytes each. */
const POSTINGS_MAX = 4_000_000;
const WINDOW_BYTES = 1 << 20;
/** Symbols, series or lists between two steps. */
const STEP = 1024;
/** A name with at least this part of all symbols as its values has them in order sooner by looking at all. */
const SCANNED_PART = 16;
/** A series ref, the offset in 16 bytes, has 32 bits. */
const INDEX_BYTES_MAX = 2 ** 36;

export class IndexWriter {
  readonly #file: FileWriter;
  readonly #symbols: PackedSymbols;
  readonly #postingsMax: number;
  #seriesAt = 0;
  readonly #body = new ByteWriter(4096);
  readonly #previous = { labels: new Uint32Array(64), length: 0 };
  /** By name's ordinal: how many series have it. */
  readonly #nameCounts: Uint32Array;
  #refs = new Uint32Array(1024);
  seriesCount = 0;
  /** Bytes of the largest series entry. */
  seriesBytesMax = 0;

  /** `file` is empty; the caller closes it. `symbolSteps` come first. */
  constructor(file: FileWriter, symbols: PackedSymbols, postingsMax = POSTINGS_MAX) {
    this.#file = file;
    this.#symbols = symbols;
    this.#postingsMax = postingsMax;
    this.#nameCounts = new Uint32Array(symbols.count);
  }

  /** Writes the symbols, in steps of a few milliseconds. */
  *symbolSteps(): Generator<void> {
    const file = this.#file;
    const symbols = this.#symbols;
    const out = new ByteWriter(1 << 16);
    out.u32(INDEX_MAGIC);
    out.u8(INDEX_VERSION);
    out.u32(4 + symbols.storedBytes);
    const from = out.length;
    out.u32(symbols.count);
    let crc = crc32c(out.bytes, from, out.length);
    file.write(out.bytes);
    let before: Uint8Array | undefined;
    for (let i = 0; i < symbols.count;) {
      out.clear();
      for (const end = Math.min(i + STEP, symbols.count); i < end; i++) {
        const bytes = symbols.bytes(i);
        assert(before === undefined || Buffer.compare(before, bytes) < 0, "symbols of a block must ascend");
        before = bytes;
        out.uvarint(bytes.length);
        out.raw(bytes);
      }
      crc = crc32c(out.bytes, 0, out.length, crc);
      file.write(out.bytes);
      yield;
    }
    out.clear();
    out.u32(crc);
    file.write(out.bytes);
    this.#seriesAt = file.length;
  }

  /**
   * Adds a series: ordinals of symbols, name, value, …, in label order; series come in label order. Chunks ascend and
   * do not overlap; `refs` says where each is stored.
   */
  addSeries(
    labels: Uint32Array,
    chunks: readonly { readonly mint: number; readonly maxt: number }[],
    refs: Float64Array,
  ): void {
    this.#checkOrder(labels);
    const file = this.#file;
    file.align(16);
    assert(file.length < INDEX_BYTES_MAX, "an index of more than 64 GiB");
    const body = this.#body;
    body.clear();
    body.uvarint(labels.length / 2);
    for (let i = 0; i < labels.length; i++) body.uvarint(labels[i]!);
    body.uvarint(chunks.length);
    let previousMaxt = 0;
    for (let i = 0; i < chunks.length; i++) {
      const { mint, maxt } = chunks[i]!;
      if (i === 0) body.varint(mint);
      else {
        assert(mint > previousMaxt, "chunks of a series must not overlap");
        body.uvarint(mint - previousMaxt);
      }
      body.uvarint(maxt - mint);
      if (i === 0) body.uvarint(refs[0]!);
      else body.varint(refs[i]! - refs[i - 1]!);
      previousMaxt = maxt;
    }
    if (this.seriesCount === this.#refs.length) {
      const larger = new Uint32Array(this.#refs.length * 2);
      larger.set(this.#refs);
      this.#refs = larger;
    }
    this.#refs[this.seriesCount++] = file.length / 16;
    for (let i = 0; i < labels.length; i += 2) this.#nameCounts[labels[i]!]!++;
    const { out } = file;
    const start = out.length;
    out.uvarint(body.length);
    const from = out.length;
    out.copy(body.buffer, 0, body.length);
    out.crc(from);
    this.seriesBytesMax = Math.max(this.seriesBytesMax, out.length - start);
    file.settle();
  }

  #checkOrder(labels: Uint32Array): void {
    const { labels: before, length } = this.#previous;
    let i = 0;
    while (i < labels.length && i < length && labels[i] === before[i]) i++;
    assert(i < labels.length && (i >= length || before[i]! < labels[i]!), "series of a block must ascend");
    if (labels.length > before.length) this.#previous.labels = new Uint32Array(labels.length * 2);
    this.#previous.labels.set(labels);
    this.#previous.length = labels.length;
  }

  /** Writes what comes behind the series, in steps of a few milliseconds. */
  *finishSteps(): Generator<void> {
    const file = this.#file;
    const seriesEnd = file.length;
    const table = new ByteWriter(1 << 16);
    table.u32(0);
    table.u32(0);
    let lists = 0;
    const writeList = (name: Uint8Array, value: Uint8Array, refs: Uint32Array): void => {
      file.align(4);
      table.uvarint(2);
      table.uvarint(name.length);
      table.raw(name);
      table.uvarint(value.length);
      table.raw(value);
      table.uvarint(file.length);
      const { out } = file;
      out.u32(4 + 4 * refs.length);
      const from = out.length;
      out.u32(refs.length);
      for (let i = 0; i < refs.length; i++) out.u32(refs[i]!);
      out.crc(from);
      file.settle();
      lists++;
    };
    const empty = new Uint8Array(0);
    writeList(empty, empty, this.#refs.subarray(0, this.seriesCount));
    yield* this.#writePostings(seriesEnd, writeList);
    const tableAt = file.length;
    table.patchU32(0, table.length - 4);
    table.patchU32(4, lists);
    table.crc(4);
    file.write(table.bytes);

    const toc = new ByteWriter(64);
    toc.u64(INDEX_HEADER_BYTES);
    toc.u64(this.#seriesAt);
    // The label index sections are gone since Prometheus 3: empty ranges in their place.
    toc.u64(seriesEnd);
    toc.u64(tableAt);
    toc.u64(seriesEnd);
    toc.u64(tableAt);
    toc.crc(0);
    file.write(toc.bytes);
  }

  /** The lists of all pairs in the order of names and, for each, values: symbol order. */
  *#writePostings(
    seriesEnd: number,
    write: (name: Uint8Array, value: Uint8Array, refs: Uint32Array) => void,
  ): Generator<void> {
    const counts = this.#nameCounts;
    /** By name's ordinal: where the group's columns have room for its next entry, plus one; 0 is not in the group. */
    const nextAt = new Uint32Array(counts.length);
    /** By value's ordinal, all zero between names. */
    const valueCounts = new Uint32Array(counts.length);
    for (let name = 0; name < counts.length;) {
      const group: number[] = [];
      let size = 0;
      for (; name < counts.length && (group.length === 0 || size + counts[name]! <= this.#postingsMax); name++) {
        if (counts[name] === 0) continue;
        group.push(name);
        nextAt[name] = size + 1;
        size += counts[name]!;
      }
      if (group.length === 0) return;
      const values = new Uint32Array(size);
      const refs = new Uint32Array(size);
      yield* this.#eachLabel(seriesEnd, (ref, labelName, value) => {
        const at = nextAt[labelName]!;
        if (at === 0) return;
        values[at - 1] = value;
        refs[at - 1] = ref;
        nextAt[labelName] = at + 1;
      });
      for (let i = 0, from = 0; i < group.length; i++) {
        const to = from + counts[group[i]!]!;
        const bytes = this.#symbols.bytes(group[i]!);
        yield* eachValue(values.subarray(from, to), refs.subarray(from, to), valueCounts, (value, list) =>
          write(bytes, this.#symbols.bytes(value), list),
        );
        nextAt[group[i]!] = 0;
        from = to;
      }
    }
  }

  /** Every label of every series, in order, from the file. */
  *#eachLabel(seriesEnd: number, onLabel: (ref: number, name: number, value: number) => void): Generator<void> {
    let windowAt = this.#seriesAt;
    let reader = new ByteReader(new Uint8Array(0), "series section just written");
    for (let i = 0; i < this.seriesCount; i++) {
      if (i % STEP === STEP - 1) yield;
      const ref = this.#refs[i]!;
      const offset = ref * 16;
      const most = Math.min(seriesEnd, offset + this.seriesBytesMax);
      if (most > windowAt + reader.end) {
        windowAt = offset;
        reader = new ByteReader(
          this.#file.read(offset, Math.max(WINDOW_BYTES, this.seriesBytesMax)),
          "series section just written",
        );
      }
      reader.at = offset - windowAt;
      reader.uvarint();
      for (let labels = reader.uvarint(); labels > 0; labels--) onLabel(ref, reader.uvarint(), reader.uvarint());
    }
  }
}

/** Groups `refs` by their `values`, ascending; refs keep their order. `counts` is all zero before and after. */
function* eachValue(
  values: Uint32Array,
  refs: Uint32Array,
  counts: Uint32Array,
  onList: (value: number, refs: Uint32Array) => void,
): Generator<void> {
  const distinct = new Uint32Array(values.length);
  let distinctCount = 0;
  for (let i = 0; i < values.length; i++) if (counts[values[i]!]!++ === 0) distinct[distinctCount++] = values[i]!;
  yield;
  const order = distinct.subarray(0, distinctCount);
  if (distinctCount * SCANNED_PART < counts.length) order.sort();
  else for (let value = 0, k = 0; k < distinctCount; value++) if (counts[value] !== 0) order[k++] = value;
  yield;
  let start = 0;
  for (let k = 0; k < distinctCount; k++) {
    const count = counts[order[k]!]!;
    counts[order[k]!] = start;
    start += count;
  }
  const sorted = new Uint32Array(refs.length);
  for (let i = 0; i < values.length; i++) sorted[counts[values[i]!]!++] = refs[i]!;
  yield;
  for (let k = 0, from = 0; k < distinctCount; k++) {
    const to = counts[order[k]!]!;
    if (k % STEP === 0) yield;
    onList(order[k]!, sorted.subarray(from, to));
    counts[order[k]!] = 0;
    from = to;
  }
}
