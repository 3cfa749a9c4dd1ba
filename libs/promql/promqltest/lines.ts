/** The lines of a script, trimmed, comments emptied. */
export class Lines {
  readonly #lines: readonly string[];
  /** Of the line that is read, from 1. */
  number = 0;

  constructor(text: string) {
    this.#lines = text.split("\n").map((line) => line.trim().replace(/^#.*/, ""));
  }

  get line(): string {
    return this.#lines[this.number - 1]!;
  }

  /** Moves on: inside a block by a line unless the block ends, outside to the next line that is not empty. */
  next(inBlock: boolean): boolean {
    let next = this.number;
    if (!inBlock) while (this.#lines[next] === "") next++;
    if (next >= this.#lines.length || this.#lines[next] === "") return false;
    this.number = next + 1;
    return true;
  }
}
