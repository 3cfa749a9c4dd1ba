/** A map, not an object: names such as `constructor` are no functions. */
export function mapOf<T>(functions: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  return new Map(Object.entries(functions));
}
