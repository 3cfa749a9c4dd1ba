/** A value, or the promise of one that is not at hand. */
export type Maybe<T> = T | Promise<T>;

/** What `then` makes of a value: at once where it is at hand, so that a small query waits for no turn of promises. */
export function whenThere<A, B>(value: Maybe<A>, then: (value: A) => Maybe<B>): Maybe<B> {
  return value instanceof Promise ? value.then(then) : then(value);
}
