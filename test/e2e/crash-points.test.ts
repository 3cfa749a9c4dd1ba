/**
 * A writer killed in named calls to the file system, by SIGKILL and by power failures that take what was not synced.
 * After each end: what was acknowledged is there, nothing that was not sent, no half block, what was deleted stays so.
 * CRASH_KILLS and CRASH_SEED make it longer or another; long runs have hit every point there is.
 */
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { framesOf } from "#libs/storeapi/frames.ts";
import { TIME_MAX, TIME_MIN } from "#libs/storeapi/store.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import { verifyBlock } from "#libs/tsdb/block/verify.ts";
import { TenantStore } from "../../services/receiver/tenant-store.ts";
import * as sent from "../support/crash-series.ts";
import type { Death } from "../support/dying-fs.ts";
import { type SeenSeries, seen } from "../support/head.ts";
import { run, temporaryFolder } from "../support/process.ts";
import { seeded } from "../support/write.ts";

const KILLS = Number(process.env["CRASH_KILLS"] ?? 20);
const SEED = Number(process.env["CRASH_SEED"] ?? 7);
const REQUESTS = 150;

const points = (doing: string, place: string, operations: string): string[] =>
  operations.split(" ").map((operation) => `${doing}: ${place} ${operation}`);

/** Calls that change something, by what they are part of. Which ones a start makes depends on what it finds. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  append: points("append", "wal", "write sync"),
  start: ["open:"],
  "late samples": [
    points("append", "wbl", "write sync"),
    points("append", "chunks_head", "write"),
    points("cut", "wbl", "write sync create remove"),
    points("cut", "chunks_head", "write"),
  ].flat(),
  "segment switch": [points("append", "wal", "create"), points("cut", "wal", "write sync create")].flat(),
  checkpoint: points("cut", "checkpoint", "create write sync rename remove"),
  "block write": [
    points("cut", "block chunks", "create write sync"),
    points("cut", "block index", "create write sync"),
    points("cut", "block tombstones", "create write sync rename"),
    points("cut", "block meta", "create write sync rename"),
  ].flat(),
  "start again": ["open:"],
  "head cut": [points("cut", "block", "create sync rename"), points("cut", "folder", "sync")].flat(),
  truncation: [
    points("cut", "wal", "remove"),
    points("cut", "chunks_head", "remove"),
    points("cut", "snapshot", "remove"),
  ].flat(),
  deletion: [
    points("delete", "wal", "write sync"),
    points("delete", "block", "sync"),
    points("delete", "block tombstones", "create write sync rename"),
    points("delete", "block meta", "create write sync rename"),
  ].flat(),
  retention: [points("drop", "block to delete", "rename remove"), points("drop", "folder", "sync")].flat(),
  "clean end": [
    points("close", "chunks_head", "write sync"),
    points("close", "snapshot", "create write sync rename"),
    points("close", "folder", "sync"),
    points("close", "wal", "write sync"),
    points("close", "wbl", "sync"),
  ].flat(),
};
/** Of the start, with what an end in a write or in a block leaves. */
const STARTS = [
  points("open", "wal", "create sync truncate"),
  points("open", "wbl", "create sync"),
  points("open", "chunks_head", "create truncate"),
  points("open", "block", "remove"),
].flat();

const random = seeded(SEED);
const below = (n: number): number => Math.floor(random() * n);

/** Deaths without end, each kind in turn, its points in turn. */
function* deaths(): Generator<readonly [kind: string, Death]> {
  for (let round = below(100); ; round++) {
    for (const [kind, calls] of Object.entries(KINDS)) {
      const point = calls[round % calls.length]!;
      const nth = 1 + below(point.startsWith("append: w") && !point.endsWith("create") ? 80 : 8);
      // A start after a torn write has most to do.
      const done = kind === "append" || random() < 0.4 ? random() : below(2);
      yield [
        kind,
        { point, nth, done, ...(random() < 0.5 && { power: { seed: below(2 ** 31), zeros: random() < 0.25 } }) },
      ];
    }
  }
}

/** What may and what must be there, from what was seen last and what the writer noted since. */
class Model {
  #stored = new Map<string, Map<number, unknown>>();
  /** Sent, and now older than what is kept: damage to the log of late samples may bring it back for a while. */
  readonly #past: [labels: string, time: number, value: unknown][] = [];
  readonly #kept = new Set<string>();
  readonly #dropped = new Set<string>();
  #horizon = -Infinity;
  #newestExemplars: number[] = [];
  #metadata = { acknowledged: -1, sent: -1 };
  next = 0;

  /** Takes a life's notes and what is there after it. @returns what is wrong. */
  check(notes: readonly sent.Note[], found: Found): string[] {
    const wrong: string[] = [];
    const expected = new Map<string, Map<number, { readonly value: unknown; must: boolean }>>();
    const put = (labels: string, time: number, value: unknown, must: boolean): void => {
      const series = expected.get(labels) ?? new Map<number, { value: unknown; must: boolean }>();
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
          for (const { labels, time, value } of sent.samplesOf(note[1]))
            put(labels.join(), time, sent.seenValue(value), must);
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
      this.#stored.set(labels, new Map(samples));
      for (const [time, value] of samples) {
        const sample = expected.get(labels)?.get(time);
        if (sample === undefined) wrong.push(`${labels} at ${time}: ${String(value)} is deleted or was never sent`);
        else if (String(sample.value) !== String(value))
          wrong.push(`${labels} at ${time}: ${String(value)}, not ${String(sample.value)}`);
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

interface Found {
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
async function look(folder: string): Promise<Found> {
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
    return {
      series: await seen(framesOf(store.series(everything, env.stopping), () => undefined)),
      blocks: new Set(store.blocks.map(({ meta }) => meta.ulid)),
      headFrom: store.newestInOrder?.meta.maxTime ?? -Infinity,
      exemplars: new Set(
        store
          .exemplars([everything.matchers], -Infinity, Infinity)
          .flatMap(({ exemplars }) => exemplars.map(({ time }) => time)),
      ),
      metadata: Number(new Map(store.head.metadata()).get("crash")?.help ?? -1),
      errors,
    };
  } finally {
    await store.close();
  }
}

test(
  `a writer that dies ${KILLS} times in chosen calls (seed ${SEED})`,
  async () => {
    const { path, cleanup } = temporaryFolder("crash-points");
    const [folder, notesFile, copy] = ["data", "notes", "copy"].map((name) => join(path, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(folder);
    const model = new Model();
    const hit = new Map<string, number>();
    const kindsHit = new Set<string>();
    /** Damage that was reported after an earlier end. */
    const known = new Set<string>();
    /** A life of the writer. @returns the name of the call it died in. */
    const live = async (death?: Death): Promise<string | undefined> => {
      const life: sent.Life = { folder, notes: notesFile, first: model.next, count: REQUESTS, death };
      const writer = run(process.execPath, [
        join(import.meta.dirname, "../support/crash-writer.ts"),
        JSON.stringify(life),
      ]);
      const [code, signal] = (await once(writer.process, "exit")) as [number | null, NodeJS.Signals | null];
      const lines = readFileSync(notesFile, "utf8").split("\n").slice(0, -1);
      const notes = lines.map((line) => JSON.parse(line) as sent.Note);
      const died = notes.find((note) => note[0] === "died")?.[1];
      const what = `died in ${died} (${JSON.stringify(life)})`;
      expect([code, signal], `${what}: ${writer.log()}`).toEqual(died === undefined ? [0, null] : [null, "SIGKILL"]);
      rmSync(copy, { recursive: true, force: true });
      cpSync(folder, copy, { recursive: true });
      const found = await look(copy);
      expect(model.check(notes, found).slice(0, 10), what).toEqual([]);
      // The ends of files are torn; only zeros in place of what was written look like damage.
      if (death?.power?.zeros === true) found.errors.forEach((error) => known.add(error));
      expect(
        found.errors.filter((error) => !known.has(error)),
        what,
      ).toEqual([]);
      return died;
    };
    try {
      // The folders of a new tenant are not to be lost with what is in them.
      await live({ point: "append: wbl sync", nth: 40, done: 1, power: { seed: SEED, zeros: false } });
      await live();
      const plan = deaths();
      let lives = 0;
      for (let kills = 0; kills < KILLS; kills++) {
        const [kind, death] = plan.next().value!;
        // A point that is not reached so often, or only after a clean end, which this then was.
        let point: string | undefined;
        for (let nth = death.nth; point === undefined && nth > 0; nth >>= 2) {
          expect(++lives, `point "${death.point}" is reached`).toBeLessThan(3 * KILLS + 10);
          point = await live({ ...death, nth });
        }
        if (point === undefined) point = await live({ ...death, nth: 1 });
        expect(point, `point "${death.point}" is reached`).toBeDefined();
        kindsHit.add(kind);
        hit.set(point!, (hit.get(point!) ?? 0) + 1);
      }
      expect(await live()).toBeUndefined();
      if (KILLS >= Object.keys(KINDS).length) expect([...kindsHit]).toEqual(Object.keys(KINDS));
      const all = [...Object.values(KINDS).flat(), ...STARTS].filter((point) => point !== "open:");
      if (KILLS >= 200) expect(all.filter((point) => !hit.has(point))).toEqual([]);
      if (process.env["CRASH_KILLS"] !== undefined) console.log(`${KILLS} deaths in ${lives} lives`, hit);
    } finally {
      cleanup();
    }
  },
  60_000 + KILLS * 10_000,
);
