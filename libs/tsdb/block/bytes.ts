/** Where the bytes of a block come from: its folder here, its objects in a bucket elsewhere. */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { codeOf, CorruptionError } from "#libs/kit/errors.ts";
import { readAt } from "../files.ts";
import { EXTRAS_FILE, type ReadExtras } from "./extras.ts";

export interface BlockBytes {
  /** Names the block in errors. */
  readonly name: string;
  readonly indexSize: () => Promise<number>;
  /** Shorter than asked only at the end of the file. What comes back may lie in `into`, or in memory of its own. */
  readonly index: (offset: number, length: number, into?: Uint8Array) => Promise<Uint8Array>;
  /** `segment` from 0; otherwise the same. */
  readonly chunks: (segment: number, offset: number, length: number, into?: Uint8Array) => Promise<Uint8Array>;
  /** The tombstones file; undefined where there is none. A place that keeps none has no such function. */
  readonly tombstones?: () => Promise<Uint8Array | undefined>;
  /** Of the file of exemplars and metadata; undefined where there is none. A place that keeps none has no such function. */
  readonly extras?: ReadExtras;
  readonly close: () => void;
}

/** The block in folder `path`. Files are opened once and read in place; close it. */
export function openBlockFolder(path: string): BlockBytes {
  const open: number[] = [];
  const fdOf = (file: string): number => {
    const fd = openSync(file, "r");
    open.push(fd);
    return fd;
  };
  const index = fdOf(join(path, "index"));
  let names: string[];
  try {
    names = readdirSync(join(path, "chunks"))
      .filter((name) => /^\d{6,}$/.test(name))
      .sort();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    names = []; // a block without series may have no chunks folder
  }
  const segments: (number | undefined)[] = [];
  let extras: number | undefined;
  return {
    name: path,
    indexSize: async () => fstatSync(index).size,
    index: async (offset, length, into) => readAt(index, offset, length, into),
    chunks: async (segment, offset, length, into) => {
      const name = names[segment];
      if (name === undefined) throw new CorruptionError(path, 0, `chunk segment ${segment + 1} is missing`);
      const fd = (segments[segment] ??= fdOf(join(path, "chunks", name)));
      return readAt(fd, offset, length, into);
    },
    tombstones: async () => unlessMissing(() => readFileSync(join(path, "tombstones"))),
    extras: async (offset, length) => {
      extras ??= unlessMissing(() => fdOf(join(path, EXTRAS_FILE)));
      return extras === undefined ? undefined : readAt(extras, offset, length);
    },
    close: () => {
      for (const fd of open.splice(0)) closeSync(fd);
    },
  };
}

function unlessMissing<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
