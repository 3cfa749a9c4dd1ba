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
  const included: Postings[] = [];
  const excluded: Postings[] = [];
  for (const matcher of matchers) {
    const { name, type, value } = matcher;
    if (type === "=~" && value === ".*") continue;
    if (type === "!~" && value === ".*") return NO_POSTINGS;
    if (!matcher.matches("")) {
      const list = await acceptedBy(source, matcher);
      if (list.length === 0) return NO_POSTINGS;
      included.push(list);
    } else if (type === "=" || type === "=~") {
      const refused = (await source.values(name)).filter((v) => v !== "" && !matcher.matches(v));
      excluded.push(union(await source.ofValues(name, refused)));
    } else {
      // != and !~ : what they refuse is what their opposite accepts.
      excluded.push(await refusedBy(source, matcher));
    }
  }
  const base = included.length > 0 ? intersect(included) : await source.all();
  return excluded.reduce(subtract, base);
}

async function acceptedBy(source: PostingsSource, matcher: Matcher): Promise<Postings> {
  if (matcher.setMatches !== undefined) {
    if (matcher.setMatches.length === 1) return source.of(matcher.name, matcher.setMatches[0]!);
    return union(await source.ofValues(matcher.name, matcher.setMatches));
  }
  const values = (await source.values(matcher.name)).filter((value) => matcher.matches(value));
  return union(await source.ofValues(matcher.name, values));
}

async function refusedBy(source: PostingsSource, matcher: Matcher): Promise<Postings> {
  if (matcher.type === "!=") return source.of(matcher.name, matcher.value);
  const values = (await source.values(matcher.name)).filter((value) => !matcher.matches(value));
  return union(await source.ofValues(matcher.name, values));
}
