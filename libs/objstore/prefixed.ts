/** A bucket below a prefix of another. */
import type { Bucket, ObjectAttributes, ObjectContent } from "./bucket.ts";

export class PrefixedBucket implements Bucket {
  readonly name: string;
  readonly #bucket: Bucket;
  readonly #prefix: string;

  /** `prefix` ends in `/`. */
  constructor(bucket: Bucket, prefix: string) {
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.name = `${bucket.name}/${prefix}`;
  }

  async *iterate(prefix: string, options?: { readonly recursive?: boolean }): AsyncGenerator<string> {
    for await (const name of this.#bucket.iterate(this.#prefix + prefix, options))
      yield name.slice(this.#prefix.length);
  }

  get(name: string): Promise<Uint8Array> {
    return this.#bucket.get(this.#prefix + name);
  }

  getRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#bucket.getRange(this.#prefix + name, offset, length);
  }

  exists(name: string): Promise<boolean> {
    return this.#bucket.exists(this.#prefix + name);
  }

  attributes(name: string): Promise<ObjectAttributes> {
    return this.#bucket.attributes(this.#prefix + name);
  }

  put(name: string, content: ObjectContent): Promise<void> {
    return this.#bucket.put(this.#prefix + name, content);
  }

  putIfAbsent(name: string, content: Uint8Array): Promise<boolean> {
    return this.#bucket.putIfAbsent(this.#prefix + name, content);
  }

  delete(name: string): Promise<void> {
    return this.#bucket.delete(this.#prefix + name);
  }
}
