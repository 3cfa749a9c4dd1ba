/** XOR chunks decoded by WebAssembly (kernel/decode-xor.ts), in two thirds of the time of `decodeXor` (bench/codec.ts). */
import { readFileSync } from "node:fs";
import { copyBytes } from "#libs/kit/copy-bytes.ts";
import type { SampleColumns } from "#libs/model/columns.ts";
import { INPUT_BYTES, kernelMemory, PLACE_SAMPLES } from "#libs/model/kernel-memory.ts";

type Decode = (length: number, times: number, values: number) => number;

const code = readFileSync(new URL("kernel/decode-xor.wasm", import.meta.url));
const kernel = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory: kernelMemory } });
const decode = kernel.exports["decodeXor"] as Decode;
const input = new Uint8Array(kernelMemory.buffer, 0, INPUT_BYTES);

/**
 * Decodes the chunk `[from, from + length)` of a sample or more behind those in `columns`, which lie in the kernel's
 * memory and have room. @returns false when it is one for `decodeXor`: rare, or broken.
 */
export function decodeByKernel(bytes: Uint8Array, from: number, length: number, columns: SampleColumns): boolean {
  if (length > INPUT_BYTES) return false;
  copyBytes(bytes, from, from + length, input, 0);
  const times = columns.kernelAt + 8 * columns.length;
  const count = decode(length, times, times + 8 * PLACE_SAMPLES);
  if (count < 0) return false;
  columns.length += count;
  return true;
}
