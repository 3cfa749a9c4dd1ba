/**
 * The file system of a process that dies in a chosen call: `node:fs` with its changing calls named and counted, for all
 * modules of the process. A name is what the process was doing, where and what: `append: wal write`.
 *
 * SIGKILL leaves what the kernel has. A power failure also takes what was not synced: of each file any part of the tail,
 * lost or read as zeros; of each folder any of its latest creations, renames and removals. So a sync is only noted here,
 * and nothing waits for a disk.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { seeded } from "./write.ts";

export interface Death {
  /** How the call's name begins. */
  readonly point: string;
  /** Which of the calls with such a name, from 1. */
  readonly nth: number;
  /** How much of the call is done, from 0 to 1: a write is done in part, of other calls all or nothing. */
  readonly done: number;
  /** What the power failure takes, seeded; undefined for SIGKILL. */
  readonly power?: { readonly seed: number; readonly zeros: boolean } | undefined;
}

const doing = new AsyncLocalStorage<string>();

/** Names the calls that `body` makes, and what it awaits. */
export function during<T>(what: string, body: () => T): T {
  return doing.run(what, body);
}

/** A change of a folder that is not synced. Folders by inode: they may be renamed themselves. */
interface EntryChange {
  readonly folder: number;
  readonly name: string;
  /** Of a creation undefined; else where the entry was before: a name of the folder, or a file aside. */
  readonly from?: { readonly name: string } | { readonly aside: string } | undefined;
  /** What a rename replaced, aside. */
  readonly replaced?: string | undefined;
}

/**
 * From here on the process dies as `death` says. `places` name paths, relative to `folder`, the first that matches;
 * `lastWords` is called with the name of the call.
 */
export function dieIn(
  folder: string,
  places: readonly (readonly [pattern: RegExp, name: string])[],
  death: Death | undefined,
  lastWords: (point: string) => void,
): void {
  const real = { ...fs };
  const aside = `${folder}.aside`;
  const power = death?.power;
  let matching = 0;
  const paths = new Map<number, string>();
  /** By inode: bytes that are synced. Files not in it are synced whole. */
  const synced = new Map<number, number>();
  let changes: EntryChange[] = [];
  let asideCount = 0;
  real.rmSync(aside, { recursive: true, force: true }); // an earlier process's
  /** A URL is of a module. */
  const isOurs = (path: string | URL): path is string =>
    typeof path === "string" && (path === folder || path.startsWith(`${folder}/`));
  const inodeOf = (path: string): number => real.statSync(path).ino;

  function step(operation: string, path: string, perform: () => void, part?: (done: number) => void): void {
    const place = places.find(([pattern]) => pattern.test(relative(folder, path)))?.[1] ?? relative(folder, path);
    const point = `${doing.getStore() ?? "start"}: ${place} ${operation}`;
    if (death === undefined || !point.startsWith(death.point) || ++matching !== death.nth) return perform();
    if (death.done === 1) perform();
    else part?.(death.done);
    lastWords(point);
    if (power !== undefined) losePower(power.seed, power.zeros);
    process.kill(process.pid, "SIGKILL");
    for (;;); // the signal comes before this thread does anything else, but not always before this call returns
  }

  /** Remembers a change of the folder that `path` is in, to be taken back by a power failure. */
  function changed(path: string, change: Pick<EntryChange, "from" | "replaced"> = {}): void {
    if (power !== undefined) changes.push({ folder: inodeOf(dirname(path)), name: basename(path), ...change });
  }

  function putAside(path: string): string {
    const to = join(aside, String(asideCount++));
    real.mkdirSync(aside, { recursive: true });
    real.renameSync(path, to);
    return to;
  }

  function losePower(seed: number, zeros: boolean): void {
    const random = seeded(seed);
    const below = (n: number): number => Math.floor(random() * (n + 1));
    for (const root of [folder, aside]) {
      for (const path of walk(root)) {
        const { ino, size } = real.statSync(path);
        const durable = synced.get(ino) ?? size;
        if (durable >= size) continue;
        real.truncateSync(path, durable + below(size - durable));
        if (zeros) real.truncateSync(path, size);
      }
    }
    const kept = new Map<number, number>();
    for (const { folder: ino } of changes) kept.set(ino, (kept.get(ino) ?? 0) + 1);
    for (const [ino, count] of kept) kept.set(ino, below(count));
    const undone = changes.filter(({ folder: ino }) => {
      const left = kept.get(ino)!;
      kept.set(ino, left - 1);
      return left <= 0;
    });
    for (const { folder: ino, name, from, replaced } of undone.reverse()) {
      const parent = [...walk(folder), ...walk(aside)].find((path) => inodeOf(path) === ino);
      if (parent === undefined) continue; // its own creation was taken back
      const path = join(parent, name);
      if (from === undefined) real.rmSync(path, { recursive: true });
      else if ("aside" in from) real.renameSync(from.aside, path);
      else real.renameSync(path, join(parent, from.name));
      if (replaced !== undefined) real.renameSync(replaced, path);
    }
  }

  function walk(root: string): string[] {
    if (!real.existsSync(root)) return [];
    return [
      root,
      ...(real.readdirSync(root, { recursive: true, encoding: "utf8" }) as string[]).map((name) => join(root, name)),
    ];
  }

  function remove(path: string): void {
    const isFolder = real.statSync(path).isDirectory();
    if (isFolder) for (const name of real.readdirSync(path)) remove(join(path, name));
    step("remove", path, () => {
      if (power !== undefined) changed(path, { from: { aside: putAside(path) } });
      else if (isFolder) real.rmdirSync(path);
      else real.unlinkSync(path);
    });
  }

  const noteSync = (fd: number, bytes: number): void => {
    const stat = real.fstatSync(fd);
    if (stat.isFile()) synced.set(stat.ino, bytes);
    changes = changes.filter(({ folder: ino }) => ino !== stat.ino);
  };
  const sync = (fd: number): void => {
    const path = paths.get(fd);
    if (path !== undefined) step("sync", path, () => noteSync(fd, real.fstatSync(fd).size));
  };

  const patched = {
    openSync(path: string | URL, flags: string, mode?: number): number {
      let fd = -1;
      const open = (): void => void (fd = real.openSync(path, flags, mode));
      if (isOurs(path) && flags.startsWith("w")) {
        step("create", path, () => {
          const isNew = !real.existsSync(path);
          open();
          if (isNew) changed(path);
          synced.set(real.fstatSync(fd).ino, 0);
        });
      } else open();
      if (isOurs(path)) paths.set(fd, path);
      return fd;
    },
    closeSync(fd: number): void {
      paths.delete(fd);
      real.closeSync(fd);
    },
    writeSync(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number {
      const path = paths.get(fd);
      if (path === undefined) return real.writeSync(fd, bytes, offset, length, position);
      const write = (count: number): void => {
        const { ino, size } = real.fstatSync(fd);
        if (!synced.has(ino)) synced.set(ino, size);
        for (let at = 0; at < count;) at += real.writeSync(fd, bytes, offset + at, count - at, position + at);
      };
      step(
        "write",
        path,
        () => write(length),
        (done) => write(Math.floor(done * length)),
      );
      return length;
    },
    fsyncSync: sync,
    fdatasyncSync: sync,
    fdatasync(fd: number, done: (error: null) => void): void {
      const path = paths.get(fd)!;
      const bytes = real.fstatSync(fd).size;
      setImmediate(() => {
        // A writer that cut its segment meanwhile has synced and closed it.
        if (paths.get(fd) === path) step("sync", path, () => noteSync(fd, bytes));
        done(null);
      });
    },
    ftruncateSync(fd: number, length: number): void {
      step("truncate", paths.get(fd)!, () => real.ftruncateSync(fd, length));
    },
    truncateSync(path: string, length: number): void {
      step("truncate", path, () => real.truncateSync(path, length));
    },
    renameSync(from: string, to: string): void {
      step("rename", to, () => {
        const replaced = power !== undefined && real.existsSync(to) ? putAside(to) : undefined;
        real.renameSync(from, to);
        changed(to, { from: { name: basename(from) }, replaced });
      });
    },
    rmSync(path: string, options: { force?: boolean } = {}): void {
      if (options.force !== true || real.existsSync(path)) remove(path);
    },
    mkdirSync(path: string, options: { recursive?: boolean } = {}): string | undefined {
      if (real.existsSync(path) && options.recursive === true) return undefined;
      const first = options.recursive === true ? patched.mkdirSync(dirname(path), options) : undefined;
      step("create", path, () => {
        real.mkdirSync(path);
        changed(path);
      });
      return first ?? path;
    },
  };
  Object.assign(fs, patched);
  Object.assign(fs.promises, {
    async rm(path: string, options: { force?: boolean } = {}): Promise<void> {
      await new Promise((later) => setImmediate(later));
      patched.rmSync(path, options);
    },
  });
  syncBuiltinESMExports();
}
