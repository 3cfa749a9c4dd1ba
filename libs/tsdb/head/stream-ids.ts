/** Symbols of the head as those of a stream that many series want. */
import type { FrameBuilder } from "../series/frame.ts";
import type { HeadSymbols } from "./symbols.ts";

export class StreamIds {
  readonly #symbols: HeadSymbols;
  readonly #builder: FrameBuilder;
  /** By symbol, plus one; empty for few series. */
  readonly #many: Uint32Array;
  readonly #few = new Map<number, number>();

  constructor(symbols: HeadSymbols, builder: FrameBuilder, seriesCount: number) {
    this.#symbols = symbols;
    this.#builder = builder;
    this.#many = new Uint32Array(seriesCount >= 1000 ? symbols.count : 0);
  }

  of(symbol: number): number {
    // A symbol may have come since.
    if (symbol >= this.#many.length) return this.#ofFew(symbol);
    const known = this.#many[symbol]!;
    return known > 0 ? known - 1 : (this.#many[symbol] = this.#newId(symbol) + 1) - 1;
  }

  #ofFew(symbol: number): number {
    const known = this.#few.get(symbol);
    if (known !== undefined) return known;
    const id = this.#newId(symbol);
    this.#few.set(symbol, id);
    return id;
  }

  #newId(symbol: number): number {
    return this.#builder.newSymbol(this.#symbols.text(symbol));
  }
}
