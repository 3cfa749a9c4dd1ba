/**
 * The fan-out: asks every store that can have the data, and merges the answers by label order.
 *
 * A store that fails fails the request, or becomes a warning that names it when partial response is on (D10).
 */
import { messageOf, UnavailableError } from "#libs/kit/errors.ts";
import { opening } from "#libs/kit/mapped.ts";
import { type Maybe, whenThere } from "#libs/kit/maybe.ts";
import { sortUtf8 } from "#libs/kit/utf8.ts";
import { type Labels, labelValue } from "#libs/model/labels.ts";
import { createMatcher, type MatcherSpec } from "#libs/model/matcher.ts";
import { mergeItems } from "./merge-items.ts";
import type { LabelAnswer, LabelRequest, SeriesRequest, Store, StoreInfo, StoreItem } from "./store.ts";
import { TIME_MAX, TIME_MIN } from "./store.ts";

/** A store with what it last said of itself. */
export interface KnownStore {
  readonly store: Store;
  /** Undefined while it could not be asked. */
  readonly info: StoreInfo | undefined;
  /** Asked whatever `info` says, which may be some seconds old: one that can have new data at any moment. */
  readonly always?: boolean | undefined;
}

/** Whether a store can have series that match: its time overlaps and not every label set contradicts a matcher. */
export function canHave(info: StoreInfo, mint: number, maxt: number, matchers: readonly MatcherSpec[]): boolean {
  if (info.mint > maxt || info.maxt < mint) return false;
  if (info.labelSets.length === 0) return true;
  const fits = (set: Labels): boolean =>
    matchers.every((matcher) => {
      const value = labelValue(set, matcher.name);
      return value === "" || createMatcher(matcher).matches(value);
    });
  return info.labelSets.some(fits);
}

export class ProxyStore implements Store {
  readonly name: string;
  readonly #componentType: string;
  readonly #stores: () => Maybe<readonly KnownStore[]>;

  /** `stores` is asked at every request, so that what comes and goes is seen at once. */
  constructor(name: string, componentType: string, stores: () => Maybe<readonly KnownStore[]>) {
    this.name = name;
    this.#componentType = componentType;
    this.#stores = stores;
  }

  async info(): Promise<StoreInfo> {
    const infos = (await this.#stores()).flatMap(({ info }) => (info === undefined ? [] : [info]));
    const sets = new Map(infos.flatMap((info) => info.labelSets).map((set) => [set.join("\u{ff}"), set]));
    return {
      componentType: this.#componentType,
      labelSets: [...sets.values()],
      mint: infos.reduce((min, info) => Math.min(min, info.mint), TIME_MAX),
      maxt: infos.reduce((max, info) => Math.max(max, info.maxt), TIME_MIN),
      supportsWithoutLabels: true,
      blocks: infos.flatMap(({ blocks }) => blocks ?? []),
    };
  }

  /** The stores to ask. One that cannot be asked about itself may have anything. */
  #candidates({ mint, maxt, matchers }: LabelRequest): Maybe<readonly KnownStore[]> {
    return whenThere(this.#stores(), (known) =>
      known.filter(({ info, always }) => info === undefined || always === true || canHave(info, mint, maxt, matchers)),
    );
  }

  series(request: SeriesRequest, signal: AbortSignal): AsyncIterableIterator<StoreItem> {
    const ask = (stores: readonly KnownStore[]): AsyncIterableIterator<StoreItem> => {
      const streams = dividedBlocks(request, stores).map(([store, own]) => guarded(store, own, signal));
      const merged = mergeItems(streams);
      return request.limit === 0 ? merged : limited(merged, request.limit);
    };
    const stores = this.#candidates(request);
    return stores instanceof Promise ? opening(async () => ask(await stores)) : ask(stores);
  }

  async labelNames(request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    return this.#join(request, (store, own) => store.labelNames(own, signal));
  }

  async labelValues(name: string, request: LabelRequest, signal: AbortSignal): Promise<LabelAnswer> {
    return this.#join(request, (store, own) => store.labelValues(name, own, signal));
  }

  async #join(
    request: LabelRequest,
    ask: (store: Store, own: LabelRequest) => Promise<LabelAnswer>,
  ): Promise<LabelAnswer> {
    const stores = await this.#candidates(request);
    const answers = await Promise.all(
      dividedBlocks(request, stores).map(async ([store, own]): Promise<LabelAnswer> => {
        try {
          return await ask(store, own);
        } catch (error) {
          if (!request.partialResponse || !mayBeMissed(error)) throw error;
          return { values: [], warnings: [`store ${store.name}: ${messageOf(error)}`] };
        }
      }),
    );
    return joinAnswers(answers, request.limit);
  }
}

/** The request of each store: a block that one of them holds locally is not read from the bucket besides. */
function dividedBlocks<T extends LabelRequest>(request: T, stores: readonly KnownStore[]): [Store, T][] {
  const held = stores.flatMap(({ info }) => info?.blocks ?? []);
  const { heldBlocks, withoutBlocks = [] } = request;
  if (held.length === 0) return stores.map(({ store }) => [store, request]);
  return stores.map(({ store, info }) => [
    store,
    info?.blocks === undefined
      ? { ...request, withoutBlocks: [...withoutBlocks, ...held] }
      : { ...request, heldBlocks: heldBlocks ?? info.blocks },
  ]);
}

/** Sorted union of answers. */
export function joinAnswers(answers: readonly LabelAnswer[], limit: number): LabelAnswer {
  const [first, ...others] = answers.map(({ values }) => values).filter((values) => values.length > 0);
  const values = others.length === 0 ? (first ?? []) : sortedUnion([first!, ...others]);
  return {
    values: limit > 0 ? values.slice(0, limit) : values,
    warnings: [...new Set(answers.flatMap((answer) => answer.warnings))],
  };
}

/** The texts of all lists, each of which has them once, in UTF-8 order, each once. */
export function sortedUnion(lists: readonly Iterable<string>[]): string[] {
  if (lists.length === 1) return sortUtf8([...lists[0]!]);
  const all = new Set<string>();
  for (const list of lists) for (const text of list) all.add(text);
  return sortUtf8([...all]);
}

/** A bad request is bad for every store, and cancelling is no store's fault. */
function mayBeMissed(error: unknown): boolean {
  return !(error instanceof Error) || !["BadRequestError", "AbortError", "LimitError"].includes(error.name);
}

/** A store's items; its failure becomes the last of them where partial response is on. */
function guarded(store: Store, request: SeriesRequest, signal: AbortSignal): AsyncIterableIterator<StoreItem> {
  const iterator = store.series(request, signal)[Symbol.asyncIterator]();
  let failed = false;
  const onFailure = (cause: unknown): IteratorResult<StoreItem> => {
    failed = true;
    signal.throwIfAborted();
    if (!mayBeMissed(cause)) throw cause;
    const text = `store ${store.name}: ${messageOf(cause)}`;
    if (!request.partialResponse) throw new UnavailableError(text, { cause });
    return { done: false, value: { kind: "warning", text } };
  };
  return {
    next: () => (failed ? Promise.resolve({ done: true, value: undefined }) : iterator.next().catch(onFailure)),
    async return() {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* limited(items: AsyncIterable<StoreItem>, limit: number): AsyncGenerator<StoreItem> {
  let left = limit;
  for await (const item of items) {
    yield item;
    if (item.kind === "frame") left -= item.frame.labelEnds.length;
    else if (item.kind === "view") left -= item.view.labels.count;
    if (left <= 0) return;
  }
}
