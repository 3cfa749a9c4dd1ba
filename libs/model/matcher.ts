/**
 * Label matchers. Regular expressions are RE2, anchored at both ends, `.` matches newlines (Prometheus 3).
 *
 * The pattern is first taken apart: literals, sets, prefixes, suffixes and infixes need no engine, and the sets
 * lead straight to postings. What is left runs on re2js, which is linear; the native RegExp never sees a pattern.
 */
import { RE2JS } from "re2js";
import { BadRequestError, messageOf } from "#libs/kit/errors.ts";
import { isLegacyLabelName, quoteGo } from "./labels.ts";

export type MatchType = "=" | "!=" | "=~" | "!~";

/** A matcher as data: what travels between threads and hosts. */
export interface MatcherSpec {
  readonly type: MatchType;
  readonly name: string;
  readonly value: string;
}

export interface Matcher extends MatcherSpec {
  /** Whether a label with this value (`""` = absent) is selected. */
  readonly matches: (value: string) => boolean;
  /** Every value it can select, when there are few: `=`, and `=~` of a set of literals. Undefined otherwise. */
  readonly setMatches: readonly string[] | undefined;
}

/** @throws BadRequestError when the regular expression is not valid RE2. */
export function createMatcher(spec: MatcherSpec): Matcher {
  const { type, name, value } = spec;
  if (type === "=") return { type, name, value, matches: (v) => v === value, setMatches: [value] };
  if (type === "!=") return { type, name, value, matches: (v) => v !== value, setMatches: undefined };
  const { test, literals } = compiledOf(value);
  if (type === "=~") return { type, name, value, matches: test, setMatches: literals };
  return { type, name, value, matches: (v) => !test(v), setMatches: undefined };
}

/** Patterns of late, the last used last, with what they know of values: dashboards ask the same again and again. */
const recent = new Map<string, Compiled>();
const RECENT_MAX = 32;

function compiledOf(pattern: string): Compiled {
  const compiled = recent.get(pattern) ?? compileAnchored(pattern);
  recent.delete(pattern);
  recent.set(pattern, compiled);
  if (recent.size > RECENT_MAX) recent.delete(recent.keys().next().value!);
  return compiled;
}

/** As Prometheus prints it. */
export function formatMatcher(matcher: MatcherSpec): string {
  const name = isLegacyLabelName(matcher.name) ? matcher.name : quoteGo(matcher.name);
  return `${name}${matcher.type}${quoteGo(matcher.value)}`;
}

interface Compiled {
  readonly test: (value: string) => boolean;
  readonly literals: readonly string[] | undefined;
}

const META = /[\\.+*?()|[\]{}^$]/;
const isLiteral = (text: string): boolean => !META.test(text);

/** A fully anchored, dot-all RE2 pattern as a test of whole strings. @throws BadRequestError with Go's wording. */
export function compileAnchored(pattern: string): Compiled {
  const fast = fastPath(pattern);
  if (fast !== undefined) return fast;
  // As it stands, not wrapped: `a)(b` would become valid, and `\Qa` would not be.
  const re = compileRe2(pattern, pattern, RE2JS.DOTALL);
  const prefix = literalPrefix(pattern);
  // The values of a label repeat from query to query and from series to series.
  const seen = new Map<string, boolean>();
  const test = (value: string): boolean => {
    if (!value.startsWith(prefix)) return false;
    let result = seen.get(value);
    if (result === undefined) {
      result = re.testExact(value);
      if (seen.size >= SEEN_MAX) seen.clear();
      seen.set(value, result);
    }
    return result;
  };
  return { test, literals: undefined };
}

const SEEN_MAX = 10_000;

/** What all that matches begins with. */
function literalPrefix(pattern: string): string {
  if (pattern.includes("|")) return "";
  const [prefix] = /^[^\\.+*?()|[\]{}^$]*/.exec(pattern)!;
  const isOptional = /^[*?{]/.test(pattern.slice(prefix.length));
  return isOptional ? prefix.replace(/.$/su, "") : prefix;
}

/** Compiles RE2. `shown` is what the error names, `flags` are re2js's. */
export function compileRe2(source: string, shown: string, flags = 0): RE2JS {
  try {
    return RE2JS.compile(source, flags);
  } catch (cause) {
    // re2js writes its flags before the pattern.
    throw new BadRequestError(`${messageOf(cause).replace("`(?s)", "`")} in ${JSON.stringify(shown)}`, { cause });
  }
}

function fastPath(pattern: string): Compiled | undefined {
  if (isLiteral(pattern)) return { test: (v) => v === pattern, literals: [pattern] };
  const group = /^\((?:\?:)?([^()]*)\)$/.exec(pattern)?.[1] ?? pattern;
  const alternatives = group.split("|");
  if (alternatives.every(isLiteral)) {
    const set = new Set(alternatives);
    return { test: (v) => set.has(v), literals: [...set] };
  }
  const head = /^\.[*+]/.exec(pattern)?.[0] ?? "";
  const tail = pattern.length > head.length ? (/(?<!\\)\.[*+]$/.exec(pattern)?.[0] ?? "") : "";
  const middle = pattern.slice(head.length, pattern.length - tail.length);
  if (head === "" && tail === "") return undefined;
  if (!isLiteral(middle)) return undefined;
  const before = head === ".+" ? 1 : 0;
  const after = tail === ".+" ? 1 : 0;
  if (middle === "") {
    const least = before + after;
    // `.` is a code point: two UTF-16 units may be only one.
    return least < 2 ? { test: (v) => v.length >= least, literals: undefined } : undefined;
  }
  if (head === "") {
    return { test: (v) => v.startsWith(middle) && v.length >= middle.length + after, literals: undefined };
  }
  if (tail === "") {
    return { test: (v) => v.endsWith(middle) && v.length >= middle.length + before, literals: undefined };
  }
  return {
    test: (v) => {
      for (let at = v.indexOf(middle, before); at >= 0; at = v.indexOf(middle, at + 1)) {
        if (v.length - at - middle.length >= after) return true;
      }
      return false;
    },
    literals: undefined,
  };
}
