/** What is wrong with a query, and where. */
import { BadRequestError } from "#libs/kit/errors.ts";
import type { Span } from "./ast.ts";

/** One thing that is wrong. */
export interface Fault extends Span {
  readonly message: string;
}

/** A fault for users: positions are bytes of the UTF-8 text, `end` exclusive. */
export interface ParseIssue {
  readonly message: string;
  readonly start: number;
  readonly end: number;
}

/** 400 `bad_data`. The message is that of the first fault: `1:5: parse error: …`, the column in bytes from 1. */
export class ParseError extends BadRequestError {
  readonly #query: string;
  readonly #faults: readonly Fault[];

  /** @param faults in the order they were found; at least one. */
  constructor(query: string, faults: readonly Fault[]) {
    const first = faults[0]!;
    super(`${position(query, first.from)}: parse error: ${first.message}`);
    this.#query = query;
    this.#faults = faults;
  }

  /** All that is wrong. Counted when asked for: there may be as many as the query has tokens. */
  get issues(): ParseIssue[] {
    return this.#faults.map(({ message, from, to }) => ({
      message,
      start: utf8Offset(this.#query, from),
      end: utf8Offset(this.#query, to),
    }));
  }
}

/** `line:column`, both from 1, the column in bytes. */
function position(query: string, at: number): string {
  if (query === "") return "unknown position";
  const before = query.slice(0, at).split("\n");
  return `${before.length}:${Buffer.byteLength(before.at(-1)!) + 1}`;
}

/** The offset in UTF-8 of a UTF-16 offset into `text`. */
export function utf8Offset(text: string, at: number): number {
  return Buffer.byteLength(text.slice(0, at));
}
