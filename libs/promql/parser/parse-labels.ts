/** Selectors, and lists of labels: `name{a="b", "c.d"=~"e"}`, and `(job, "a.b")` behind `by`, `on`, … */
import { RE2JS } from "re2js";
import { messageOf } from "#libs/kit/errors.ts";
import { METRIC_NAME } from "#libs/model/labels.ts";
import type { MatcherSpec, MatchType } from "#libs/model/matcher.ts";
import type { Draft, VectorSelector } from "./ast.ts";
import { quoteText, unquoteLiteral } from "./go-string.ts";
import { LABEL_TYPES, type Token, type TokenType } from "./token.ts";
import type { Tokens } from "./tokens.ts";

const IN_GROUPING = "grouping opts";
const IN_MATCHING = "label matching";

/**
 * `(a, "b.c")`. Keywords are labels here, except `without`.
 *
 * @param mayMiss which tokens stand behind a list that may be left out.
 */
export function parseGrouping(tokens: Tokens, mayMiss?: (next: TokenType) => boolean): string[] {
  while (!tokens.accept("(")) {
    if (mayMiss?.(tokens.ahead.type) === true) return [];
    if (tokens.drop()) continue;
    tokens.unexpected(IN_GROUPING, '"("');
    return [];
  }
  const labels: string[] = [];
  list(tokens, ")", IN_GROUPING, ["label", '"," or ")"'], (token) => {
    if (token.type !== "string" && !LABEL_TYPES.has(token.type)) return false;
    tokens.take();
    const label = token.type === "string" ? unquoteLiteral(tokens.text(token)) : tokens.text(token);
    if (label === "" || !label.isWellFormed()) {
      tokens.fault(`invalid label name for grouping: ${quoteText(label)}`, token);
    }
    labels.push(label);
    return true;
  });
  return labels;
}

/** `name{a="b"}`, `name`, `{a="b"}`. @param name was taken; without one the brace is ahead. */
export function parseVectorSelector(tokens: Tokens, name: Token | undefined): Draft<VectorSelector> {
  const { from } = name ?? tokens.ahead;
  const matchers = tokens.ahead.type === "{" ? parseMatchers(tokens) : [];
  const metric = name === undefined ? "" : tokens.text(name);
  if (metric !== "") matchers.push({ type: "=", name: METRIC_NAME, value: metric });
  return {
    kind: "selector",
    span: { from, to: tokens.end },
    name: metric,
    matchers,
    offsetMs: 0,
    offsetExpr: undefined,
    at: undefined,
    borders: "extrapolated",
  };
}

function parseMatchers(tokens: Tokens): MatcherSpec[] {
  tokens.take();
  const matchers: MatcherSpec[] = [];
  list(tokens, "}", IN_MATCHING, ['identifier or "}"', '"," or "}"'], (token) => {
    if (token.type !== "identifier" && token.type !== "string") return false;
    tokens.take();
    const matcher = parseMatcher(tokens, token);
    if (matcher !== undefined) matchers.push(matcher);
    return true;
  });
  return matchers;
}

/**
 * What stands behind the opening bracket, up to and with `close`: items, commas between them, one more at the end.
 *
 * @param item takes an item, or returns false when the token starts none.
 */
function list(
  tokens: Tokens,
  close: TokenType,
  context: string,
  expected: readonly [item: string, separator: string],
  item: (token: Token) => boolean,
): void {
  let wantsItem = true;
  while (!tokens.accept(close)) {
    if (wantsItem ? item(tokens.ahead) : tokens.accept(",")) wantsItem = !wantsItem;
    else if (!tokens.drop()) {
      tokens.unexpected(context, expected[wantsItem ? 0 : 1]);
      wantsItem = false;
    }
  }
}

function parseMatcher(tokens: Tokens, label: Token): MatcherSpec | undefined {
  const name = label.type === "string" ? unquoteLiteral(tokens.text(label)) : tokens.text(label);
  while (!isMatchType(tokens.ahead.type)) {
    if (label.type === "string") return { type: "=", name: METRIC_NAME, value: name };
    if (tokens.drop()) continue;
    tokens.unexpected(IN_MATCHING, "label matching operator");
    return undefined;
  }
  const type = tokens.take().type as MatchType;
  while (tokens.ahead.type !== "string") {
    if (tokens.drop()) continue;
    tokens.unexpected(IN_MATCHING, "string");
    return undefined;
  }
  const token = tokens.take();
  const value = unquoteLiteral(tokens.text(token));
  const problem = type === "=~" || type === "!~" ? regexProblem(value) : undefined;
  if (problem !== undefined) tokens.fault(problem, { from: label.from, to: token.to });
  return { type, name, value };
}

function isMatchType(type: TokenType): boolean {
  return type === "=" || type === "!=" || type === "=~" || type === "!~";
}

/** Patterns that need no parser to be seen as valid: most are. */
const PLAIN_PATTERN = /^(?:[\w :/|-]|\.[*+]?)*$/;

/** What Go says about a pattern that is no RE2. */
function regexProblem(pattern: string): string | undefined {
  if (PLAIN_PATTERN.test(pattern)) return undefined;
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    const message = messageOf(error);
    if (message.endsWith("`")) return message;
    return `${message}: \`${message.includes("trailing backslash") ? "" : pattern}\``;
  }
}
