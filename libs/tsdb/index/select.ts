/**
 * Matchers to postings, the same for head and block, as Prometheus's `PostingsForMatchers` decides it.
 *
 * A matcher that accepts "" also selects the series without the label, so it is applied as a subtraction of the
 * values it refuses; the others are unions of the values they accept. Sets of literals are looked up, not scanned.
 */
import { type Maybe, whenThere } from "#libs/kit/maybe.ts";
import type { Matcher } from "#libs/model/matcher.ts";
import { intersect, NO_POSTINGS, type Postings, subtract, union } from "./postings.ts";

/** What an index offers. May be asynchronous, because a gateway reads postings from the bucket. */
export interface PostingsSource {
  all(): Maybe<Postings>;
  /** Of one pair; empty when the pair does not exist. */
  of(name: string, value: string): Maybe<Postings>;
  /** Of several values of one name, each read once. */
  ofValues(name: string, values: readonly string[]): Maybe<readonly Postings[]>;
  /** All values of a name, in any order. */
  values(name: string): Maybe<readonly string[]>;
}

export async function selectPostings(source: PostingsSource, matchers: readonly Matcher[]): Promise<Postings> {
  if (matchers.some(({ type, value }) => type === "!~" && value === ".*")) return NO_POSTINGS;
  const asked = matchers.filter(({ type, value }) => !(type === "=~" && value === ".*"));
  const including = asked.filter((matcher) => !matcher.matches(""));
  let selected: Postings | undefined;
  // Those that are looked up first: when they leave nothing, no values are scanned.
  const areAlike = including.every((matcher) => costOf(matcher) === 1);
  for (const matcher of areAlike ? including : including.toSorted((a, b) => costOf(a) - costOf(b))) {
    const found = acceptedBy(source, matcher);
    const list = found instanceof Promise ? await found : found;
    selected = selected === undefined ? list : intersect(selected, list);
    if (selected.length === 0) return NO_POSTINGS;
  }
  selected ??= await source.all();
  for (const matcher of asked) {
    if (selected.length === 0) return NO_POSTINGS;
    if (!matcher.matches("")) continue;
    const found = refusedBy(source, matcher);
    selected = subtract(selected, found instanceof Promise ? await found : found);
  }
  return selected;
}

/** Lists to look up; Infinity where all values are to be scanned. */
function costOf({ setMatches }: Matcher): number {
  return setMatches?.length ?? Infinity;
}

function acceptedBy(source: PostingsSource, { name, setMatches, matches }: Matcher): Maybe<Postings> {
  if (setMatches === undefined) return unionOf(source, name, matches);
  if (setMatches.length === 1) return source.of(name, setMatches[0]!);
  return whenThere(source.ofValues(name, setMatches), union);
}

/** Of a matcher that accepts series without the label: those it does not accept. */
function refusedBy(source: PostingsSource, { type, name, value, matches }: Matcher): Maybe<Postings> {
  if (type === "!=") return source.of(name, value);
  return unionOf(source, name, (text) => text !== "" && !matches(text));
}

/** Of the values of a label that are wanted. */
function unionOf(source: PostingsSource, name: string, isWanted: (value: string) => boolean): Maybe<Postings> {
  const lists = whenThere(source.values(name), (values) =>
    source.ofValues(
      name,
      values.filter((value) => isWanted(value)),
    ),
  );
  return whenThere(lists, union);
}
