/**
 * Tokens with one of look-ahead, and what happens when one does not fit: all faults of a query are collected.
 *
 * Recovery is that of the LALR parser behind Prometheus, since its messages are what users know. A token that does not
 * fit ends every construct up to the next one that has a word for the fault: those catch `UNWIND`, say it and go on as
 * if they were complete. Until the next token is taken (`#recovering` = 3), tokens that still do not fit are dropped in
 * silence; until three are taken, a fault counts as part of the last one only in so far as nothing is dropped for it.
 *
 * A message shows the token ahead, so when it is read matters: only where the decision needs it.
 */
import type { Span } from "./ast.ts";
import { Lexer } from "./lexer.ts";
import type { Fault } from "./parse-error.ts";
import { describeToken, type Token, type TokenType } from "./token.ts";

class Control extends Error {}
/** Thrown by `reject`: a token does not fit. */
export const UNWIND = new Control("unwind");
/** Thrown when there is no going on. */
export const ABORT = new Control("abort");

const RECOVERING = 3;
const CLOSING: ReadonlySet<TokenType> = new Set([")", "]", "}", "number", "duration"]);

/** Deepest nesting: recursion, here and wherever the tree is walked, must not exhaust the stack. */
export const DEPTH_MAX = 500;
export const TOO_DEEP = `nested deeper than ${DEPTH_MAX} levels`;

export class Tokens {
  readonly input: string;
  readonly faults: Fault[] = [];
  /** End of the last token taken. */
  end = 0;
  /** End of the last bracket or number, which may be ahead: where Prometheus lets a failed aggregation end. */
  closed = 0;
  /** How many were taken. */
  count = 0;
  #depth = 0;

  readonly #lexer: Lexer;
  #ahead: Token | undefined;
  #recovering = 0;

  constructor(input: string) {
    this.input = input;
    this.#lexer = new Lexer(input);
  }

  /** The next token, not taken yet. */
  get ahead(): Token {
    return (this.#ahead ??= this.#read());
  }

  #read(): Token {
    const token = this.#lexer.next();
    if (token.type === "error") this.fault(token.message!, token);
    else if (CLOSING.has(token.type)) this.closed = token.to;
    return token;
  }

  text(token: Token): string {
    return this.input.slice(token.from, token.to);
  }

  take(): Token {
    const token = this.ahead;
    this.#ahead = undefined;
    this.end = token.to;
    this.count++;
    if (this.#recovering > 0) this.#recovering--;
    return token;
  }

  /** Takes the next token if it is of this type. */
  accept(type: TokenType): boolean {
    if (this.ahead.type !== type) return false;
    this.take();
    return true;
  }

  /** The next token of this type; whatever else comes does not fit. */
  expect(type: TokenType): Token {
    while (this.ahead.type !== type) this.reject();
    return this.take();
  }

  fault(message: string, at: Span): void {
    this.faults.push({ message, from: at.from, to: at.to });
  }

  /** Says that the token ahead is not expected here; nothing when the lexer has said so already. */
  unexpected(context: string, expected: string): void {
    const { ahead } = this;
    if (ahead.type === "error") return;
    const where = context === "" ? "" : ` in ${context}`;
    const instead = expected === "" ? "" : `, expected ${expected}`;
    this.fault(`unexpected ${describeToken(ahead.type, this.text(ahead))}${where}${instead}`, ahead);
  }

  /** The token ahead does not fit. Returns when it was dropped, to look at the next one. @throws UNWIND */
  reject(): void {
    if (!this.drop()) throw UNWIND;
  }

  /** Drops the token ahead if a fault was just told; else recovery begins, and the caller has to tell one. */
  drop(): boolean {
    if (this.#recovering < RECOVERING) {
      this.#recovering = RECOVERING;
      return false;
    }
    if (this.ahead.type === "error" || this.ahead.type === "eof") throw ABORT;
    this.#ahead = undefined;
    return true;
  }

  /** What `parse` returns; undefined when a token in it did not fit, which has been said. */
  attempt<T>(context: string, expected: string, parse: () => T): T | undefined {
    const depth = this.#depth;
    try {
      return parse();
    } catch (error) {
      if (error !== UNWIND) throw error;
      this.#depth = depth;
      this.unexpected(context, expected);
      return undefined;
    }
  }

  /** One level of nesting deeper. */
  enter(): void {
    if (++this.#depth <= DEPTH_MAX) return;
    this.fault(TOO_DEEP, this.ahead);
    throw ABORT;
  }

  leave(): void {
    this.#depth--;
  }
}
