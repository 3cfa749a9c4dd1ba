/**
 * Symbols in one buffer, ascending in UTF-8 order: what an index being written refers to by ordinal. A million of
 * them are their bytes and 4 MB, no strings.
 */
import { assert } from "#libs/kit/assert.ts";
import { utf8 } from "../encoding/reader.ts";
import type { SymbolTable } from "./symbols.ts";

export class PackedSymbols {
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #ends: Uint32Array;

  /** Symbol `i` ends at `ends[i]` of `bytes`. */
  constructor(bytes: Uint8Array, ends: Uint32Array) {
    this.#bytes = bytes;
    this.#ends = ends;
    this.count = ends.length;
    for (let i = 1; i < this.count; i++) {
      assert(Buffer.compare(this.bytes(i - 1), this.bytes(i)) < 0, "symbols of a block must ascend");
    }
  }

  /** `texts` ascending in UTF-8 order, each once. */
  static of(texts: readonly string[]): PackedSymbols {
    const ends = new Uint32Array(texts.length);
    let end = 0;
    texts.forEach((text, i) => (ends[i] = end += Buffer.byteLength(text)));
    return new PackedSymbols(Buffer.from(texts.join("")), ends);
  }

  /** The symbol's UTF-8, a view. */
  bytes(ordinal: number): Uint8Array {
    return this.#bytes.subarray(ordinal === 0 ? 0 : this.#ends[ordinal - 1]!, this.#ends[ordinal]!);
  }

  text(ordinal: number): string {
    const bytes = this.bytes(ordinal);
    return utf8(bytes, 0, bytes.length);
  }
}

/** The symbols of all tables, and for each table the new ordinal of each of its symbols. */
export function mergeSymbols(tables: readonly SymbolTable[]): { symbols: PackedSymbols; ordinals: Uint32Array[] } {
  const ordinals = tables.map((table) => new Uint32Array(table.count));
  const ends = new Uint32Array(tables.reduce((sum, table) => sum + table.count, 0));
  let bytes = new Uint8Array(1 << 16);
  let length = 0;
  let count = 0;
  const at = tables.map(() => 0);
  const heads = tables.map((table) => (table.count > 0 ? table.bytes(0) : undefined));
  for (;;) {
    let least: Uint8Array | undefined;
    for (const head of heads) {
      if (head !== undefined && (least === undefined || Buffer.compare(head, least) < 0)) least = head;
    }
    if (least === undefined) break;
    if (length + least.length > bytes.length) {
      const larger = new Uint8Array(Math.max(bytes.length * 2, length + least.length));
      larger.set(bytes);
      bytes = larger;
    }
    bytes.set(least, length);
    length += least.length;
    for (let k = 0; k < tables.length; k++) {
      const head = heads[k];
      if (head === undefined || Buffer.compare(head, least) !== 0) continue;
      ordinals[k]![at[k]!] = count;
      const next = ++at[k]!;
      heads[k] = next < tables[k]!.count ? tables[k]!.bytes(next) : undefined;
    }
    ends[count++] = length;
  }
  return { symbols: new PackedSymbols(bytes.subarray(0, length), ends.slice(0, count)), ordinals };
}
