/** A stored XOR chunk into columns: gives `decodeXor` the bytes behind the chunk that it may peek at. */
import { CorruptionError } from "#libs/kit/errors.ts";
import type { SampleColumns } from "#libs/model/columns.ts";
import { decodeByKernel } from "./xor-kernel.ts";
import { DECODE_SLACK, decodeXor, XOR_HEADER_BYTES, xorCount } from "./xor.ts";

const scratch = new Uint8Array(65_536 + DECODE_SLACK);
const scratchView = new DataView(scratch.buffer);

/** Decodes a chunk behind the samples already in `columns`. @throws CorruptionError; `where` names the chunk. */
export function decodeXorChunk(
  bytes: Uint8Array,
  from: number,
  length: number,
  columns: SampleColumns,
  where: string,
): void {
  if (length < XOR_HEADER_BYTES) return;
  const count = xorCount(bytes, from);
  // A sample takes two bits or more: hostile counts reserve no more than the bytes can hold.
  if (count > length * 4) throw new CorruptionError(where, from, `${count} samples claimed in ${length} bytes`);
  columns.reserve(count);
  if (count > 0 && columns.kernelAt >= 0 && decodeByKernel(bytes, from, length, columns)) return;
  if (from + length + DECODE_SLACK <= bytes.length) {
    const view = viewOf(bytes);
    columns.length = decodeXor(view, from, length, columns.times, columns.words, columns.length, where);
  } else {
    const [padded, view] = length + DECODE_SLACK <= scratch.length ? [scratch, scratchView] : oversized(length);
    padded.set(bytes.subarray(from, from + length));
    columns.length = decodeXor(view, 0, length, columns.times, columns.words, columns.length, where);
  }
}

function oversized(length: number): [Uint8Array, DataView] {
  const bytes = new Uint8Array(length + DECODE_SLACK);
  return [bytes, new DataView(bytes.buffer)];
}

// Chunks of a frame share one buffer: its view is made once.
let lastBytes: Uint8Array | undefined;
let lastView: DataView = scratchView;

function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== lastBytes) {
    lastBytes = bytes;
    lastView = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  return lastView;
}
