/** Throws `BUG: …` when `condition` does not hold: for what only our own mistake can break. */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new Error(`BUG: ${typeof message === "string" ? message : message()}`);
}
