/** What a store must have after the end of a writer that noted what it did (`crash-writer.ts`), and what it has. */
import { readdirSync } from "node:fs";
import { expect } from "vitest";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { framesOf } from "#libs/storeapi/frames.ts";
import { TIME_MAX, TIME_MIN } from "#libs/storeapi/store.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import { verifyBlock } from "#libs/tsdb/block/verify.ts";
import { TenantStore } from "../../services/receiver/tenant-store.ts";
import * as sent from "./crash-series.ts";
import { type SeenSeries, seen } from "./head.ts";

/** What may and what must be there, from what was seen last and what the writer noted since. */
export class CrashModel {
  #stored = new Map<string, Map<number, string>>();
  /** Sent, and now older than what is kept: damage to the log of late samples may bring it back for a while. */
  readonly #past: [labels: string, time: number, value: string][] = [];
  readonly #kept = new Set<string>();
  readonly #dropped = new Set<string>();
  #horizon = -Infinity;
  #newestExemplars: number[] = [];
  #metadata = { acknowledged: -1, sent: -1 };
  next = 0;

  /** Takes a life's notes and what is there after it. @returns what is wrong. */
  check(notes: readonly sent.Note[], found: Found): string[] {
    const wrong: string[] = [];
    const expected = new Map<string, Map<number, { readonly value: string; must: boolean }>>();
    const put = (labels: string, time: number, value: string, must: boolean): void => {
      const series = expected.get(labels) ?? new Map<number, { value: string; must: boolean }>();
      series.set(time, { value, must });
      expected.set(labels, series);
    };
    for (const [labels, time, value] of this.#past.splice(0)) put(labels, time, value, false);
    for (const [labels, samples] of this.#stored) for (const [time, value] of samples) put(labels, time, value, true);
    for (const note of notes) {
      switch (note[0]) {
        case "sent":
        case "acknowledged": {
          const must = note[0] === "acknowledged";
          this.next = Math.max(this.next, note[1] + 1);
          for (const sample of sent.samplesOf(note[1]))
            put(sample.labels.join(), sample.time, sent.seenSample(sample), must);
          if (must && sent.hasExemplar(note[1])) this.#newestExemplars.push(sent.at(note[1]));
          if (sent.hasMetadata(note[1])) this.#metadata[note[0]] = note[1];
          break;
        }
        case "deleting":
        case "deleted": {
          const series = expected.get(note[1].labels.join());
          for (const [time, sample] of series ?? []) {
            if (time < note[1].mint || time > note[1].maxt) continue;
            if (note[0] === "deleted") series!.delete(time);
            else sample.must = false;
          }
          break;
        }
        case "cut":
          this.#kept.add(note[1]);
          break;
        case "merging":
          // Until it is done there may be these or the merged one.
          for (const ulid of note[2]) this.#kept.delete(ulid);
          break;
        case "merged":
          this.#kept.add(note[1]);
          for (const ulid of note[2]) this.#dropped.add(ulid);
          break;
        case "dropping":
          this.#kept.delete(note[1]);
          this.#horizon = Math.max(this.#horizon, note[2]);
          break;
        case "dropped":
          this.#dropped.add(note[1]);
          break;
        case "died":
        case "ended":
      }
    }
    this.#stored = new Map();
    for (const { labels, samples } of found.series) {
      const stored = new Map(samples.map(([time, value, start]) => [time, sent.shown(value, start)]));
      this.#stored.set(labels, stored);
      for (const [time, value] of stored) {
        const sample = expected.get(labels)?.get(time);
        if (sample === undefined) wrong.push(`${labels} at ${time}: ${value} is deleted or was never sent`);
        else if (sample.value !== value) wrong.push(`${labels} at ${time}: ${value}, not ${sample.value}`);
      }
    }
    for (const [labels, samples] of expected) {
      for (const [time, { value, must }] of samples) {
        if (this.#stored.get(labels)?.has(time) === true) continue;
        if (time < this.#horizon) this.#past.push([labels, time, value]);
        else if (must) wrong.push(`${labels} at ${time} is missing`);
      }
    }
    for (const ulid of this.#kept) if (!found.blocks.has(ulid)) wrong.push(`block ${ulid} is missing`);
    for (const ulid of this.#dropped) if (found.blocks.has(ulid)) wrong.push(`block ${ulid} is back`);
    this.#newestExemplars = this.#newestExemplars.filter((time) => time >= found.headFrom);
    for (const time of this.#newestExemplars)
      if (!found.exemplars.has(time)) wrong.push(`the exemplar at ${time} is missing`);
    const { acknowledged, sent: last } = this.#metadata;
    if (!(found.metadata >= acknowledged && found.metadata <= last))
      wrong.push(`metadata of request ${found.metadata}, acknowledged ${acknowledged}, sent ${last}`);
    return wrong;
  }
}

export interface Found {
  readonly series: readonly SeenSeries[];
  readonly blocks: ReadonlySet<string>;
  /** Exemplars are kept from here on. */
  readonly headFrom: number;
  /** By their times. */
  readonly exemplars: ReadonlySet<number>;
  /** The request that the metadata are from. */
  readonly metadata: number;
  /** Logged while it was opened. */
  readonly errors: readonly string[];
}

/** Opens a store, reads all of it and holds its blocks against themselves. */
export async function look(folder: string): Promise<Found> {
  const errors: string[] = [];
  const log = silentLog();
  log.error = ((fields: object, text: string) =>
    void errors.push(`${text} ${JSON.stringify(fields)}`)) as typeof log.error;
  log.child = (() => log) as unknown as typeof log.child;
  const { env } = createEnv(log, Date.now, new AbortController().signal);
  const store = await TenantStore.open("crash", folder, [], { ...sent.STORE_OPTIONS, log }, env);
  try {
    const names = readdirSync(folder);
    expect(names.filter((name) => /\.tmp-for-/.test(name))).toEqual([]);
    expect(names.filter(isUlid)).toEqual(store.blocks.map(({ meta }) => meta.ulid).sort());
    for (const { path, meta } of store.blocks) {
      const bytes = openBlockFolder(path);
      await verifyBlock(bytes, meta, { samples: true });
      bytes.close();
    }
    const everything = {
      mint: TIME_MIN,
      maxt: TIME_MAX,
      matchers: [{ type: "=", name: "__name__", value: "crash" } as const],
      skipChunks: false,
      withoutLabels: [],
      limit: 0,
      partialResponse: false,
    };
    const exemplars = await store.exemplars(
      [everything.matchers],
      { mint: -Infinity, maxt: Infinity, countMax: 1e6 },
      env.stopping,
    );
    return {
      series: await seen(framesOf(store.series(everything, env.stopping), () => undefined)),
      blocks: new Set(store.blocks.map(({ meta }) => meta.ulid)),
      headFrom: store.newestInOrder?.meta.maxTime ?? -Infinity,
      exemplars: new Set(exemplars.values.flatMap((list) => list.exemplars.map(({ time }) => time))),
      metadata: Number(new Map(store.head.metadata()).get("crash")?.help ?? -1),
      errors,
    };
  } finally {
    await store.close();
  }
}
