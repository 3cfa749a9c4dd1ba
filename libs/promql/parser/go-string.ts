/**
 * String literals as Go and PromQL write them, and text as Go quotes it.
 *
 * A literal may hold any bytes (`"\xff"`), a JavaScript string may not. Bytes that are no UTF-8 are kept as the lone
 * surrogates U+DC80…U+DCFF, one a byte: `isWellFormed()` tells them apart, encoding to UTF-8 makes them U+FFFD as Go's
 * JSON does, and `quoteText` gives them back.
 */
import { quoteGo } from "#libs/model/labels.ts";

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

/**
 * The text of a string literal, quotes included, that the lexer has accepted: `"…"` and `'…'` with escapes, `` `…` ``
 * without.
 */
export function unquoteLiteral(literal: string): string {
  const body = literal.slice(1, -1);
  if (literal.startsWith("`") || !body.includes("\\")) return body;
  const bytes: number[] = [];
  for (let at = 0; at < body.length;) {
    const escape = body.indexOf("\\", at);
    if (escape !== at) {
      const plain = body.slice(at, escape < 0 ? body.length : escape);
      bytes.push(...Buffer.from(plain));
      at += plain.length;
      continue;
    }
    const letter = body[at + 1]!;
    const digits = letter === "x" ? 2 : letter === "u" ? 4 : letter === "U" ? 8 : 0;
    if (digits > 0) {
      const code = parseInt(body.slice(at + 2, at + 2 + digits), 16);
      if (letter === "x") bytes.push(code);
      else bytes.push(...Buffer.from(String.fromCodePoint(code)));
      at += 2 + digits;
    } else if (letter >= "0" && letter <= "7") {
      bytes.push(parseInt(body.slice(at + 1, at + 4), 8));
      at += 4;
    } else {
      bytes.push(SIMPLE_ESCAPES[letter] ?? letter.charCodeAt(0));
      at += 2;
    }
  }
  return decodeBytes(Buffer.from(bytes));
}

/** UTF-8 to text; every byte that belongs to no character becomes its lone surrogate. */
function decodeBytes(bytes: Buffer): string {
  const whole = bytes.toString("utf8");
  if (Buffer.from(whole).equals(bytes)) return whole;
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const size = characterBytes(bytes, at);
    text += size === 0 ? String.fromCharCode(0xdc00 + bytes[at]!) : bytes.toString("utf8", at, at + size);
    at += Math.max(size, 1);
  }
  return text;
}

/** How many bytes the character at `at` has, 0 when none starts there. */
function characterBytes(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  const size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (size < 2) return size;
  const character = bytes.subarray(at, at + size);
  return Buffer.from(character.toString("utf8")).equals(character) ? size : 0;
}

/** Go's `%q` of a string. */
export function quoteText(text: string): string {
  if (text.isWellFormed()) return quoteGo(text);
  const parts = text.split(/(\p{Surrogate})/u);
  const escaped = (part: string): string => `\\x${(part.charCodeAt(0) - 0xdc00).toString(16)}`;
  return `"${parts.map((part, i) => (i % 2 === 0 ? quoteGo(part).slice(1, -1) : escaped(part))).join("")}"`;
}

/** Go's `%q` of a character; -1 stands for the end of the text. */
export function quoteCharacter(code: number): string {
  if (code === 0x27) return "'\\''";
  if (code === 0x22) return "'\"'";
  return `'${quoteGo(toCharacter(code)).slice(1, -1)}'`;
}

/** Go's `%#U` of a character: `U+002E '.'`, without the quotes where it cannot be shown. */
export function describeCharacter(code: number): string {
  const character = toCharacter(code);
  const point = `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
  const shown = character === '"' || character === "\\" || quoteGo(character) === `"${character}"`;
  return shown ? `${point} '${character}'` : point;
}

function toCharacter(code: number): string {
  return code < 0 || (code >= 0xd800 && code <= 0xdfff) ? "\uFFFD" : String.fromCodePoint(code);
}
