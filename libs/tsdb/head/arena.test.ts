import fc from "fast-check";
import { expect, test } from "vitest";
import { appendXor, emptyXorState, XOR_HEADER_BYTES, XOR_SAMPLE_BYTES_MAX, type XorState } from "../chunk/xor.ts";
import { Arena } from "./arena.ts";

const sample = fc.record({ gap: fc.integer({ min: 1, max: 100_000 }), value: fc.double() });

/** A chunk in the arena beside the same in one buffer. */
class Both {
  readonly arena: Arena;
  readonly flat = emptyXorState(new Uint8Array(300 * XOR_SAMPLE_BYTES_MAX));
  readonly #chained: XorState = emptyXorState(new Uint8Array(0));
  last: number;
  bits = XOR_HEADER_BYTES * 8;

  constructor(arena: Arena) {
    this.arena = arena;
    this.last = arena.allocate();
  }

  append(gap: number, value: number): void {
    const [low, high] = new Int32Array(Float64Array.of(value).buffer) as unknown as [number, number];
    const time = this.flat.time + gap;
    appendXor(this.flat, time, low, high);
    this.last = this.arena.append(this.last, this.bits, this.#chained, time, low, high);
    this.bits = this.#chained.bitAt;
  }

  get expected(): Uint8Array {
    return this.flat.bytes.slice(XOR_HEADER_BYTES, (this.flat.bitAt + 7) >>> 3);
  }
}

function read(arena: Arena, last: number, bits: number): Uint8Array {
  const bytes = new Uint8Array(5 + ((bits + 7) >>> 3));
  arena.read(last, bits, 0, bytes, 5);
  return bytes.slice(5 + XOR_HEADER_BYTES);
}

test("chains that grow side by side are what one buffer each would be; prefixes stay while they are held", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), sample), { maxLength: 400 }), (steps) => {
      const arena = new Arena();
      const chunks = [0, 1, 2, 3].map(() => new Both(arena));
      const held: { last: number; bits: number; bytes: Uint8Array }[] = [];
      arena.hold();
      for (const [i, [k, { gap, value }]] of steps.entries()) {
        const chunk = chunks[k]!;
        chunk.append(gap, value);
        if (i % 40 === 0) held.push({ last: chunk.last, bits: chunk.bits, bytes: chunk.expected });
        // Released while held: its blocks must not be given out.
        if (i % 100 === 99) {
          arena.release(chunk.last);
          chunks[k] = new Both(arena);
        }
      }
      for (const { last, bits, bytes } of held) expect(read(arena, last, bits)).toEqual(bytes);
      arena.letGo();
      for (const chunk of chunks) expect(read(arena, chunk.last, chunk.bits)).toEqual(chunk.expected);
    }),
    { numRuns: 50 },
  );
});

test("blocks of a released chain are used again", () => {
  const arena = new Arena();
  const fill = (): Both => {
    const chunk = new Both(arena);
    for (let i = 0; i < 240; i++) chunk.append(1000, Math.sin(i));
    return chunk;
  };
  for (let i = 0; i < 1000; i++) arena.release(fill().last);
  expect(arena.bytes).toBe(1 << 20);
});

test("stored bytes are read back", () => {
  const arena = new Arena();
  for (const length of [3, 59, 60, 61, 120, 121, 1029]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
    expect(read(arena, arena.store(bytes), length * 8)).toEqual(bytes.slice(XOR_HEADER_BYTES));
  }
});
