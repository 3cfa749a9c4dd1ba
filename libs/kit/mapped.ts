import type { Maybe } from "./maybe.ts";

/** The items changed one by one, by a function that does not throw: one promise an item, where a generator makes three. */
export function mapped<A, B>(items: AsyncIterable<A>, change: (item: A) => B): AsyncIterableIterator<B> {
  const iterator = items[Symbol.asyncIterator]();
  const step = (result: IteratorResult<A>): IteratorResult<B> =>
    result.done === true ? { done: true, value: undefined } : { done: false, value: change(result.value) };
  return {
    next: () => iterator.next().then(step),
    async return() {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/**
 * The items of a stream that is opened when the first is asked for. `close` runs once, when it has ended, failed or is
 * left; not when nothing was asked for. `begun` is called before that, with each item: the source was looked into. As a
 * generator that hands items on, which makes three promises for each and three for the end, but for this: items are
 * asked for one at a time.
 */
export function opening<T>(
  open: () => Maybe<AsyncIterable<T>>,
  close: () => void = () => undefined,
  begun: () => void = () => undefined,
): AsyncIterableIterator<T> {
  let iterator: AsyncIterator<T> | undefined;
  let asked: Promise<IteratorResult<T>> | undefined;
  let isClosed = false;
  const end = (): void => {
    if (!isClosed) close();
    isClosed = true;
  };
  const look = (result: IteratorResult<T>): IteratorResult<T> => {
    if (result.done === true) end();
    else begun();
    return result;
  };
  const fail = (error: unknown): never => {
    end();
    throw error;
  };
  const begin = (items: AsyncIterable<T>): Promise<IteratorResult<T>> => {
    iterator = items[Symbol.asyncIterator]();
    return iterator.next();
  };
  const first = (): Promise<IteratorResult<T>> => {
    try {
      const items = open();
      return items instanceof Promise ? items.then(begin) : begin(items);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  };
  return {
    next() {
      if (isClosed) return Promise.resolve({ done: true, value: undefined });
      return (asked = (iterator === undefined ? first() : iterator.next()).then(look, fail));
    },
    async return() {
      // What is under way is left when it is there.
      await asked?.catch(() => undefined);
      try {
        if (!isClosed) await iterator?.return?.();
      } finally {
        if (asked !== undefined) end();
        isClosed = true;
      }
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
