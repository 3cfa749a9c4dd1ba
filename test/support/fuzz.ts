/** Seeded mutations of bytes, and the bounds of time and memory in which code must take or refuse them. */
import { expect } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "#libs/tsdb/encoding/crc32c.ts";
import { seeded } from "./write.ts";

/** Mutations of each kind. */
export const FUZZ_COUNT = Number(process.env["FUZZ"] ?? 1500);
export const FUZZ_TIMEOUT_MS = 4 * 3_600_000;
const SEED = Number(process.env["FUZZ_SEED"] ?? 1);
const MILLISECONDS_MAX = 10_000;
/** Of buffers and heap. A head opened and read takes 12 MiB, whatever is in its folder; the files have some KiB. */
const ALLOCATED_MAX = 64 << 20;
const EVIL = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x40];

export class Fuzz {
  readonly #random = seeded(SEED);
  #refused = 0;
  #read = 0;
  #slowestMs = 0;
  #largest = 0;

  below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  /** A copy with some bytes of [from, to) changed. */
  mutate(bytes: Uint8Array, from = 0, to = bytes.length): Uint8Array {
    const mutated = Uint8Array.prototype.slice.call(bytes);
    for (let k = 1 + this.below(4); k > 0 && to > from; k--) {
      const at = from + this.below(to - from);
      const kind = this.below(4);
      if (kind === 0) mutated[at]! ^= 1 << this.below(8);
      else if (kind === 1) mutated[at] = this.below(256);
      else for (let i = 0; i < 1 + this.below(8) && at + i < to; i++) mutated[at + i] = EVIL[this.below(EVIL.length)]!;
    }
    return mutated;
  }

  /** Runs `body`, which may refuse the bytes with a CorruptionError, within bounds of time and memory. */
  async tolerates(what: string, i: number, body: () => Promise<void> | void): Promise<void> {
    const name = (): string => `${what} ${i} of seed ${SEED}`;
    const startedAt = performance.now();
    const before = allocatedBytes();
    try {
      await body();
      this.#read++;
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw new Error(`${name()}: ${String(error)}`, { cause: error });
      this.#refused++;
    }
    const tookMs = performance.now() - startedAt;
    const allocated = allocatedBytes() - before;
    if (tookMs > MILLISECONDS_MAX) throw new Error(`${name()}: took ${tookMs} ms`);
    if (allocated > ALLOCATED_MAX) throw new Error(`${name()}: took ${allocated} bytes`);
    this.#slowestMs = Math.max(this.#slowestMs, tookMs);
    this.#largest = Math.max(this.#largest, allocated);
  }

  /** At the end of a test: or the mutations test nothing. `readMin`: the least share that must have been read. */
  bothHappened(readMin = 0.01): void {
    const all = this.#refused + this.#read;
    const [slowestMs, largestKiB] = [Math.round(this.#slowestMs), Math.round(this.#largest / 1024)];
    if (process.env["FUZZ"] !== undefined)
      console.log(`${this.#refused} refused, ${this.#read} read; at most ${slowestMs} ms and ${largestKiB} KiB each`);
    expect(this.#refused).toBeGreaterThan(all / 100);
    expect(this.#read).toBeGreaterThanOrEqual(all * readMin);
    this.#refused = this.#read = this.#slowestMs = this.#largest = 0;
  }
}

function allocatedBytes(): number {
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}

/** Puts the checksum of [from, to) behind it. */
export function mendChecksum(bytes: Uint8Array, from: number, to: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(to, crc32c(bytes, from, to));
}
