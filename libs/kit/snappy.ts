/**
 * Snappy blocks, decompressed into a buffer that is used again: fresh memory costs more than the work. 0.13 µs a
 * remote-write sample where snappyjs takes 0.21 (bench/run.ts codec), which is an eighth of the whole write.
 * Format: google/snappy format_description.txt.
 *
 *   varint length │ elements: 00 literal, 01 / 10 / 11 copy with 1, 2 or 4 bytes of offset
 */
import { BadRequestError } from "./errors.ts";

function corrupt(): never {
  throw new BadRequestError("s2: corrupt input");
}

/** The length a block claims; undefined when it claims none that fits 32 bits. */
export function snappyLength(bytes: Uint8Array): number | undefined {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return value <= 0xffffffff ? value : undefined;
  }
  return undefined;
}

/** Bytes behind the output that a copy in words may touch. */
const SLACK = 8;

export class SnappyDecoder {
  #out = Buffer.allocUnsafeSlow(1 << 16);
  #view = new DataView(this.#out.buffer);

  /**
   * Decompresses a block; the result is valid until the next call.
   *
   * @throws BadRequestError when it is corrupt or claims more than `bytesMax`: looked at before memory is taken.
   */
  decode(input: Uint8Array, bytesMax: number): Buffer {
    const length = snappyLength(input);
    if (length === undefined) return corrupt();
    if (length > bytesMax) throw new BadRequestError(`decoded size exceeds the ${bytesMax} bytes limit`);
    if (length + SLACK > this.#out.length) {
      this.#out = Buffer.allocUnsafeSlow(Math.min(bytesMax, length * 2) + SLACK);
      this.#view = new DataView(this.#out.buffer);
    }
    const out = this.#out;
    const view = this.#view;
    const end = input.length;
    let from = 0;
    while (input[from]! >= 0x80) from++;
    from++;
    let to = 0;
    while (from < end) {
      const tag = input[from++]!;
      if ((tag & 3) === 0) {
        let count = (tag >> 2) + 1;
        if (count > 60) {
          const extra = count - 60;
          if (from + extra > end) corrupt();
          count = 0;
          for (let i = extra - 1; i >= 0; i--) count = count * 256 + input[from + i]!;
          count++;
          from += extra;
        }
        if (from + count > end || to + count > length) corrupt();
        if (count < 48) for (let i = 0; i < count; i++) out[to + i] = input[from + i]!;
        else out.set(input.subarray(from, from + count), to);
        from += count;
        to += count;
        continue;
      }
      let count: number;
      let offset: number;
      if ((tag & 3) === 1) {
        count = ((tag >> 2) & 7) + 4;
        offset = ((tag >> 5) << 8) | input[from++]!;
      } else if ((tag & 3) === 2) {
        count = (tag >> 2) + 1;
        offset = input[from]! | (input[from + 1]! << 8);
        from += 2;
      } else {
        count = (tag >> 2) + 1;
        offset = (input[from]! | (input[from + 1]! << 8) | (input[from + 2]! << 16) | (input[from + 3]! << 24)) >>> 0;
        from += 4;
      }
      // A tag cut short reads undefined, which is 0 here: refused with the offset or by the total.
      if (from > end || offset === 0 || offset > to || to + count > length) corrupt();
      // Bytes copied may be copied again while copying, so forward and one by one.
      const source = to - offset;
      // Four at a time where the words do not overlap; what is written past the end is written again or cut off.
      if (offset >= 4) for (let i = 0; i < count; i += 4) view.setInt32(to + i, view.getInt32(source + i, true), true);
      else for (let i = 0; i < count; i++) out[to + i] = out[source + i]!;
      to += count;
    }
    if (to !== length) corrupt();
    return out.subarray(0, length);
  }
}
