/**
 * Chunks of many series as entries of a segment, one behind the other, in memory that is used again: a writer copies
 * those of a series as one piece.
 */
import { ByteWriter } from "../encoding/writer.ts";
import { CHUNK_ENTRY_OVERHEAD, NO_WINDOW, type SegmentWindow, StoredChunk } from "./chunk-entry.ts";

/** Chunks between two steps. */
const STEP = 1024;

export class EntryBatch {
  readonly #out: ByteWriter;
  readonly #mints: number[] = [];
  readonly #maxts: number[] = [];
  /** Where each entry ends, and where its encoding is. */
  readonly #ends: number[] = [];
  readonly #encodingAt: number[] = [];
  #chunkCount = 0;
  readonly #seriesEnds: number[] = [];
  #window: SegmentWindow = NO_WINDOW;
  readonly #pool: StoredChunk[] = [];
  readonly #chunks: StoredChunk[] = [];

  /** `bytes`: room before the batch grows, which is felt as a pause. */
  constructor(bytes: number) {
    this.#out = new ByteWriter(bytes);
  }

  clear(): void {
    this.#out.clear();
    this.#chunkCount = 0;
    this.#seriesEnds.length = 0;
  }

  get byteLength(): number {
    return this.#out.length;
  }

  get seriesCount(): number {
    return this.#seriesEnds.length;
  }

  /** The batch's memory; until the next chunk is added. */
  get bytes(): Uint8Array {
    return this.#out.buffer;
  }

  /** A chunk of the series being added; its bytes are copied. */
  chunk(mint: number, maxt: number, encoding: number, bytes: Uint8Array, from: number, length: number): void {
    const at = this.reserveChunk(mint, maxt, encoding, length);
    this.bytes.set(bytes.subarray(from, from + length), at);
  }

  /** As `chunk`, but the caller writes the bytes into `bytes` from the index returned on, before the batch is sealed. */
  reserveChunk(mint: number, maxt: number, encoding: number, length: number): number {
    const out = this.#out;
    const i = this.#chunkCount++;
    this.#mints[i] = mint;
    this.#maxts[i] = maxt;
    out.reserve(length + CHUNK_ENTRY_OVERHEAD);
    out.uvarint(length);
    this.#encodingAt[i] = out.length;
    out.u8(encoding);
    const at = out.length;
    out.length = this.#ends[i] = at + length + 4;
    return at;
  }

  endSeries(): void {
    this.#seriesEnds.push(this.#chunkCount);
  }

  /** Writes the checksums, once the bytes of all chunks are there; by steps. */
  *sealSteps(): Generator<void> {
    const out = this.#out;
    this.#window = { bytes: out.buffer, file: "chunks of a head", base: 0 };
    for (let i = 0; i < this.#chunkCount; i++) {
      const crcAt = this.#ends[i]! - 4;
      out.patchU32(crcAt, out.crcOf(this.#encodingAt[i]!, crcAt));
      if (i % STEP === STEP - 1) yield;
    }
  }

  /** The chunks of a series, until those of another are asked for. */
  chunks(s: number): StoredChunk[] {
    const chunks = this.#chunks;
    const first = s === 0 ? 0 : this.#seriesEnds[s - 1]!;
    chunks.length = this.#seriesEnds[s]! - first;
    for (let k = 0; k < chunks.length; k++) {
      const i = first + k;
      const chunk = (this.#pool[k] ??= new StoredChunk());
      chunk.take(this.#mints[i]!, this.#maxts[i]!, this.#window, i === 0 ? 0 : this.#ends[i - 1]!);
      chunks[k] = chunk;
    }
    return chunks;
  }
}
