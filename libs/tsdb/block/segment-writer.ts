/** Writes chunks into segment files `chunks/000001…`, each below 512 MiB. Format: `chunk-entry.ts`. */
import { join } from "node:path";
import type { Chunk } from "../chunk/encoding.ts";
import { FileWriter } from "../files.ts";
import {
  CHUNK_ENTRY_OVERHEAD,
  SEGMENT_BYTES_MAX,
  SEGMENT_HEADER_BYTES,
  SEGMENT_MAGIC,
  StoredChunk,
} from "./chunk-entry.ts";

export class SegmentWriter {
  readonly #folder: string;
  readonly #bytesMax: number;
  #segment: FileWriter | undefined;
  #count = 0;
  /** Entries to copy: `source[from, to)`, `bytes` long. */
  readonly #run = { source: undefined as Uint8Array | undefined, from: 0, to: 0, bytes: 0 };
  /** Bytes of the largest entry. */
  entryBytesMax = 0;

  constructor(folder: string, bytesMax = SEGMENT_BYTES_MAX) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
  }

  /** Writes the chunks of one series; `refs[i]` becomes where chunk `i` is. */
  write(chunks: readonly Chunk[], refs: Float64Array): void {
    // As Prometheus cuts: at the first chunk that may not fit, with every length field of the series taken for 5 bytes.
    let estimate = this.#segment?.length ?? this.#bytesMax;
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!;
      const length = chunk instanceof StoredChunk ? chunk.dataLength : chunk.data.length;
      estimate += length + CHUNK_ENTRY_OVERHEAD;
      if (estimate > this.#bytesMax && (this.#segment?.length ?? Infinity) + this.#run.bytes > SEGMENT_HEADER_BYTES) {
        this.#flushRun();
        this.#start();
        estimate = SEGMENT_HEADER_BYTES + length + CHUNK_ENTRY_OVERHEAD;
      }
      const at = this.#segment!.length + this.#run.bytes;
      refs[i] = (this.#count - 1) * 4294967296 + at;
      if (chunk instanceof StoredChunk) this.#copy(chunk);
      else this.#writeFramed(chunk);
      this.entryBytesMax = Math.max(this.entryBytesMax, this.#segment!.length + this.#run.bytes - at);
    }
    this.#flushRun();
  }

  /** Copies an entry; those that lie behind each other go as one. */
  #copy({ bytes, from, to }: StoredChunk): void {
    const run = this.#run;
    if (run.source !== bytes || run.to !== from) {
      this.#flushRun();
      run.source = bytes;
      run.from = from;
    }
    run.to = to;
    run.bytes = to - run.from;
  }

  #flushRun(): void {
    const run = this.#run;
    if (run.source !== undefined) {
      this.#segment!.out.copy(run.source, run.from, run.to);
      this.#segment!.settle();
    }
    run.source = undefined;
    run.bytes = 0;
  }

  #writeFramed({ data, encoding }: Chunk): void {
    this.#flushRun();
    const segment = this.#segment!;
    const { out } = segment;
    out.uvarint(data.length);
    const from = out.length;
    out.u8(encoding);
    out.raw(data);
    out.crc(from);
    segment.settle();
  }

  #start(): void {
    this.#segment?.close();
    this.#count++;
    this.#segment = new FileWriter(join(this.#folder, String(this.#count).padStart(6, "0")));
    const { out } = this.#segment;
    out.u32(SEGMENT_MAGIC);
    out.u8(1);
    out.align(SEGMENT_HEADER_BYTES);
  }

  /** Resolves when all of it is on the disk: `close` then does not wait. */
  async sync(): Promise<void> {
    await this.#segment?.sync();
  }

  /** Durable once it returns. */
  close(): void {
    this.#segment?.close();
  }

  abandon(): void {
    this.#segment?.abandon();
  }
}
