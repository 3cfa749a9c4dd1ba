/**
 * The bucket contract: a flat name space of objects, `/` by convention. Names never start with `/`.
 *
 * Errors by kind: a missing object is `NotFoundError`; what may pass is `UnavailableError`.
 */
import { readFileSync } from "node:fs";
import type { Env } from "#libs/kit/env.ts";
import { BadRequestError, messageOf } from "#libs/kit/errors.ts";
import { parseYaml } from "#libs/kit/yaml.ts";
import { FilesystemBucket } from "./filesystem.ts";
import { InstrumentedBucket } from "./instrumented.ts";
import { MemoryBucket } from "./memory.ts";
import { PrefixedBucket } from "./prefixed.ts";

export interface ObjectAttributes {
  readonly sizeBytes: number;
  readonly lastModifiedMs: number;
}

/** Bytes, or a file that is read while it is sent. */
export type ObjectContent = Uint8Array | { readonly path: string };

export interface Bucket {
  /** What to call it in errors and metrics. */
  readonly name: string;
  /**
   * Names below `prefix` (which ends in `/` or is empty), ascending: objects, and folders with a `/` at their end.
   * Recursive: objects only, at any depth.
   */
  iterate(prefix: string, options?: { readonly recursive?: boolean }): AsyncIterable<string>;
  /** The whole object. @throws NotFoundError */
  get(name: string): Promise<Uint8Array>;
  /** `length` bytes from `offset` on; shorter at the end of the object, empty past it. @throws NotFoundError */
  getRange(name: string, offset: number, length: number): Promise<Uint8Array>;
  exists(name: string): Promise<boolean>;
  /** @throws NotFoundError */
  attributes(name: string): Promise<ObjectAttributes>;
  /** Puts or replaces; readers see the old object or the new one. */
  put(name: string, content: ObjectContent): Promise<void>;
  /** Puts unless there is one: of several at once exactly one gets true. */
  putIfAbsent(name: string, content: Uint8Array): Promise<boolean>;
  /** @throws NotFoundError */
  delete(name: string): Promise<void>;
}

export interface BucketConfig {
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly prefix: string;
}

/** Parses Thanos's YAML. @throws BadRequestError saying what is wrong in it. */
export function parseBucketConfig(text: string): BucketConfig {
  let document: unknown;
  try {
    document = parseYaml(text);
  } catch (cause) {
    throw new BadRequestError(`--objstore.config: ${messageOf(cause)}`, { cause });
  }
  const { type, config, prefix } = (document ?? {}) as { type?: unknown; config?: unknown; prefix?: unknown };
  if (typeof type !== "string") throw new BadRequestError("--objstore.config: `type` is missing (FILESYSTEM, MEMORY)");
  return {
    type: type.toUpperCase(),
    config: (config ?? {}) as Record<string, unknown>,
    prefix: typeof prefix === "string" ? prefix.replace(/^\/+|\/+$/g, "") : "",
  };
}

/** The configuration of `--objstore.config` or `--objstore.config-file`; undefined when neither is set. */
export function readBucketConfig(inline: string, file: string): BucketConfig | undefined {
  if (inline !== "" && file !== "")
    throw new BadRequestError("--objstore.config and --objstore.config-file: give one of them");
  if (inline === "" && file === "") return undefined;
  if (inline !== "") return parseBucketConfig(inline);
  try {
    return parseBucketConfig(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new BadRequestError(`--objstore.config-file ${file}: ${messageOf(cause)}`, { cause });
  }
}

/** Opens a bucket with metrics around it. */
export function openBucket(config: BucketConfig, env: Env): Bucket {
  const bucket = new InstrumentedBucket(bare(config), env.metrics);
  return config.prefix === "" ? bucket : new PrefixedBucket(bucket, `${config.prefix}/`);
}

function bare(config: BucketConfig): Bucket {
  switch (config.type) {
    case "FILESYSTEM": {
      const directory = config.config["directory"];
      if (typeof directory !== "string" || directory === "") {
        throw new BadRequestError("--objstore.config: FILESYSTEM needs config.directory");
      }
      return new FilesystemBucket(directory);
    }
    case "MEMORY":
      return new MemoryBucket();
    default:
      throw new BadRequestError(`--objstore.config: type ${config.type} is not supported yet (FILESYSTEM, MEMORY)`);
  }
}
