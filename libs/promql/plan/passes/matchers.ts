/**
 * Matchers in one order, each once: equal selectors look equal, to the pass that shares and to caches of stores. What
 * an equality of the same label implies is left out.
 */
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { createMatcher, type MatcherSpec, type MatchType } from "#libs/model/matcher.ts";
import type { Expr } from "../../parser/ast.ts";
import { mapChildren } from "../pass.ts";

export function tidyMatchers(expr: Expr): Expr {
  switch (expr.kind) {
    case "selector":
      return { ...expr, matchers: tidy(expr.matchers) };
    case "matrix":
      return { ...expr, selector: { ...expr.selector, matchers: tidy(expr.selector.matchers) } };
    case "call":
      return { ...expr, args: expr.args.map((arg, i) => (tellsMatchers(expr.func, arg, i) ? arg : tidyMatchers(arg))) };
    default:
      return mapChildren(expr, tidyMatchers);
  }
}

/**
 * Whether a function looks at the matchers as they are written: absent() tells labels by them, other labels when one
 * stands there twice; those of info's second argument choose labels.
 */
function tellsMatchers(func: string, arg: Expr, i: number): boolean {
  if (func === "absent" || func === "absent_over_time") return arg.kind === "selector" || arg.kind === "matrix";
  return func === "info" && i === 1;
}

function tidy(matchers: readonly MatcherSpec[]): MatcherSpec[] {
  const kept: MatcherSpec[] = [];
  for (const matcher of matchers.toSorted(compareMatchers)) {
    // "=" sorts before the others, so it is kept when they come.
    const equality = kept.find(({ name, type }) => name === matcher.name && type === "=");
    const isImplied =
      equality === undefined
        ? kept.some((other) => compareMatchers(other, matcher) === 0)
        : createMatcher(matcher).matches(equality.value);
    if (!isImplied) kept.push(matcher);
  }
  return kept;
}

const TYPES: readonly MatchType[] = ["=", "=~", "!=", "!~"];

function compareMatchers(a: MatcherSpec, b: MatcherSpec): number {
  const byType = TYPES.indexOf(a.type) - TYPES.indexOf(b.type);
  return compareUtf8(a.name, b.name) || byType || compareUtf8(a.value, b.value);
}

/** Whether an equality contradicts another matcher of its label: stores need not be asked then. */
export function selectsNothing(matchers: readonly MatcherSpec[]): boolean {
  const contradicts = (other: MatcherSpec, { name, value }: MatcherSpec): boolean =>
    other.name === name && !createMatcher(other).matches(value);
  return matchers.some(
    (equality) => equality.type === "=" && matchers.some((other) => other !== equality && contradicts(other, equality)),
  );
}
