/** Numbers of scripts: those of queries, with a sign. */
import { LiteralError, parseNumberLiteral } from "../parser/go-number.ts";

/** Undefined when the text is no number. */
export function parseNumber(text: string): number | undefined {
  try {
    const value = parseNumberLiteral(text.replace(/^[+-]/, ""));
    return text.startsWith("-") ? -value : value;
  } catch (error) {
    if (error instanceof LiteralError) return undefined;
    throw error;
  }
}
