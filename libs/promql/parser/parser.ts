/** Entry points: a query to its tree, a selector to its matchers. */
import type { MatcherSpec } from "#libs/model/matcher.ts";
import type { Expr } from "./ast.ts";
import { checkTypes } from "./check.ts";
import { ALL_OFF, type ParserOptions } from "./options.ts";
import { ParseError } from "./parse-error.ts";
import { ExpressionParser } from "./parse-expression.ts";
import { parseVectorSelector } from "./parse-labels.ts";
import { METRIC_TYPES } from "./token.ts";
import { ABORT, DEPTH_MAX, Tokens, UNWIND } from "./tokens.ts";
import { assertDepth } from "./walk.ts";

/** @throws ParseError (400 `bad_data`) with all that is wrong. */
export function parseQuery(query: string, options: ParserOptions = ALL_OFF): Expr {
  const tokens = new Tokens(query);
  const expr = parseAll(tokens, () => {
    if (tokens.ahead.type === "eof") {
      tokens.fault("no expression found in input", { from: 0, to: 0 });
      return undefined;
    }
    return new ExpressionParser(tokens, options).expression(0);
  });
  if (expr === undefined || tokens.faults.length > 0) throw new ParseError(query, tokens.faults);
  checkTypes(query, expr);
  if (tokens.count > DEPTH_MAX) assertDepth(query, expr);
  return expr;
}

/** Matchers of a series selector such as `match[]` holds. Nothing is checked but the syntax. */
export function parseSelector(text: string): readonly MatcherSpec[] {
  const tokens = new Tokens(text);
  const selector = parseAll(tokens, () => {
    while (!METRIC_TYPES.has(tokens.ahead.type) && tokens.ahead.type !== "{") tokens.reject();
    return parseVectorSelector(tokens, tokens.ahead.type === "{" ? undefined : tokens.take());
  });
  if (selector === undefined || tokens.faults.length > 0) throw new ParseError(text, tokens.faults);
  return selector.matchers;
}

/** Runs `parse` up to the end of the text. @returns undefined when there are faults. */
function parseAll<T>(tokens: Tokens, parse: () => T): T | undefined {
  let result: T | undefined;
  try {
    try {
      result = parse();
    } catch (error) {
      if (error !== UNWIND) throw error;
      tokens.unexpected("", "");
    }
    while (tokens.ahead.type !== "eof" && tokens.ahead.type !== "error") {
      if (!tokens.drop()) tokens.unexpected("", "");
    }
  } catch (error) {
    if (error !== ABORT) throw error;
  }
  return result;
}
