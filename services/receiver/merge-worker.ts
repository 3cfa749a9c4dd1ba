/** A thread that merges blocks: see merge-folders.ts. */
import { parentPort } from "node:worker_threads";
import { serveRpc } from "#libs/kit/rpc.ts";
import { mergeHere } from "./merge-folders.ts";

serveRpc(parentPort!, { merge: mergeHere });
