/** Chunks of a block in ranges of its segments that were read together. */
import { CorruptionError } from "#libs/kit/errors.ts";
import type { Chunk } from "../chunk/encoding.ts";
import type { ChunkMeta, EntryColumns } from "../index/series-entry.ts";
import type { FrameBuilder } from "../series/frame.ts";
import { readChunkEntry } from "./chunk-entry.ts";

/** A range of a segment file. */
interface FetchedRange {
  readonly segment: number;
  readonly from: number;
  readonly bytes: Uint8Array;
  readonly file: string;
}

/** Ranges of segment files, ascending, and the chunks in them. */
export class FetchedChunks {
  readonly #name: string;
  readonly #ranges: FetchedRange[] = [];
  /** Found last. */
  #hint = 0;

  constructor(name: string) {
    this.#name = name;
  }

  add(segment: number, from: number, bytes: Uint8Array): void {
    this.#ranges.push({ segment, from, bytes, file: this.#fileOf(segment) });
  }

  #fileOf(segment: number): string {
    return `${this.#name}/chunks/${String(segment + 1).padStart(6, "0")}`;
  }

  #holds(i: number, segment: number, offset: number): boolean {
    const range = this.#ranges[i];
    if (range === undefined || range.segment !== segment) return false;
    return offset >= range.from && offset < range.from + range.bytes.length;
  }

  #rangeOf(segment: number, offset: number): FetchedRange {
    if (!this.#holds(this.#hint, segment, offset))
      this.#hint = this.#holds(this.#hint + 1, segment, offset)
        ? this.#hint + 1
        : this.#ranges.findIndex((_, i) => this.#holds(i, segment, offset));
    const range = this.#ranges[this.#hint];
    if (range === undefined) {
      this.#hint = 0;
      throw new CorruptionError(this.#fileOf(segment), offset, "chunk past the end of the segment");
    }
    return range;
  }

  /** Adds chunk `i` of the columns to the series that `builder` is at. */
  addTo(builder: FrameBuilder, { mints, maxts, segments, offsets }: EntryColumns, i: number): void {
    const offset = offsets[i]!;
    const { from, bytes, file } = this.#rangeOf(segments[i]!, offset);
    const entry = readChunkEntry(bytes, offset - from, file, from);
    builder.chunk(mints[i]!, maxts[i]!, entry.encoding, bytes, entry.from, entry.length);
  }

  chunk({ mint, maxt, segment, offset }: ChunkMeta): Chunk {
    const { from, bytes, file } = this.#rangeOf(segment, offset);
    const entry = readChunkEntry(bytes, offset - from, file, from);
    return { mint, maxt, encoding: entry.encoding, data: bytes.subarray(entry.from, entry.from + entry.length) };
  }
}
