/** Values of number and duration tokens. */
import { LiteralError, parseDurationLiteral, parseNumberLiteral } from "./go-number.ts";
import type { Token } from "./token.ts";
import type { Tokens } from "./tokens.ts";

/** Seconds of a duration. What is wrong with the token has been said. */
export function parseNumber(tokens: Tokens, token: Token): number {
  const text = tokens.text(token);
  try {
    return token.type === "duration" ? parseDurationLiteral(text) : parseNumberLiteral(text);
  } catch (error) {
    if (!(error instanceof LiteralError)) throw error;
    tokens.fault(token.type === "duration" ? error.message : `error parsing number: ${error.message}`, token);
    return error.value;
  }
}

/** `-5m`. */
export function parseSignedNumber(tokens: Tokens): number {
  const sign = tokens.ahead.type === "-" || tokens.ahead.type === "+" ? tokens.take().type : "+";
  while (tokens.ahead.type !== "number" && tokens.ahead.type !== "duration") tokens.reject();
  const value = parseNumber(tokens, tokens.take());
  return sign === "-" ? -value : value;
}
