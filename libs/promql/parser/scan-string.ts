/** Where a string literal ends, and what is wrong with one. Go's escapes, in either quotes. */
import { describeCharacter } from "./go-string.ts";

const NEWLINE = 10;
const BACKSLASH = 92;
const BACKTICK = 96;
/** What bytes that are no UTF-8 have become by the time a query is text. */
const REPLACEMENT = 0xfffd;

/** @returns the end of the literal whose quote is at `from`, or what is wrong. */
export function scanString(text: string, from: number): number | string {
  const quote = text.charCodeAt(from);
  const raw = quote === BACKTICK;
  for (let at = from + 1; at < text.length;) {
    const code = text.charCodeAt(at);
    if (code === quote) return at + 1;
    if (code === NEWLINE && !raw) return "unterminated quoted string";
    if (code === REPLACEMENT || isHalfCharacter(text, at)) return "invalid UTF-8 rune";
    if (code === BACKSLASH && !raw) {
      const end = scanEscape(text, at + 1, quote);
      if (typeof end === "string") return end;
      at = end;
    } else at++;
  }
  return raw ? "unterminated raw string" : "unterminated quoted string";
}

interface CodeEscape {
  readonly digits: number;
  readonly base: number;
  readonly max: number;
}

const SIMPLE_ESCAPES = "abfnrtv\\";
const OCTAL: CodeEscape = { digits: 3, base: 8, max: 255 };
const HEXADECIMAL: Readonly<Record<string, CodeEscape>> = {
  x: { digits: 2, base: 16, max: 255 },
  u: { digits: 4, base: 16, max: 0x10ffff },
  U: { digits: 8, base: 16, max: 0x10ffff },
};

/** @returns the end of what stands behind a backslash, or what is wrong. */
function scanEscape(text: string, from: number, quote: number): number | string {
  if (from >= text.length) return "escape sequence not terminated";
  const letter = text[from]!;
  if (SIMPLE_ESCAPES.includes(letter) || letter.charCodeAt(0) === quote) return from + 1;
  const octal = letter >= "0" && letter <= "7";
  const form = octal ? OCTAL : HEXADECIMAL[letter];
  if (form === undefined) return `unknown escape sequence ${describeCharacter(characterAt(text, from))}`;
  const start = octal ? from : from + 1;
  let value = 0;
  for (let at = start; at < start + form.digits; at++) {
    if (at >= text.length) return "escape sequence not terminated";
    const digit = parseInt(text[at]!, form.base);
    if (Number.isNaN(digit)) return `illegal character ${describeCharacter(characterAt(text, at))} in escape sequence`;
    value = value * form.base + digit;
  }
  const surrogate = value >= 0xd800 && value < 0xe000;
  return value > form.max || surrogate ? "escape sequence is an invalid Unicode code point" : start + form.digits;
}

/** The character at `at`; U+FFFD for half of one, -1 behind the end. */
export function characterAt(text: string, at: number): number {
  if (at >= text.length) return -1;
  // V8 14 reads behind the end of a substring that ends in half a character, once codePointAt is optimised.
  return isHalfCharacter(text, at) ? REPLACEMENT : text.codePointAt(at)!;
}

function isHalfCharacter(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  if (code < 0xd800 || code > 0xdfff) return false;
  const other = text.charCodeAt(code < 0xdc00 ? at + 1 : at - 1);
  return code < 0xdc00 ? !(other >= 0xdc00 && other <= 0xdfff) : !(other >= 0xd800 && other <= 0xdbff);
}
