/**
 * Merges blocks of the local disk: on this thread, or on one that lives as long as the merge does, so that writes and
 * queries do not wait for it.
 */
import { Worker } from "node:worker_threads";
import { errorFromWire, type WireError } from "#libs/kit/errors.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import type { BlockMeta } from "#libs/tsdb/block/meta.ts";
import { mergeBlocks } from "#libs/tsdb/compact/merge-blocks.ts";

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

/** What merge-worker.ts says at its end. */
export type MergeAnswer = { readonly outcome: MergeOutcome } | { readonly error: WireError };

export const mergeInThread: MergeFolders = (job, signal) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const worker = new Worker(new URL("./merge-worker.ts", import.meta.url), { name: "merge", workerData: job });
    // It removes what it has begun to write.
    const stop = (): void => worker.postMessage("stop");
    signal.addEventListener("abort", stop, { once: true });
    worker.once("message", (answer: MergeAnswer) => {
      if ("outcome" in answer) resolve(answer.outcome);
      else reject(errorFromWire(answer.error));
    });
    worker.once("error", reject);
    worker.once("exit", (code) => {
      signal.removeEventListener("abort", stop);
      reject(new Error(`the thread that merges blocks ended with ${code}`)); // unless it has answered
    });
  });
