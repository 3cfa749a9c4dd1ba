/** A thread that merges once: see merge-folders.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { errorToWire } from "#libs/kit/errors.ts";
import { type MergeAnswer, mergeHere, type MergeJob } from "./merge-folders.ts";

const port = parentPort!;
const stopping = new AbortController();
port.once("message", () => stopping.abort());

const answer = await mergeHere(workerData as MergeJob, stopping.signal).then(
  (outcome): MergeAnswer => ({ outcome }),
  (error: unknown): MergeAnswer => ({ error: errorToWire(error) }),
);
port.postMessage(answer);
port.close();
