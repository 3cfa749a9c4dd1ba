/** Symbols of the head as those of a stream that many series want. */
import type { FrameBuilder } from "../series/frame.ts";

/** Series. */
const MANY = 1000;
const NONE = new Uint32Array(0);

export class StreamIds {
  readonly #symbols: readonly string[];
  readonly #builder: FrameBuilder;
  /** By symbol, plus one; empty for few series, and until it is needed. */
  #many = NONE;
  readonly #seriesCount: number;
  #few: Map<number, number> | undefined;

  constructor(symbols: readonly string[], builder: FrameBuilder, seriesCount: number) {
    this.#symbols = symbols;
    this.#builder = builder;
    this.#seriesCount = seriesCount;
  }

  of(symbol: number): number {
    if (this.#many.length === 0 && this.#seriesCount >= MANY) this.#many = new Uint32Array(this.#symbols.length);
    // A symbol may have come since.
    if (symbol >= this.#many.length) return this.#ofFew(symbol);
    const known = this.#many[symbol]!;
    return known > 0 ? known - 1 : (this.#many[symbol] = this.#newId(symbol) + 1) - 1;
  }

  #ofFew(symbol: number): number {
    const few = (this.#few ??= new Map<number, number>());
    const known = few.get(symbol);
    if (known !== undefined) return known;
    const id = this.#newId(symbol);
    few.set(symbol, id);
    return id;
  }

  #newId(symbol: number): number {
    return this.#builder.newSymbol(this.#symbols[symbol]!);
  }
}
