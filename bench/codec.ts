/** XOR chunks, CRC-32C and copies: nanoseconds a sample, byte or copy. */
import { copyBytes } from "#libs/kit/copy-bytes.ts";
import { crc32c } from "#libs/tsdb/encoding/crc32c.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { borrowColumns } from "#libs/model/kernel-memory.ts";
import { decodeChunk } from "#libs/tsdb/chunk/decode.ts";
import { appendXor, DECODE_SLACK, emptyXorState, XOR_SAMPLE_BYTES_MAX } from "#libs/tsdb/chunk/xor.ts";
import { loadSeries } from "#tools/load.ts";
import { row, time, type Timing } from "./measure.ts";

const CHUNKS = 4096;
const SAMPLES = 120;

export function codec(print: (line: string) => void): void {
  const values = new Float64Array(CHUNKS * SAMPLES);
  const words = new Int32Array(values.buffer);
  const times = new Float64Array(CHUNKS * SAMPLES);
  for (let c = 0; c < CHUNKS; c++) {
    const { valueAt } = loadSeries(c, 1);
    for (let i = 0; i < SAMPLES; i++) {
      values[c * SAMPLES + i] = valueAt(i);
      times[c * SAMPLES + i] = 1.7e12 + i * 15_000 + ((c * 31 + i * 7) % 11);
    }
  }
  const bytes = new Uint8Array(SAMPLES * XOR_SAMPLE_BYTES_MAX);
  const state = emptyXorState(bytes);
  const encodeOne = (c: number): number => {
    state.bitAt = 16;
    state.count = 0;
    for (let i = c * SAMPLES; i < (c + 1) * SAMPLES; i++) appendXor(state, times[i]!, words[2 * i]!, words[2 * i + 1]!);
    bytes[0] = 0;
    bytes[1] = SAMPLES;
    return (state.bitAt + 7) >> 3;
  };
  const lengths: number[] = [];
  const chunks = new Uint8Array(CHUNKS * 1200 + DECODE_SLACK);
  let end = 0;
  for (let c = 0; c < CHUNKS; c++) {
    const length = encodeOne(c);
    chunks.set(bytes.subarray(0, length), end);
    lengths.push(length);
    end += length;
  }
  const encode = time(9, () => {
    for (let c = 0; c < CHUNKS; c++) encodeOne(c);
  });
  const decodeInto = (columns: SampleColumns): Timing =>
    time(15, () => {
      let from = 0;
      for (const length of lengths) {
        columns.clear();
        decodeChunk(1, chunks, from, length, columns, "bench");
        from += length;
      }
    });
  const decode = decodeInto(new SampleColumns());
  const byKernel = decodeInto(borrowColumns());
  const perSample = 1e6 / (CHUNKS * SAMPLES);
  const crc = time(15, () => void crc32c(chunks, 0, end));
  print(
    row([
      "XOR encode, ns a sample",
      encode.best * perSample,
      encode.median * perSample,
      `${(end / CHUNKS / SAMPLES).toFixed(2)} bytes a sample`,
    ]),
  );
  print(
    row([
      "XOR decode, ns a sample",
      decode.best * perSample,
      decode.median * perSample,
      "Go 22, C 4.7 (reference box)",
    ]),
  );
  print(row(["the same by the kernel", byKernel.best * perSample, byKernel.median * perSample, ""]));
  print(row(["CRC-32C, ns a byte", (crc.best * 1e6) / end, (crc.median * 1e6) / end, ""]));
  const target = new Uint8Array(end);
  const COPIED = 200;
  const copies = Math.floor(end / COPIED);
  const copied = time(15, () => {
    for (let i = 0; i < copies; i++) copyBytes(chunks, i * COPIED, (i + 1) * COPIED, target, i * COPIED);
  });
  print(row([`copy of ${COPIED} bytes, ns`, (copied.best * 1e6) / copies, (copied.median * 1e6) / copies, ""]));
}
