/** The symbol table of an index: `len u32 | count u32 | (uvarint length, bytes)* | crc32`, strictly ascending bytes. */
import { CorruptionError } from "#libs/kit/errors.ts";
import { crc32c } from "../encoding/crc32c.ts";
import { ByteReader, utf8 } from "../encoding/reader.ts";
import type { ByteWriter } from "../encoding/writer.ts";

export class SymbolTable {
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #file: string;
  #textAt = 0;
  /** Index version 1 refers to a symbol by its offset in the file. */
  readonly #byFileOffset: ReadonlyMap<number, number> | undefined;

  /**
   * `section` starts at the length field and is kept: it must not be recycled. `fileOffset` is where it lies.
   *
   * @throws CorruptionError when lengths, checksum or count do not hold.
   */
  constructor(section: Uint8Array, fileOffset: number, version: number, file: string) {
    const head = new ByteReader(section, file, 0, section.length, fileOffset);
    const length = head.u32();
    head.need(length + 4);
    const stored = new ByteReader(section, file, 4 + length, 8 + length, fileOffset).u32();
    if (crc32c(section, 4, 4 + length) !== stored)
      throw new CorruptionError(file, fileOffset, "symbol table: checksum");
    this.count = head.u32();
    if (this.count > length) head.fail(`${this.count} symbols in ${length} bytes`);
    const offsets = new Uint32Array(this.count);
    const byFileOffset = version === 1 ? new Map<number, number>() : undefined;
    const reader = new ByteReader(section, file, 8, 4 + length, fileOffset);
    for (let i = 0; i < this.count; i++) {
      offsets[i] = reader.at;
      byFileOffset?.set(fileOffset + reader.at, i);
      reader.skip(reader.uvarint());
    }
    this.#bytes = section;
    this.#offsets = offsets;
    this.#file = file;
    this.#byFileOffset = byFileOffset;
  }

  /** The ordinal of a symbol as a series entry refers to it. */
  ordinal(ref: number): number {
    const ordinal = this.#byFileOffset === undefined ? ref : this.#byFileOffset.get(ref);
    if (ordinal === undefined || ordinal >= this.count) throw new CorruptionError(this.#file, 0, `no symbol ${ref}`);
    return ordinal;
  }

  /** The ordinal of the symbol `bytes[from, to)`, sooner when it is little behind `near`; undefined when there is none. */
  find(bytes: Uint8Array, from: number, to: number, near: number): number | undefined {
    let low = near < this.count && this.#compare(near, bytes, from, to) <= 0 ? near : 0;
    let high = low === 0 ? this.count : low + 1;
    for (let step = 1; high < this.count && this.#compare(high, bytes, from, to) < 0; step *= 2) {
      low = high + 1;
      high = Math.min(high + step, this.count);
    }
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(middle, bytes, from, to) < 0) low = middle + 1;
      else high = middle;
    }
    return low < this.count && this.#compare(low, bytes, from, to) === 0 ? low : undefined;
  }

  /** The order of symbol `i` and symbol `j` of `other`. */
  compare(i: number, other: SymbolTable, j: number): number {
    const length = other.#lengthAt(j);
    return this.#compare(i, other.#bytes, other.#textAt, other.#textAt + length);
  }

  /** The same for `bytes[from, to)`. */
  #compare(i: number, bytes: Uint8Array, from: number, to: number): number {
    const length = this.#lengthAt(i);
    const own = this.#bytes;
    const at = this.#textAt;
    const shared = Math.min(length, to - from);
    for (let k = 0; k < shared; k++) if (own[at + k] !== bytes[from + k]) return own[at + k]! - bytes[from + k]!;
    return length - (to - from);
  }

  /** Writes the symbol's UTF-8. */
  writeTo(out: ByteWriter, ordinal: number): void {
    const length = this.#lengthAt(ordinal);
    out.copy(this.#bytes, this.#textAt, this.#textAt + length);
  }

  text(ordinal: number): string {
    const bytes = this.bytes(ordinal);
    return utf8(bytes, 0, bytes.length);
  }

  /** The symbol's UTF-8, a view. */
  bytes(ordinal: number): Uint8Array {
    const length = this.#lengthAt(ordinal);
    return this.#bytes.subarray(this.#textAt, this.#textAt + length);
  }

  /** Bytes of a symbol, which begin at `#textAt`. */
  #lengthAt(ordinal: number): number {
    const from = this.#offsets[ordinal];
    if (from === undefined) throw new CorruptionError(this.#file, 0, `no symbol ${ordinal}`);
    // Lengths were read once when the table was opened: they hold.
    const bytes = this.#bytes;
    let at = from;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#textAt = at;
        return length;
      }
    }
  }
}
