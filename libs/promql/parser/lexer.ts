/**
 * Tokens of PromQL, one at a time: what a character means depends on the brackets around it.
 *
 *   plain     names may hold colons, words may be keywords (in any case)
 *   { … }     names of labels only, matching operators, strings
 *   [ … ]     durations and their arithmetic, a colon separates range and step. Up to the first number nothing else is
 *             taken (`strictDuration`); behind it strings, braces and comments are, and refused by the parser
 *
 * A character that fits nowhere makes an "error" token; there is nothing to read behind it.
 */
import { quoteCharacter, quoteText } from "./go-string.ts";
import { scanDurationTail, scanNumber } from "./scan-number.ts";
import { characterAt, scanString } from "./scan-string.ts";
import { DURATION_WORDS, KEYWORD_MAX, KEYWORDS, type Token, type TokenType } from "./token.ts";

const IN_DURATION: ReadonlySet<string> = new Set(DURATION_WORDS);

const END = -1;
const TAB = 9;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const HASH = 35;
const DOT = 46;
const COLON = 58;
const UNDERSCORE = 95;

export class Lexer {
  readonly #input: string;
  #at = 0;
  #parens = 0;
  #inBraces = false;
  #inBrackets = false;
  #strictDuration = false;
  #colonSeen = false;
  /** Of any brackets so far: `a[5m] + b[:1m]` gets past the lexer, `b[:1m]` does not. */
  #numberSeen = false;

  constructor(input: string) {
    this.#input = input;
  }

  /** The next token; behind the end "eof" again, behind an "error" nothing of meaning. */
  next(): Token {
    const from = this.#skipBlanks();
    if (this.#inBraces) return this.#insideBraces(from);
    const code = this.#code(from);
    if (isDigit(code) || (code === DOT && isDigit(this.#code(from + 1)))) return this.#number(from);
    if (this.#strictDuration) return this.#insideBrackets(from, code);
    if (isLetter(code) || code === COLON) return this.#inBrackets ? this.#bracketWord(from, code) : this.#word(from);
    return this.#plain(from, code);
  }

  /** UTF-16 unit, -1 behind the end. */
  #code(at: number): number {
    return at < this.#input.length ? this.#input.charCodeAt(at) : END;
  }

  #token(type: TokenType, from: number, to: number): Token {
    this.#at = to;
    return { type, from, to };
  }

  #error(from: number, message: string): Token {
    return { type: "error", from, to: this.#input.length, message };
  }

  /** Skips blanks and, where they are allowed, comments. */
  #skipBlanks(): number {
    let at = this.#at;
    for (;;) {
      const code = this.#code(at);
      if (isBlank(code)) at++;
      else if (code === HASH && !this.#strictDuration) {
        while (at < this.#input.length && this.#code(at) !== NEWLINE && this.#code(at) !== RETURN) at++;
      } else return at;
    }
  }

  #plain(from: number, code: number): Token {
    const next = this.#code(from + 1);
    switch (code) {
      case END:
        if (this.#parens > 0) return this.#error(from, "unclosed left parenthesis");
        if (this.#inBrackets) return this.#error(from, "unclosed left bracket");
        return this.#token("eof", from, from);
      case 0x22: // "
      case 0x27: // '
      case 0x60: // `
        return this.#string(from);
      case 0x28:
        this.#parens++;
        return this.#token("(", from, from + 1);
      case 0x29:
        return this.#rightParen(from);
      case 0x7b:
        this.#inBraces = true;
        return this.#token("{", from, from + 1);
      case 0x5b:
        if (this.#inBrackets) return this.#error(from, "unexpected left bracket '['");
        this.#inBrackets = true;
        this.#strictDuration = true;
        this.#colonSeen = false;
        return this.#token("[", from, from + 1);
      case 0x5d:
        if (!this.#inBrackets) return this.#error(from, "unexpected right bracket ']'");
        this.#inBrackets = false;
        return this.#token("]", from, from + 1);
      case 0x2c:
        return this.#token(",", from, from + 1);
      case 0x40:
        return this.#token("@", from, from + 1);
      case 0x3d: // =
        if (next === 0x3d) return this.#token("==", from, from + 2);
        if (next === 0x7e) return this.#error(from, "unexpected character after '=': '~'");
        return this.#token("=", from, from + 1);
      case 0x21: // !
        if (next === 0x3d) return this.#token("!=", from, from + 2);
        return this.#error(from, `unexpected character after '!': ${this.#quoteAt(from + 1)}`);
      case 0x3c: // <
        if (next === 0x3d) return this.#token("<=", from, from + 2);
        return next === 0x2f ? this.#token("</", from, from + 2) : this.#token("<", from, from + 1);
      case 0x3e: // >
        if (next === 0x3d) return this.#token(">=", from, from + 2);
        return next === 0x2f ? this.#token(">/", from, from + 2) : this.#token(">", from, from + 1);
      default:
        return this.#arithmetic(from, code) ?? this.#error(from, `unexpected character: ${this.#quoteAt(from)}`);
    }
  }

  #arithmetic(from: number, code: number): Token | undefined {
    const operator = ARITHMETIC.get(code);
    return operator === undefined ? undefined : this.#token(operator, from, from + 1);
  }

  #rightParen(from: number): Token {
    if (--this.#parens < 0) return this.#error(from + 1, "unexpected right parenthesis ')'");
    return this.#token(")", from, from + 1);
  }

  /** Behind `[`, before the first number. */
  #insideBrackets(from: number, code: number): Token {
    switch (code) {
      case END:
        return this.#error(from, "unexpected end of input in duration expression");
      case 0x5d:
        this.#inBrackets = false;
        this.#strictDuration = false;
        return this.#token("]", from, from + 1);
      case COLON:
        if (!this.#numberSeen) return this.#error(from + 1, "unexpected colon before duration in duration expression");
        if (this.#colonSeen) return this.#error(from + 1, "unexpected repeated colon in duration expression");
        this.#colonSeen = true;
        return this.#token(":", from, from + 1);
      case 0x28:
        this.#parens++;
        return this.#token("(", from, from + 1);
      case 0x29:
        return this.#rightParen(from);
      case 0x2c:
        return this.#token(",", from, from + 1);
      default:
        return (
          this.#arithmetic(from, code) ??
          this.#durationWord(from) ??
          this.#error(from, `unexpected character in duration expression: ${this.#quoteAt(from)}`)
        );
    }
  }

  /** A letter or colon inside brackets, behind a number. */
  #bracketWord(from: number, code: number): Token {
    if (code !== COLON) {
      return (
        this.#durationWord(from) ?? this.#error(from, `unexpected character: ${this.#quoteAt(from)}, expected ':'`)
      );
    }
    if (this.#colonSeen) return this.#error(from, "unexpected colon ':'");
    this.#colonSeen = true;
    return this.#token(":", from, from + 1);
  }

  #durationWord(from: number): Token | undefined {
    let to = from;
    while (isLetter(this.#code(to))) to++;
    const word = this.#input.slice(from, to).toLowerCase();
    return IN_DURATION.has(word) ? this.#token(word as TokenType, from, to) : undefined;
  }

  #word(from: number): Token {
    let to = from;
    let colon = false;
    for (let code = this.#code(to); isAlphanumeric(code) || code === COLON; code = this.#code(++to)) {
      colon ||= code === COLON;
    }
    const text = this.#input.slice(from, to);
    const keyword = text.length > KEYWORD_MAX ? undefined : KEYWORDS.get(text.toLowerCase());
    if (keyword === undefined) return this.#token(colon ? "metric identifier" : "identifier", from, to);
    const isFill = keyword === "fill" || keyword === "fill_left" || keyword === "fill_right";
    return this.#token(isFill && !this.#opensParen(to) ? "identifier" : keyword, from, to);
  }

  #opensParen(from: number): boolean {
    let at = from;
    while (isBlank(this.#code(at))) at++;
    return this.#code(at) === 0x28;
  }

  #insideBraces(from: number): Token {
    const code = this.#code(from);
    const next = this.#code(from + 1);
    switch (code) {
      case END:
        return this.#error(from, "unexpected end of input inside braces");
      case 0x2c:
        return this.#token(",", from, from + 1);
      case 0x22:
      case 0x27:
      case 0x60: // `
        return this.#string(from);
      case 0x3d:
        return next === 0x7e ? this.#token("=~", from, from + 2) : this.#token("=", from, from + 1);
      case 0x21:
        if (next === 0x7e) return this.#token("!~", from, from + 2);
        if (next === 0x3d) return this.#token("!=", from, from + 2);
        return this.#error(from, `unexpected character after '!' inside braces: ${this.#quoteAt(from + 1)}`);
      case 0x7b:
        return this.#error(from, "unexpected left brace '{'");
      case 0x7d:
        this.#inBraces = false;
        return this.#token("}", from, from + 1);
      default: {
        if (!isLetter(code)) return this.#error(from, `unexpected character inside braces: ${this.#quoteAt(from)}`);
        let to = from + 1;
        while (isAlphanumeric(this.#code(to))) to++;
        return this.#token("identifier", from, to);
      }
    }
  }

  #string(from: number): Token {
    const end = scanString(this.#input, from);
    return typeof end === "number" ? this.#token("string", from, end) : this.#error(from, end);
  }

  #number(from: number): Token {
    if (this.#inBrackets) this.#numberSeen = true;
    this.#strictDuration = false;
    const end = scanNumber(this.#input, from);
    if (end >= 0) return this.#token("number", from, end);
    const durationEnd = scanDurationTail(this.#input, ~end);
    if (durationEnd >= 0) return this.#token("duration", from, durationEnd);
    return this.#error(from, `bad number or duration syntax: ${quoteText(this.#input.slice(from, ~durationEnd))}`);
  }

  #quoteAt(at: number): string {
    return quoteCharacter(characterAt(this.#input, at));
  }
}

const ARITHMETIC: ReadonlyMap<number, TokenType> = new Map<number, TokenType>([
  [0x2a, "*"],
  [0x2f, "/"],
  [0x25, "%"],
  [0x2b, "+"],
  [0x2d, "-"],
  [0x5e, "^"],
]);
function isBlank(code: number): boolean {
  return code === SPACE || code === TAB || code === NEWLINE || code === RETURN;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isLetter(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || code === UNDERSCORE;
}

function isAlphanumeric(code: number): boolean {
  return isLetter(code) || isDigit(code);
}
