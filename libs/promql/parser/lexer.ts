/** Tokens of PromQL. Keywords are recognised by the parser where they can stand: most may also be names. */
import { BadRequestError } from "#libs/kit/errors.ts";

export type TokenKind = "name" | "number" | "duration" | "string" | "op" | "end";

export interface Token {
  readonly kind: TokenKind;
  /** The text; of a string its value. */
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

/** A parse error: `1:5: parse error: …`, the column in bytes from 1. */
export class ParseError extends BadRequestError {
  constructor(input: string, at: number, message: string) {
    const before = input.slice(0, at).split("\n");
    const column = Buffer.byteLength(before.at(-1)!) + 1;
    super(
      input === ""
        ? `unknown position: parse error: ${message}`
        : `${before.length}:${column}: parse error: ${message}`,
    );
  }
}

const OPERATORS = [
  "==",
  "!=",
  "=~",
  "!~",
  "<=",
  ">=",
  "+",
  "-",
  "*",
  "/",
  "%",
  "^",
  "<",
  ">",
  "=",
  "(",
  ")",
  "{",
  "}",
  "[",
  "]",
  ",",
  "@",
  ":",
];
const DURATION = /(?:\d+(?:ms|[ywdhms]))+(?![a-zA-Z0-9_])/y;
const NUMBER =
  /(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)(?![a-zA-Z0-9_])/y;
const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL_OR_STEP = /[a-zA-Z_][a-zA-Z0-9_]*/y;

export function tokenize(input: string): Token[] {
  const tokens: Token[] = [];
  let braces = 0;
  let brackets = 0;
  for (let at = 0; at < input.length;) {
    const char = input[at]!;
    if (/[ \t\n\r]/.test(char)) {
      at++;
      continue;
    }
    if (char === "#") {
      const end = input.indexOf("\n", at);
      at = end < 0 ? input.length : end;
      continue;
    }
    if (char === '"' || char === "'" || char === "`") {
      const { value, to } = readString(input, at);
      tokens.push({ kind: "string", text: value, from: at, to });
      at = to;
      continue;
    }
    const found = match(DURATION, input, at) ?? undefined;
    if (found !== undefined) {
      tokens.push({ kind: "duration", text: found, from: at, to: at + found.length });
      at += found.length;
      continue;
    }
    const number = match(NUMBER, input, at);
    if (number !== undefined) {
      tokens.push({ kind: "number", text: number, from: at, to: at + number.length });
      at += number.length;
      continue;
    }
    // Inside brackets a colon separates range and step; inside braces names are label names.
    const name = match(braces > 0 || brackets > 0 ? LABEL_OR_STEP : NAME, input, at);
    if (name !== undefined) {
      tokens.push({ kind: "name", text: name, from: at, to: at + name.length });
      at += name.length;
      continue;
    }
    const op = OPERATORS.find((candidate) => input.startsWith(candidate, at));
    if (op === undefined) {
      const shown = String.fromCodePoint(input.codePointAt(at)!);
      if (/\d/.test(char))
        throw new ParseError(
          input,
          at,
          `bad number or duration syntax: ${JSON.stringify(/^[\w.]+/.exec(input.slice(at))?.[0] ?? shown)}`,
        );
      throw new ParseError(input, at, `unexpected character: '${shown}'`);
    }
    if (op === "{") braces++;
    else if (op === "}") braces--;
    else if (op === "[") brackets++;
    else if (op === "]") brackets--;
    tokens.push({ kind: "op", text: op, from: at, to: at + op.length });
    at += op.length;
  }
  tokens.push({ kind: "end", text: "", from: input.length, to: input.length });
  return tokens;
}

function match(pattern: RegExp, input: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(input)?.[0];
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/** Go's string literals: escapes in quotes, none in backticks. */
function readString(input: string, from: number): { value: string; to: number } {
  const quote = input[from]!;
  if (quote === "`") {
    const end = input.indexOf("`", from + 1);
    if (end < 0) throw new ParseError(input, from, "unterminated raw string");
    return { value: input.slice(from + 1, end), to: end + 1 };
  }
  let value = "";
  for (let at = from + 1; at < input.length;) {
    const char = input[at]!;
    if (char === quote) return { value, to: at + 1 };
    if (char === "\n") break;
    if (char !== "\\") {
      value += char;
      at++;
      continue;
    }
    const rest = input.slice(at + 1);
    const coded = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))/.exec(rest);
    if (coded !== null) {
      const code = parseInt(coded[1] ?? coded[2] ?? coded[3] ?? coded[4]!, coded[4] === undefined ? 16 : 8);
      if (code > 0x10ffff) throw new ParseError(input, at, "escape is an invalid Unicode code point");
      value += String.fromCodePoint(code);
      at += 1 + coded[0].length;
      continue;
    }
    const simple = ESCAPES[rest[0] ?? ""];
    if (simple === undefined)
      throw new ParseError(input, at, `unknown escape sequence ${JSON.stringify(rest[0] ?? "")}`);
    value += simple;
    at += 2;
  }
  throw new ParseError(input, from, "unterminated quoted string");
}
