/**
 * Symbols in one buffer, ascending in UTF-8 order: what an index being written refers to by ordinal. A million of
 * them are their bytes and 4 MB, no strings.
 */
import type { Slices } from "#libs/kit/slices.ts";
import { utf8 } from "../encoding/reader.ts";
import { ByteWriter } from "../encoding/writer.ts";
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
  }

  /** `texts` ascending in UTF-8 order, each once. */
  static of(texts: readonly string[]): PackedSymbols {
    const packer = new SymbolPacker(texts.length);
    for (const text of texts) packer.add(text);
    return packer.take();
  }

  /** Of all symbols, each with its length as uvarint. */
  get storedBytes(): number {
    let bytes = this.#ends[this.count - 1] ?? 0;
    let from = 0;
    for (let i = 0; i < this.count; i++) {
      const length = this.#ends[i]! - from;
      from = this.#ends[i]!;
      bytes += length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : length < 0x1000_0000 ? 4 : 5;
    }
    return bytes;
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

/** Packs symbols that come one by one, ascending. */
export class SymbolPacker {
  readonly #bytes = new ByteWriter(1 << 16);
  readonly #ends: Uint32Array;
  #count = 0;

  constructor(countMax: number) {
    this.#ends = new Uint32Array(countMax);
  }

  /** @returns the symbol's ordinal. */
  add(text: string): number {
    this.#bytes.utf8(text);
    this.#ends[this.#count] = this.#bytes.length;
    return this.#count++;
  }

  /** All of them; the packer is not used any more. */
  take(): PackedSymbols {
    return new PackedSymbols(this.#bytes.bytes, this.#ends.subarray(0, this.#count));
  }
}

/** Symbols between two looks at the clock. */
const STEP = 64;

/** The symbols of all tables, and for each table the new ordinal of each of its symbols. */
export async function mergeSymbols(
  tables: readonly SymbolTable[],
  slices: Slices,
): Promise<{ symbols: PackedSymbols; ordinals: Uint32Array[] }> {
  const ordinals = tables.map((table) => new Uint32Array(table.count));
  const ends = new Uint32Array(tables.reduce((sum, table) => sum + table.count, 0));
  const out = new ByteWriter(1 << 16);
  let count = 0;
  const at = tables.map(() => 0);
  for (;;) {
    let least = -1;
    for (let k = 0; k < tables.length; k++) {
      if (at[k]! === tables[k]!.count) continue;
      if (least < 0 || tables[k]!.compare(at[k]!, tables[least]!, at[least]!) < 0) least = k;
    }
    if (least < 0) break;
    const table = tables[least]!;
    const ordinal = at[least]!;
    table.writeTo(out, ordinal);
    for (let k = 0; k < tables.length; k++) {
      if (k !== least && (at[k]! === tables[k]!.count || tables[k]!.compare(at[k]!, table, ordinal) !== 0)) continue;
      ordinals[k]![at[k]!++] = count;
    }
    ends[count++] = out.length;
    if (count % STEP === 0 && slices.due) await slices.breathe();
  }
  return { symbols: new PackedSymbols(out.bytes, ends.slice(0, count)), ordinals };
}
