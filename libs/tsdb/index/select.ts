/**
 * Matchers to postings, the same for head and block, as Prometheus's `PostingsForMatchers` decides it.
 *
 * A matcher that accepts "" also selects the series without the label, so it is applied as a subtraction of the
 * values it refuses; the others are unions of the values they accept. Sets of literals are looked up, not scanned.
 */
import type { Matcher } from "#libs/model/matcher.ts";
import { intersect, NO_POSTINGS, type Postings, subtract, union } from "./postings.ts";

/** What an index offers. May be asynchronous, because a gateway reads postings from the bucket. */
export interface PostingsSource {
  all(): Postings | Promise<Postings>;
  /** Of one pair; empty when the pair does not exist. */
  of(name: string, value: string): Postings | Promise<Postings>;
  /** Of several values of one name, each read once. */
  ofValues(name: string, values: readonly string[]): readonly Postings[] | Promise<readonly Postings[]>;
  /** All values of a name, in any order. */
  values(name: string): readonly string[] | Promise<readonly string[]>;
}

export async function selectPostings(source: PostingsSource, matchers: readonly Matcher[]): Promise<Postings> {
  if (matchers.some(({ type, value }) => type === "!~" && value === ".*")) return NO_POSTINGS;
  const asked = matchers.filter(({ type, value }) => !(type === "=~" && value === ".*"));
  const including = asked.filter((matcher) => !matcher.matches(""));
  let selected: Postings | undefined;
  // Those that are looked up first: when they leave nothing, no values are scanned.
  for (const matcher of including.toSorted((a, b) => costOf(a) - costOf(b))) {
    const list = await acceptedBy(source, matcher);
    selected = selected === undefined ? list : intersect([selected, list]);
    if (selected.length === 0) return NO_POSTINGS;
  }
  selected ??= await source.all();
  for (const matcher of asked) {
    if (selected.length === 0) return NO_POSTINGS;
    if (matcher.matches("")) selected = subtract(selected, await refusedBy(source, matcher));
  }
  return selected;
}

/** Lists to look up; Infinity where all values are to be scanned. */
function costOf({ setMatches }: Matcher): number {
  return setMatches?.length ?? Infinity;
}

async function acceptedBy(source: PostingsSource, matcher: Matcher): Promise<Postings> {
  if (matcher.setMatches !== undefined) {
    if (matcher.setMatches.length === 1) return source.of(matcher.name, matcher.setMatches[0]!);
    return union(await source.ofValues(matcher.name, matcher.setMatches));
  }
  const values = (await source.values(matcher.name)).filter((value) => matcher.matches(value));
  return union(await source.ofValues(matcher.name, values));
}

/** Of a matcher that accepts series without the label: those it does not accept. */
async function refusedBy(source: PostingsSource, matcher: Matcher): Promise<Postings> {
  if (matcher.type === "!=") return source.of(matcher.name, matcher.value);
  const values = (await source.values(matcher.name)).filter((value) => value !== "" && !matcher.matches(value));
  return union(await source.ofValues(matcher.name, values));
}
