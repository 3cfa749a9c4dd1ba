/**
 * A store over one head or block: external labels are matched here and added, the rest goes to the source.
 */
import { mapped } from "#libs/kit/mapped.ts";
import type { Labels } from "#libs/model/labels.ts";
import { labelValue } from "#libs/model/labels.ts";
import { createMatcher, type Matcher, type MatcherSpec } from "#libs/model/matcher.ts";
import type { SeriesQuery } from "#libs/tsdb/select.ts";
import { FrameReader, type SeriesFrame } from "#libs/tsdb/series/frame.ts";
import type { SeriesView } from "#libs/tsdb/series/view.ts";
import { asItems, changeLabels } from "./frames.ts";
import type { LabelRequest, SeriesRequest, StoreItem } from "./store.ts";

/** What head and block have in common. */
export interface SeriesSource {
  frames(query: SeriesQuery, signal: AbortSignal): AsyncIterable<SeriesFrame>;
  /** The same for a reader on this thread. */
  views?(query: SeriesQuery, signal: AbortSignal): AsyncIterable<SeriesView>;
  /** Names of all labels, in any order. */
  labelNames(): readonly string[];
  /** Whether some series may have a label of that name. */
  hasLabel(name: string): boolean;
  /** Values of a label, each once, in any order. */
  values(name: string): readonly string[];
  /** Values of a label that matching series have, where that is known without reading series. */
  valuesOf?(name: string, matchers: readonly Matcher[]): Promise<readonly string[]>;
}

/** The matchers left for the series' own labels; undefined when the external labels contradict one. */
export function splitMatchers(specs: readonly MatcherSpec[], external: Labels): Matcher[] | undefined {
  const own: Matcher[] = [];
  for (const spec of specs) {
    const matcher = createMatcher(spec);
    const value = labelValue(external, spec.name);
    if (value === "") own.push(matcher);
    else if (!matcher.matches(value)) return undefined;
  }
  return own;
}

/** The source's matching series with external labels. */
export function sourceItems(
  source: SeriesSource,
  external: Labels,
  request: SeriesRequest,
  signal: AbortSignal,
): AsyncIterable<StoreItem> {
  const matchers = splitMatchers(request.matchers, external);
  if (matchers === undefined) return NOTHING;
  const { withoutLabels } = request;
  const externalNames = external.filter((_, i) => i % 2 === 0);
  const isOwn = (name: string): boolean => source.hasLabel(name);
  const mayReorder = withoutLabels.some(isOwn) || externalNames.some(isOwn);
  const query = {
    matchers,
    mint: request.mint,
    maxt: request.maxt,
    skipChunks: request.skipChunks,
    newestOnly: request.newestOnly,
    limit: mayReorder ? 0 : request.limit,
  };
  const areKept = !mayReorder && externalNames.every((name) => withoutLabels.includes(name));
  if (request.views === true && areKept && source.views !== undefined)
    return mapped(source.views(query, signal), (view) => ({ kind: "view", view }));
  return asItems(changeLabels(source.frames(query, signal), { external, without: new Set(withoutLabels), mayReorder }));
}

const NOTHING: AsyncIterable<never> = {
  [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }),
};

/** Names of the labels of matching series, external ones among them when there is any series. */
export async function sourceLabelNames(
  source: SeriesSource,
  external: Labels,
  request: LabelRequest,
  signal: AbortSignal,
): Promise<Set<string>> {
  const names = new Set<string>();
  const matchers = splitMatchers(request.matchers, external);
  if (matchers === undefined) return names;
  if (matchers.length === 0) for (const name of source.labelNames()) names.add(name);
  else
    await eachSeries(source, matchers, request, signal, (labels) =>
      labels.forEach((text, i) => i % 2 === 0 && names.add(text)),
    );
  if (names.size > 0) external.forEach((text, i) => i % 2 === 0 && names.add(text));
  for (const name of request.withoutLabels) names.delete(name);
  return names;
}

/** Values of one label of matching series, each once, in any order. */
export async function sourceLabelValues(
  source: SeriesSource,
  external: Labels,
  name: string,
  request: LabelRequest,
  signal: AbortSignal,
): Promise<Iterable<string>> {
  if (request.withoutLabels.includes(name)) return [];
  const matchers = splitMatchers(request.matchers, external);
  if (matchers === undefined) return [];
  const fixed = labelValue(external, name);
  if (fixed !== "") {
    const any = await eachSeries(source, matchers, { ...request, limit: 1 }, signal, () => undefined);
    return any ? [fixed] : [];
  }
  if (matchers.length === 0) return source.values(name);
  if (source.valuesOf !== undefined) return source.valuesOf(name, matchers);
  const values = new Set<string>();
  await eachSeries(source, matchers, request, signal, (labels) => {
    const value = labelValue(labels, name);
    if (value !== "") values.add(value);
  });
  return values;
}

async function eachSeries(
  source: SeriesSource,
  matchers: readonly Matcher[],
  request: LabelRequest,
  signal: AbortSignal,
  onSeries: (labels: Labels) => void,
): Promise<boolean> {
  const reader = new FrameReader();
  let any = false;
  // A limit counts names or values, not the series they come from.
  const query = { matchers, mint: request.mint, maxt: request.maxt, skipChunks: true, limit: 0 };
  for await (const frame of source.frames(query, signal)) {
    reader.enter(frame);
    while (reader.next()) {
      any = true;
      onSeries(reader.labels());
    }
  }
  return any;
}
