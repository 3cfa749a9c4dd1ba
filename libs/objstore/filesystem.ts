/** A bucket in a folder, as Thanos's FILESYSTEM: an object is a file, a folder exists while it has objects. */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import {
  access,
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rmdir,
  stat,
  unlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join, normalize, sep, resolve } from "node:path";
import { BadRequestError, codeOf, NotFoundError, UnavailableError } from "#libs/kit/errors.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import type { Bucket, ObjectAttributes, ObjectContent } from "./bucket.ts";

/** Marks files being written: never objects. */
const TEMPORARY = ".cairn-tmp-";

export class FilesystemBucket implements Bucket {
  readonly name: string;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.name = resolve(root);
  }

  #path(name: string): string {
    const path = normalize(join(this.#root, name));
    if (!path.startsWith(normalize(this.#root + sep)) && path !== normalize(this.#root)) {
      throw new BadRequestError(`object name ${JSON.stringify(name)} leaves the bucket`);
    }
    return path;
  }

  async *iterate(prefix: string, options: { readonly recursive?: boolean } = {}): AsyncGenerator<string> {
    const entries = await this.#entries(prefix);
    for (const { name, isFolder } of entries) {
      if (!isFolder) yield prefix + name;
      else if (options.recursive === true) yield* this.iterate(`${prefix}${name}/`, options);
      else if (await this.#hasObjects(`${prefix}${name}/`)) yield `${prefix}${name}/`;
    }
  }

  async #entries(prefix: string): Promise<{ name: string; isFolder: boolean }[]> {
    const found = await this.#run(prefix, async () => readdir(this.#path(prefix), { withFileTypes: true })).catch(
      (error: unknown) => {
        if (error instanceof NotFoundError) return [];
        throw error;
      },
    );
    return found
      .filter((entry) => !entry.name.startsWith(TEMPORARY))
      .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
      .sort((a, b) => compareUtf8(a.isFolder ? `${a.name}/` : a.name, b.isFolder ? `${b.name}/` : b.name));
  }

  async #hasObjects(prefix: string): Promise<boolean> {
    for await (const _name of this.iterate(prefix, { recursive: true })) return true;
    return false;
  }

  async #run<T>(name: string, job: () => Promise<T>): Promise<T> {
    try {
      return await job();
    } catch (cause) {
      const code = codeOf(cause);
      if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") {
        throw new NotFoundError(`${this.name}: no object ${name}`, { cause });
      }
      if (code === undefined) throw cause;
      throw new UnavailableError(`${this.name}: ${name}: ${(cause as Error).message}`, { cause });
    }
  }

  get(name: string): Promise<Uint8Array> {
    return this.#run(name, () => readFile(this.#path(name)));
  }

  getRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#run(name, async () => {
      const file = await open(this.#path(name), "r");
      try {
        const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, (await file.stat()).size - offset)));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
        return bytes.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    });
  }

  async exists(name: string): Promise<boolean> {
    try {
      return (await stat(this.#path(name))).isFile();
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "")) return false;
      throw error;
    }
  }

  attributes(name: string): Promise<ObjectAttributes> {
    return this.#run(name, async () => {
      const found = await stat(this.#path(name));
      if (!found.isFile()) throw new NotFoundError(`${this.name}: no object ${name}`);
      return { sizeBytes: found.size, lastModifiedMs: found.mtimeMs };
    });
  }

  put(name: string, content: ObjectContent): Promise<void> {
    return this.#run(name, async () => {
      const path = this.#path(name);
      const temporary = await this.#write(path, content);
      await rename(temporary, path);
    });
  }

  async #write(path: string, content: ObjectContent): Promise<string> {
    await mkdir(dirname(path), { recursive: true });
    const temporary = join(dirname(path), `${TEMPORARY}${randomBytes(8).toString("hex")}`);
    try {
      if (content instanceof Uint8Array) await writeFile(temporary, content);
      else await copyFile(content.path, temporary, constants.COPYFILE_FICLONE);
      const file = await open(temporary, "r+");
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
      return temporary;
    } catch (error) {
      await unlink(temporary).catch((cleanup: unknown) => {
        if (codeOf(cleanup) !== "ENOENT") throw cleanup;
      });
      throw error;
    }
  }

  putIfAbsent(name: string, content: Uint8Array): Promise<boolean> {
    return this.#run(name, async () => {
      const path = this.#path(name);
      const temporary = await this.#write(path, content);
      try {
        // A hard link fails when the name exists: one winner.
        await link(temporary, path);
        return true;
      } catch (error) {
        if (codeOf(error) === "EEXIST") return false;
        throw error;
      } finally {
        await unlink(temporary);
      }
    });
  }

  delete(name: string): Promise<void> {
    return this.#run(name, async () => {
      const path = this.#path(name);
      await access(path);
      await unlink(path);
      // A folder without objects is none.
      for (let folder = dirname(path); folder.length > this.#root.length; folder = dirname(folder)) {
        try {
          await rmdir(folder);
        } catch (error) {
          if (["ENOTEMPTY", "EEXIST", "ENOENT"].includes(codeOf(error) ?? "")) return;
          throw error;
        }
      }
    });
  }
}
