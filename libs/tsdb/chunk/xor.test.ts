import fc from "fast-check";
import { expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { decodeChunk } from "./decode.ts";
import { appendXor, emptyXorState, XOR_SAMPLE_BYTES_MAX } from "./xor.ts";

type Sample = readonly [time: number, bits: bigint];

function encode(samples: readonly Sample[]): Uint8Array {
  const bytes = new Uint8Array(samples.length * XOR_SAMPLE_BYTES_MAX + 8).fill(0xff);
  const state = emptyXorState(bytes);
  for (const [time, bits] of samples)
    appendXor(state, time, Number(BigInt.asIntN(32, bits)), Number(BigInt.asIntN(32, bits >> 32n)));
  bytes[0] = samples.length >> 8;
  bytes[1] = samples.length;
  return bytes.slice(0, (state.bitAt + 7) >> 3);
}

function decode(bytes: Uint8Array): Sample[] {
  const columns = new SampleColumns();
  decodeChunk(1, bytes, 0, bytes.length, columns, "test");
  const words = new Uint32Array(columns.values.buffer);
  return Array.from(
    { length: columns.length },
    (_, i) => [columns.times[i]!, (BigInt(words[2 * i + 1]!) << 32n) | BigInt(words[2 * i]!)] as const,
  );
}

const bitsOf = (value: number): bigint => new BigUint64Array(Float64Array.of(value).buffer)[0]!;

test("what is written is read, whatever the times and bits", () => {
  const step = fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 2 ** 40 }));
  const bits = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.double().map(bitsOf),
    fc.constant(0x7ff0000000000002n),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: -(2 ** 41), max: 2 ** 41 }),
      fc.array(fc.tuple(step, bits), { minLength: 1, maxLength: 200 }),
      (start, list) => {
        let time = start;
        const samples: Sample[] = list.map(([delta, value]) => [(time += delta), value]);
        expect(decode(encode(samples))).toEqual(samples);
      },
    ),
  );
});

test("deltas of deltas at the edges of their widths", () => {
  for (const edge of [
    8191, 8192, 8193, -8190, -8191, -8192, 65_536, 65_537, -65_535, -65_536, 524_288, 524_289, -524_287, -524_288,
  ]) {
    const samples: Sample[] = [0, 1_000_000, 2_000_000 + edge, 3_000_000 + 2 * edge].map((t) => [t, 1n]);
    expect(decode(encode(samples)), String(edge)).toEqual(samples);
  }
});

test("hostile bytes end in a CorruptionError or in samples, never beyond the chunk", () => {
  const whole = encode(Array.from({ length: 120 }, (_, i) => [1.7e12 + i * 15_000, bitsOf(Math.sin(i))] as const));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }),
      fc.nat(whole.length),
      (changes, length) => {
        const bytes = whole.slice(0, length);
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptionError);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test("a chunk that claims more samples than it has is corrupt", () => {
  const bytes = encode([[1, 1n]]);
  bytes[1] = 200;
  expect(() => decode(bytes)).toThrow(CorruptionError);
});

test("an unknown encoding is refused by name", () => {
  expect(() => decodeChunk(9, new Uint8Array(8), 0, 8, new SampleColumns(), "series x")).toThrow(
    new CorruptionError("series x", 0, "a chunk of encoding 9"),
  );
});
