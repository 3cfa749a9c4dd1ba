/** A bucket in memory: for tests, and for the one-process start without a disk. */
import { readFileSync } from "node:fs";
import { NotFoundError } from "#libs/kit/errors.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import type { Bucket, ObjectAttributes, ObjectContent } from "./bucket.ts";

export class MemoryBucket implements Bucket {
  readonly name: string = "memory";
  readonly #objects = new Map<string, { readonly bytes: Uint8Array; readonly modifiedMs: number }>();

  async *iterate(prefix: string, options: { readonly recursive?: boolean } = {}): AsyncGenerator<string> {
    const names = new Set<string>();
    for (const name of this.#objects.keys()) {
      if (!name.startsWith(prefix)) continue;
      const slash = options.recursive === true ? -1 : name.indexOf("/", prefix.length);
      names.add(slash < 0 ? name : name.slice(0, slash + 1));
    }
    yield* [...names].sort(compareUtf8);
  }

  #object(name: string): { readonly bytes: Uint8Array; readonly modifiedMs: number } {
    const object = this.#objects.get(name);
    if (object === undefined) throw new NotFoundError(`${this.name}: no object ${name}`);
    return object;
  }

  async get(name: string): Promise<Uint8Array> {
    return this.#object(name).bytes.slice();
  }

  async getRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#object(name).bytes.slice(offset, offset + length);
  }

  async exists(name: string): Promise<boolean> {
    return this.#objects.has(name);
  }

  async attributes(name: string): Promise<ObjectAttributes> {
    const { bytes, modifiedMs } = this.#object(name);
    return { sizeBytes: bytes.length, lastModifiedMs: modifiedMs };
  }

  async put(name: string, content: ObjectContent): Promise<void> {
    const bytes = content instanceof Uint8Array ? content.slice() : new Uint8Array(readFileSync(content.path));
    this.#objects.set(name, { bytes, modifiedMs: performance.timeOrigin + performance.now() });
  }

  async putIfAbsent(name: string, content: Uint8Array): Promise<boolean> {
    if (this.#objects.has(name)) return false;
    await this.put(name, content);
    return true;
  }

  async delete(name: string): Promise<void> {
    this.#object(name);
    this.#objects.delete(name);
  }
}
