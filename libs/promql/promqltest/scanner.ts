/** Reads a line from left to right by patterns; says what stands where something else was expected. */
import { ParseError } from "../parser/parse-error.ts";

/** A number without its sign: no hexadecimal, `0x3` is a nought four times. */
export const NUMBER: RegExp = /(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?/y;
export const WORD: RegExp = /[a-zA-Z_][a-zA-Z0-9_:]*/y;
export const SPACES: RegExp = /[ \t]+/y;

export class Scanner {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** The text that the sticky pattern finds here, and moves behind it; undefined, and stays, when it finds none. */
  take(pattern: RegExp): string | undefined {
    const found = this.peek(pattern);
    this.at += found?.length ?? 0;
    return found;
  }

  peek(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  /** Throws a ParseError: `1:5: parse error: message`. */
  fail(message: string, at: number = this.at): never {
    throw new ParseError(this.text, [{ message, from: at, to: this.text.length }]);
  }

  unexpected(context: string, expected?: string): never {
    this.fail(`unexpected ${this.#here()} in ${context}${expected === undefined ? "" : `, expected ${expected}`}`);
  }

  #here(): string {
    const number = this.peek(NUMBER);
    if (number !== undefined) return `number ${JSON.stringify(number)}`;
    const word = this.peek(WORD);
    if (word !== undefined && word !== "_") return `identifier ${JSON.stringify(word)}`;
    const char = this.text.slice(this.at, this.at + 1);
    if (char === "") return "end of input";
    return char === "+" || char === "-" ? `<op:${char}>` : JSON.stringify(char);
  }
}
