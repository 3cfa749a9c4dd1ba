import { describe, expect, test } from "vitest";
import { labelsFrom } from "#libs/model/labels.ts";
import { seeded } from "../../../test/support/write.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { KeyTable, writeKey } from "./key-table.ts";

const NAMES = ["__name__", "a", "ab", "b", "cluster", "instance", "job", "n".repeat(130), "n".repeat(131), "zone"];
const VALUES = ["x", "y", "10.0.0.1:9100", "10.0.0.2:9100", "v".repeat(200), `${"v".repeat(199)}w`, "w".repeat(700)];

/** Keys by slot; `hash` of the table's own hash, so that all can have the same. */
class Checked {
  table = new KeyTable(7);
  keys: Buffer[] = [];
  readonly #slots = new Map<string, number>();
  readonly #hash: (hash: number) => number;

  constructor(hash = (own: number): number => own) {
    this.#hash = hash;
  }

  /** As in a request: other bytes before and behind it. */
  #placed(key: Buffer): { view: DataView; from: number; to: number; hash: number } {
    const bytes = Buffer.concat([Buffer.from("before"), key, Buffer.from("behind")]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const [from, to] = [6, 6 + key.length];
    return { view, from, to, hash: this.#hash(this.table.hashOf(view, from, to)) };
  }

  /** Adds a key unless it is there. */
  add(key: Buffer): void {
    if (this.check(key) >= 0) return;
    const { view, from, to, hash } = this.#placed(key);
    this.table.add(view, from, to, hash);
    this.#slots.set(key.toString("hex"), this.keys.length);
    this.keys.push(key);
  }

  /** @returns the slot. */
  check(key: Buffer): number {
    const { view, from, to, hash } = this.#placed(key);
    const slot = this.#slots.get(key.toString("hex")) ?? -1;
    if (this.table.find(view, from, to, hash) !== slot) throw new Error(`${key.toString("hex")} is ${slot}`);
    if (slot >= 0) expect(this.table.is(slot, view, from, to)).toBe(true);
    return slot;
  }

  checkAll(): void {
    this.keys.forEach((key, slot) => expect(this.check(key)).toBe(slot));
  }

  /** What a truncation does. */
  adoptedWhere(stays: (slot: number) => boolean): Checked {
    const next = new Checked(this.#hash);
    this.keys.forEach((key, slot) => {
      if (!stays(slot)) return;
      next.table.adopt(this.table, slot);
      next.#slots.set(key.toString("hex"), next.keys.length);
      next.keys.push(key);
    });
    return next;
  }
}

function keyOf(labels: Readonly<Record<string, string>>): Buffer {
  const out = new ByteWriter();
  writeKey(out, labelsFrom(Object.entries(labels)));
  return Buffer.from(out.bytes.slice());
}

/** Keys of which most have labels of the one before. */
function labelKeys(random: () => number, count: number): Buffer[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  let labels: Record<string, string> = {};
  return Array.from({ length: count }, () => {
    labels = random() < 0.1 ? {} : { ...labels };
    for (let k = Math.floor(random() * 4); k >= 0; k--) {
      if (random() < 0.3) delete labels[pick(NAMES)];
      else labels[pick(NAMES)] = random() < 0.7 ? pick(VALUES) : String(Math.floor(random() * 1000));
    }
    return keyOf(labels);
  });
}

/** The key with bytes changed, dropped, doubled or swapped. */
function similar(random: () => number, key: Buffer): Buffer {
  const below = (n: number): number => Math.floor(random() * n);
  const at = below(key.length);
  const to = Math.min(key.length, at + 1 + below(random() < 0.5 ? 3 : 600));
  const part = key.subarray(at, to);
  const kind = below(4);
  if (kind === 0) return Buffer.concat([key.subarray(0, at), key.subarray(to)]);
  if (kind === 1) return Buffer.concat([key.subarray(0, to), key.subarray(at)]);
  if (kind === 2) return Buffer.concat([key.subarray(0, at), part.toReversed(), key.subarray(to)]);
  return Buffer.concat([key.subarray(0, at), part.map((byte) => byte ^ (1 << below(8))), key.subarray(to)]);
}

describe.each([
  ["hashes", (own: number): number => own],
  ["few hashes", (own: number): number => own & 3],
] as const)("with %s, each key is found by its bytes alone", (_, hash) => {
  test("labels", () => {
    const random = seeded(1);
    const checked = new Checked(hash);
    for (const key of labelKeys(random, 1500)) checked.add(key);
    checked.checkAll();
    for (const key of checked.keys) for (let i = 0; i < 5; i++) checked.check(similar(random, key));
  });

  test("bytes that are no labels, each like one before", () => {
    const random = seeded(2);
    const checked = new Checked(hash);
    checked.add(Buffer.alloc(0));
    for (const key of labelKeys(random, 20)) checked.add(key);
    for (let i = 0; i < 2000; i++) {
      const near = checked.keys[Math.floor(checked.keys.length * random() ** 0.1)]!;
      if (near.length > 0) checked.add(similar(random, near));
      if (i % 100 === 0) checked.add(Buffer.from(Array.from({ length: i }, () => random() * 256)));
    }
    checked.checkAll();
  });

  test("of those that stay, after others are dropped", () => {
    const random = seeded(3);
    let checked = new Checked(hash);
    for (const key of labelKeys(random, 1500)) checked.add(key);
    for (const part of [0.9, 0.5, 0.1]) {
      const all = checked.keys;
      checked = checked.adoptedWhere(() => random() < part);
      checked.checkAll();
      for (const key of all) checked.check(key);
      for (const key of labelKeys(random, 100)) checked.add(key);
      checked.checkAll();
    }
  });
});

test("keys longer than a slab, and differences of them", () => {
  const random = seeded(4);
  const long = "l".repeat(3 << 20);
  const checked = new Checked();
  checked.add(keyOf({ a: "1" }));
  checked.add(keyOf({ a: long, b: "1" }));
  checked.add(keyOf({ a: long, b: "2" }));
  checked.add(keyOf({ a: `${long.slice(1)}m`, b: "2" }));
  checked.add(keyOf({ a: "1", b: "2" }));
  for (let i = 0; i < 5; i++) checked.add(similar(random, checked.keys[2]!));
  for (const key of labelKeys(random, 100)) checked.add(key);
  checked.checkAll();
  checked.adoptedWhere((slot) => slot !== 1).checkAll();
});

test("the series of a target are stored as differences, and still are when some are gone", () => {
  const target = { cluster: "cluster-1", instance: "10.0.0.1:9100", job: "job-1", namespace: "namespace-1" };
  const checked = new Checked();
  for (let i = 0; i < 50_000; i++)
    checked.add(
      keyOf({ ...target, __name__: "http_requests_total", pod: `pod-${Math.floor(i / 100)}`, uid: String(1e6 + i) }),
    );
  // Of slabs 30 bytes a series or so, of tables 24; a key has 154.
  const whole = checked.keys.reduce((sum, { length }) => sum + length, 0);
  expect(checked.table.bytes).toBeLessThan(0.45 * whole);
  const half = checked.adoptedWhere((slot) => slot % 2 === 0);
  expect(half.table.bytes).toBeLessThan(0.45 * (whole / 2));
});
