/** Samples as chunks of their own: nothing needs decoding (bench/query-head.ts). */
import { ENCODING } from "../chunk/encoding.ts";
import { appendXor, emptyXorState, XOR_HEADER_BYTES, XOR_SAMPLE_BYTES_MAX } from "../chunk/xor.ts";
import { Xor2Appender } from "../chunk/xor2.ts";
import type { FrameBuilder } from "../series/frame.ts";

export class OneSample {
  readonly #one = emptyXorState(new Uint8Array(XOR_HEADER_BYTES + XOR_SAMPLE_BYTES_MAX));

  /** Adds a chunk of one sample; the value as words, `start` 0 is unknown. */
  add(builder: FrameBuilder, time: number, low: number, high: number, start: number): void {
    if (start !== 0) {
      const xor2 = new Xor2Appender();
      xor2.append(start, time, low, high);
      const bytes = xor2.bytes();
      builder.chunk(time, time, ENCODING.XOR2, bytes, 0, bytes.length);
      return;
    }
    const one = this.#one;
    // Most series were last written at the same time: all but the value is the same.
    if (one.count === 0 || one.time !== time) {
      one.bitAt = XOR_HEADER_BYTES * 8;
      one.count = 0;
      appendXor(one, time, 0, 0);
      one.bytes[1] = 1;
    }
    const { bytes } = one;
    const length = one.bitAt >>> 3;
    const at = builder.reserveChunk(time, time, ENCODING.XOR, length);
    const target = builder.bytes;
    for (let k = 0; k < length - 8; k++) target[at + k] = bytes[k]!;
    putBigEndian(target, at + length - 8, high);
    putBigEndian(target, at + length - 4, low);
  }
}

function putBigEndian(target: Uint8Array, at: number, word: number): void {
  target[at] = word >>> 24;
  target[at + 1] = word >>> 16;
  target[at + 2] = word >>> 8;
  target[at + 3] = word;
}
