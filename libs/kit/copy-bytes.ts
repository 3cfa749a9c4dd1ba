const { copy } = Buffer.prototype;

/**
 * Copies `source[from, to)` to `target[at, …)`. Of 200 bytes it takes 50 ns, `set` of a `subarray` 78 and leaves an object
 * behind, a loop 200 (bench/codec.ts).
 */
export function copyBytes(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number): void {
  copy.call(source as Buffer, target, at, from, to); // it asks for any Uint8Array
}
