/** The kinds of token, and how messages name them. A keyword, operator or bracket is its own kind. */
import { AGGREGATIONS } from "./ast.ts";
import { quoteText } from "./go-string.ts";

const OPERATOR_WORDS = ["and", "or", "unless", "atan2"] as const;
const MODIFIER_WORDS = [
  "offset",
  "smoothed",
  "anchored",
  "by",
  "without",
  "on",
  "ignoring",
  "group_left",
  "group_right",
  "fill",
  "fill_left",
  "fill_right",
  "bool",
] as const;
/** What durations are made of, besides numbers. */
export const DURATION_WORDS = ["step", "range", "max_of", "min_of"] as const;
const KEYWORD_LIST = [
  ...AGGREGATIONS,
  ...OPERATOR_WORDS,
  ...MODIFIER_WORDS,
  ...DURATION_WORDS,
  "start",
  "end",
] as const;

const SIGNS = ["+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "</", ">/", "=~", "!~", "@"] as const;
type Punctuation = "(" | ")" | "{" | "}" | "[" | "]" | "," | "=" | ":";

export type TokenType =
  | (typeof KEYWORD_LIST)[number]
  | (typeof SIGNS)[number]
  | Punctuation
  /** A metric identifier is one with a colon. */
  | ("identifier" | "metric identifier" | "number" | "duration" | "string")
  /** The end of the text, and a place where it cannot be read on. */
  | ("eof" | "error");

export interface Token {
  readonly type: TokenType;
  readonly from: number;
  readonly to: number;
  /** Of an "error": what is wrong. */
  readonly message?: string;
}

/** Words in lower case to their kind. */
export const KEYWORDS: ReadonlyMap<string, TokenType> = new Map<string, TokenType>([
  ...KEYWORD_LIST.map((word) => [word, word] as const),
  ["inf", "number"],
  ["nan", "number"],
]);

/** Length of the longest keyword. */
export const KEYWORD_MAX = Math.max(...Array.from(KEYWORDS.keys(), (word) => word.length));

/** Whatever can be a label in a list of labels. */
export const LABEL_TYPES: ReadonlySet<TokenType> = new Set<TokenType>([
  "identifier",
  "metric identifier",
  ...KEYWORD_LIST.filter((word) => word !== "without"),
]);

const NO_METRIC: readonly string[] = ["bool", "on", "ignoring", "group_left", "group_right", "atan2"];
/** Whatever can be a metric name in front of braces or alone. */
export const METRIC_TYPES: ReadonlySet<TokenType> = new Set<TokenType>([
  "identifier",
  "metric identifier",
  ...KEYWORD_LIST.filter((word) => !NO_METRIC.includes(word)),
]);

const OPERATORS: ReadonlySet<string> = new Set([...SIGNS, ...OPERATOR_WORDS]);
const MODIFIERS: ReadonlySet<string> = new Set(MODIFIER_WORDS);
const AGGREGATION_TYPES: ReadonlySet<string> = new Set(AGGREGATIONS);
const LITERALS: ReadonlySet<string> = new Set(["number", "duration", "string"]);
const SHOWN_MAX = 10;

/** A token as "unexpected …" names it. */
export function describeToken(type: TokenType, text: string): string {
  if (type === "eof") return "end of input";
  if (OPERATORS.has(type)) return `<op:${text}>`;
  if (AGGREGATION_TYPES.has(type)) return `<aggr:${text}>`;
  if (MODIFIERS.has(type)) return `<${text}>`;
  if (type === "identifier" || type === "metric identifier") return `${type} ${quoteText(text)}`;
  const long = Buffer.byteLength(text) > SHOWN_MAX;
  const shown = long ? `${quoteText(Array.from(text).slice(0, SHOWN_MAX).join(""))}...` : quoteText(text);
  return LITERALS.has(type) ? `${type} ${shown}` : shown;
}
