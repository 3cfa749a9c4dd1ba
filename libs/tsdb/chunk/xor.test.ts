import fc from "fast-check";
import { expect, test } from "vitest";
import { CorruptionError } from "#libs/kit/errors.ts";
import { SampleColumns } from "#libs/model/columns.ts";
import { borrowColumns, returnColumns } from "#libs/model/kernel-memory.ts";
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

/** Once in memory of its own and once in the kernel's, behind a sample; both must give the same. */
function decode(bytes: Uint8Array): Sample[] {
  const columns = borrowColumns();
  try {
    expect(columns.kernelAt).toBeGreaterThan(0);
    const outcome = outcomeOf(() => decodeInto(new SampleColumns(), bytes));
    expect(outcomeOf(() => decodeInto(columns, bytes))).toEqual(outcome);
    if (outcome instanceof Error) throw outcome;
    return outcome;
  } finally {
    returnColumns(columns);
  }
}

function outcomeOf(decoding: () => Sample[]): Sample[] | Error {
  try {
    return decoding();
  } catch (error) {
    return error as Error;
  }
}

function decodeInto(columns: SampleColumns, bytes: Uint8Array): Sample[] {
  columns.addFloat(7, 8, 9, 0);
  decodeChunk(1, bytes, 0, bytes.length, columns, "test");
  const all = Array.from({ length: columns.length }, (_, i): Sample => {
    const [low, high] = [columns.words[2 * i]!, columns.words[2 * i + 1]!];
    return [columns.times[i]!, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)];
  });
  expect(all[0]).toEqual([7, (9n << 32n) | 8n]);
  return all.slice(1);
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

const TIMEOUT_MS = 600_000;

test("hostile bytes end in a CorruptionError or in samples, never beyond the chunk", { timeout: TIMEOUT_MS }, () => {
  const valuesAt: ((i: number) => number)[] = [Math.sin, (i) => Math.floor(i / 5), (i) => 4096 * (i % 7), () => 1];
  const wholes = valuesAt.flatMap((valueAt) =>
    [0, 3].map((jitter) => {
      const timeAt = (i: number): number => 1.7e12 + i * 15_000 + jitter * (i % 5);
      return encode(Array.from({ length: 120 }, (_, i) => [timeAt(i), bitsOf(valueAt(i))] as const));
    }),
  );
  fc.assert(
    fc.property(
      fc.nat(wholes.length - 1),
      fc.array(fc.tuple(fc.nat(1000), fc.nat(255)), { maxLength: 8 }),
      fc.nat(1000),
      (w, changes, length) => {
        const bytes = wholes[w]!.slice(0, length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptionError);
        }
      },
    ),
    { numRuns: Number(process.env["FUZZ"] ?? 4000) },
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
