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
