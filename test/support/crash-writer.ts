/**
 * The process that a crash test kills: a tenant's store with tiny blocks and segments. It appends, cuts, deletes, merges
 * and drops old blocks, all at once where the real one does, and ends with a snapshot, unless it dies before.
 *
 *   node crash-writer.ts '{"folder":…,"notes":…,"first":0,"count":150,"death":{"point":"append: wal","nth":3,…}}'
 */
import { openSync, writeSync } from "node:fs";
import { assert } from "#libs/kit/assert.ts";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { METRIC_NAME } from "#libs/model/labels.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import { OUTCOME } from "#libs/tsdb/head/head.ts";
import type { LocalBlock } from "../../services/receiver/local-blocks.ts";
import { type MergeFolders, mergeHere } from "../../services/receiver/merge-folders.ts";
import { TenantStore } from "../../services/receiver/tenant-store.ts";
import * as series from "./crash-series.ts";
import { dieIn, during } from "./dying-fs.ts";

const BLOCKS_KEPT = 4;

async function live({ folder, notes, first, count, death }: series.Life): Promise<void> {
  const fd = openSync(notes, "w");
  const note = (...what: series.Note): void => void writeSync(fd, `${JSON.stringify(what)}\n`);
  dieIn(folder, PLACES, death, (point) => note("died", point));
  const log = silentLog();
  const { env } = createEnv(log, Date.now, new AbortController().signal);
  const merge: MergeFolders = (job, signal) => {
    const sources = job.sources.map(({ meta }) => meta.ulid);
    note("merging", job.ulid, sources);
    return mergeHere(job, signal);
  };
  const store = await during("open", async () =>
    TenantStore.open("crash", folder, [], { ...series.STORE_OPTIONS, merge, log }, env),
  );
  const { head } = store;

  const request = async (i: number): Promise<void> => {
    note("sent", i);
    head.begin();
    for (const { labels, time, value, start } of series.samplesOf(i)) {
      const slot = head.getOrCreate(labels);
      const [low, high] = new Int32Array(Float64Array.of(typeof value === "number" ? value : 0).buffer);
      const outcome =
        typeof value === "number"
          ? head.append(slot, time, low!, high!, start)
          : head.appendHistogram(slot, time, value, start);
      assert(outcome === OUTCOME.STORED, `request ${i}, ${labels.join()} at ${time}: outcome ${outcome}`);
    }
    if (series.hasExemplar(i)) {
      const value = Float64Array.of(i);
      head.appendExemplar(head.getOrCreate(series.FLOAT_SERIES[0]!), {
        time: series.at(i),
        value,
        labels: ["trace_id", `${i}`],
      });
    }
    if (series.hasMetadata(i)) head.setMetadata("crash", { type: "gauge", unit: "", help: String(i) });
    head.commit();
    await head.durable();
    note("acknowledged", i);
  };

  let cutting: Promise<void> | undefined;
  const mergeBlocks = async (): Promise<void> => {
    const merged = ({ meta }: LocalBlock): void => {
      note("merged", meta.ulid, meta.compaction.parents?.map(({ ulid }) => ulid) ?? []);
    };
    await during("merge", async () => {
      while (await store.compact([series.RANGE_MS, 2 * series.RANGE_MS], undefined, merged));
    });
  };
  const dropOld = async (): Promise<void> => {
    const newest = store.newestInOrder?.meta.maxTime ?? 0;
    for (const block of store.blocks) {
      const { ulid, maxTime } = block.meta;
      if (maxTime > newest - BLOCKS_KEPT * series.RANGE_MS) continue;
      note("dropping", ulid, maxTime);
      await during("drop", async () => store.drop(block));
      note("dropped", ulid, maxTime);
    }
  };
  for (let i = first; i < first + count; i += 2) {
    // Two at a time share a sync.
    await during("append", async () => Promise.all([request(i), request(i + 1)]));
    if (cutting === undefined && head.isCuttable) {
      cutting = during("cut", async () => store.cut(async ({ meta }) => note("cut", meta.ulid)))
        .then(mergeBlocks)
        .finally(() => (cutting = undefined));
    }
    for (const deletion of [...series.deletionsAfter(i), ...series.deletionsAfter(i + 1)]) {
      const { labels, mint, maxt } = deletion;
      const selector = selectorOf(labels);
      note("deleting", deletion);
      await during("delete", async () => store.deleteSeries([selector], mint, maxt));
      note("deleted", deletion);
    }
    if (cutting === undefined) await dropOld();
  }
  await cutting;
  await during("close", async () => store.close());
  note("ended");
}

function selectorOf(labels: readonly string[]): MatcherSpec[] {
  assert(labels[0] === METRIC_NAME, "labels begin with the name");
  const selector: MatcherSpec[] = [];
  for (let i = 0; i < labels.length; i += 2) selector.push({ type: "=", name: labels[i]!, value: labels[i + 1]! });
  return selector;
}

const PLACES = [
  [/^wal\/checkpoint/, "checkpoint"],
  [/^wal\/\d/, "wal"],
  [/^wbl\/\d/, "wbl"],
  [/^chunks_head\/\d/, "chunks_head"],
  [/^chunk_snapshot/, "snapshot"],
  [/^[^/]+\.tmp-for-deletion/, "block to delete"],
  [/^[^/]{26}[^/]*\/chunks/, "block chunks"],
  [/^[^/]{26}[^/]*\/index/, "block index"],
  [/^[^/]{26}[^/]*\/tombstones/, "block tombstones"],
  [/^[^/]{26}[^/]*\/meta/, "block meta"],
  [/^[^/]{26}[^/]*$/, "block"],
  [/^$/, "folder"],
] as const;

await live(JSON.parse(process.argv[2]!) as series.Life);
