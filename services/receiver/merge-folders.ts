/**
 * Merges blocks of the local disk: on this thread, or on one that lives while there is something to merge, so that writes
 * and queries do not wait for it.
 */
import { type MessagePort, Worker } from "node:worker_threads";
import { RpcClient } from "#libs/kit/rpc.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import type { BlockMeta } from "#libs/tsdb/block/meta.ts";

export interface MergeJob {
  readonly sources: readonly { readonly path: string; readonly meta: BlockMeta }[];
  /** The merged block's folder to be, named by `ulid`. */
  readonly path: string;
  readonly ulid: string;
  /** Its history, when it is not that of a merge. */
  readonly compaction: BlockMeta["compaction"] | undefined;
}

export interface MergeOutcome {
  /** Undefined when nothing is left of the sources. */
  readonly path: string | undefined;
  /** What is wrong with files of exemplars and metadata, which the merged block goes without. */
  readonly damagedExtras: readonly string[];
}

/** @throws CorruptionError, as `mergeBlocks`. */
export type MergeFolders = (job: MergeJob, signal: AbortSignal) => Promise<MergeOutcome>;

export const mergeHere: MergeFolders = async ({ sources, ...target }, signal) => {
  // Loaded on demand: the receiver's thread leaves merges to another.
  const { mergeBlocks } = await import("#libs/tsdb/compact/merge-blocks.ts");
  const damagedExtras: string[] = [];
  const inputs = sources.map(({ path, meta }) => ({ meta, bytes: openBlockFolder(path) }));
  try {
    const onDamagedExtras = ({ message }: Error): void => void damagedExtras.push(message);
    const written = await mergeBlocks(inputs, { ...target, onDamagedExtras }, signal);
    return { path: written?.path, damagedExtras };
  } finally {
    for (const { bytes } of inputs) bytes.close();
  }
};

/** A thread without work ends after so long, and its memory with it: to start one costs as much as a small merge. */
const IDLE_MS = 10_000;

/** Merges on a thread of its own, which is started when there is something to merge. */
export function mergesInThread(): MergeFolders {
  let thread: MergeThread | undefined;
  return async (job, signal) => {
    if (thread === undefined || thread.hasEnded) thread = new MergeThread();
    return thread.merge(job, signal);
  };
}

class MergeThread {
  readonly #worker = new Worker(new URL("./merge-worker.ts", import.meta.url), { name: "merge" });
  readonly #rpc = new RpcClient(this.#worker as unknown as MessagePort, "thread merge");
  readonly #death: Promise<never>;
  #underWay = 0;
  #idle: NodeJS.Timeout | undefined;
  hasEnded = false;

  constructor() {
    this.#death = new Promise((_, reject) => {
      this.#worker.once("error", reject);
      this.#worker.once("exit", (code) => reject(new Error(`the thread that merges blocks ended with ${code}`)));
    });
    // It is met by the merges under way, if there are any.
    this.#death.catch(() => (this.hasEnded = true));
    this.#worker.unref();
  }

  async merge(job: MergeJob, signal: AbortSignal): Promise<MergeOutcome> {
    clearTimeout(this.#idle);
    this.#underWay++;
    try {
      return await Promise.race([this.#rpc.call<MergeOutcome>("merge", job, signal), this.#death]);
    } finally {
      if (--this.#underWay === 0) this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
    }
  }

  #end(): void {
    this.hasEnded = true;
    void this.#worker.terminate();
  }
}
