/** Blocks that real Prometheus wrote: read back sample by sample, rewritten byte for byte. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { readMeta } from "#libs/tsdb/block/meta.ts";
import { type BlockReader, openBlock } from "#libs/tsdb/block/reader.ts";
import { BlockWriter } from "#libs/tsdb/block/writer.ts";
import { compareUtf8 } from "#libs/kit/utf8.ts";
import { blockDump, type DumpOptions } from "#tools/block-dump.ts";
import { describeShared, GOLDEN } from "../support/shared.ts";

const BLOCKS = join(GOLDEN, "blocks");
/** A small part of the recordings is committed, so that a lone clone tests much. */
const COMMITTED = resolve(import.meta.dirname, "../golden/blocks");

function folderOf(name: string): string {
  const committed = join(COMMITTED, name);
  return existsSync(committed) ? committed : join(BLOCKS, name);
}

interface Line {
  labels: Record<string, string>;
  chunks: object[];
  samples: unknown[];
  ref: number;
  tombstones?: [number, number][];
}

function blockOf(folder: string): string {
  const ulid = readdirSync(folderOf(folder)).find((name) => /^[0-9A-Z]{26}$/.test(name))!;
  return join(folderOf(folder), ulid);
}

function lines(text: string): Line[] {
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

async function open(path: string): Promise<BlockReader> {
  return openBlock(readMeta(readFileSync(join(path, "meta.json"), "utf8"), path), openBlockFolder(path));
}

/** Strings are doubles, the notation of large numbers is free. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, key === "hint" ? inner : normal(inner)]),
    );
  if (typeof value !== "string" || !/^[-+\d]/.test(value) || value.includes("Inf")) return value;
  return String(Number(value)) + (Object.is(Number(value), -0) ? "-" : "");
}

function expectedOf(folder: string): Line[] {
  return lines(gunzipSync(readFileSync(join(folderOf(folder), "expected.ndjson.gz"))).toString());
}

async function dumped(folder: string, options: DumpOptions): Promise<Line[]> {
  const printed: Line[] = [];
  expect(await blockDump(blockOf(folder), options, (line) => printed.push(JSON.parse(line) as Line))).toBe(0);
  return printed;
}

const FOLDERS = [
  "prometheus-2.42",
  "floats",
  "floats-tombstones",
  "histograms",
  "out-of-order-merged",
  "compacted",
  "xor2-start-timestamps",
] as const;

for (const folder of FOLDERS) {
  describeShared(`block ${folder}`, folderOf(folder), () => {
    test(`${folder}: dump equals what Prometheus's own reader printed`, async () => {
      const expected = expectedOf(folder);
      const printed = await dumped(folder, {});
      expect(printed.length).toBe(expected.length);
      expected.forEach((want, i) => {
        const got = printed[i]!;
        expect(got.labels).toEqual(want.labels);
        expect(got.chunks).toEqual(want.chunks);
        expect(got.ref).toBe(want.ref);
        expect(got.tombstones ?? []).toEqual(want.tombstones ?? []);
        expect(normal(got.samples)).toEqual(normal(want.samples));
      });
    });

    test(`${folder}: symbols, names, values and postings are those recorded`, async () => {
      const block = await open(blockOf(folder));
      const recorded = readFileSync(join(folderOf(folder), "index.ndjson"), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      let checked = 0;
      for (const entry of recorded) {
        if (typeof entry["symbols"] === "number") {
          const { symbols } = block.header;
          expect([symbols.count, symbols.text(0), symbols.text(symbols.count - 1)]).toEqual([
            entry["symbols"],
            entry["first"],
            entry["last"],
          ]);
        } else if (Array.isArray(entry["labelNames"])) expect(block.header.labelNames()).toEqual(entry["labelNames"]);
        else if (typeof entry["label"] === "string")
          expect(block.header.labelValues(entry["label"])).toEqual(entry["values"]);
        else if (Array.isArray(entry["postings"])) {
          const [name, value] = entry["postings"] as [string, string];
          const refs = Array.from(await block.of(name, value));
          // Long lists are recorded by length and ends.
          if (entry["refs"] !== undefined) expect(refs).toEqual(entry["refs"]);
          else
            expect([refs.length, refs.slice(0, 3), refs.slice(-3)]).toEqual([
              entry["count"],
              entry["first"],
              entry["last"],
            ]);
        } else continue;
        checked++;
      }
      expect(checked).toBeGreaterThan(3);
      block.close();
    });

    test(`${folder}: our rewrite has the same chunk files and the same index content`, async () => {
      const source = blockOf(folder);
      const out = mkdtempSync(join(tmpdir(), "cairn-rewrite-"));
      try {
        const block = await open(source);
        const symbols = Array.from({ length: block.header.symbols.count }, (_, i) => block.header.symbols.text(i));
        const ordinals = new Map(symbols.sort(compareUtf8).map((symbol, i) => [symbol, i]));
        const writer = BlockWriter.open(join(out, "rewritten"), symbols);
        for await (const entry of block.entries(await block.all())) {
          const labels = Uint32Array.from(entry.labelRefs, (ref) =>
            ordinals.get(block.header.symbols.text(block.header.symbols.ordinal(ref)))!,
          );
          writer.addSeries(labels, await block.chunksOf(entry));
        }
        const { minTime, maxTime, ulid, compaction, stats } = block.meta;
        const written = writer.finish({ ulid, minTime, maxTime, compaction });
        for (const segment of readdirSync(join(source, "chunks"))) {
          expect(
            readFileSync(join(written.path, "chunks", segment)).equals(readFileSync(join(source, "chunks", segment))),
            segment,
          ).toBe(true);
        }
        // 2.42 did not count floats and histograms apart; tombstones are not rewritten.
        expect({
          ...written.meta.stats,
          ...(stats!.numTombstones && { numTombstones: stats!.numTombstones }),
        }).toMatchObject(stats!);
        const again = await open(written.path);
        expect(again.header.labelNames()).toEqual(block.header.labelNames());
        for (const name of block.header.labelNames()) {
          expect(again.header.labelValues(name)).toEqual(block.header.labelValues(name));
          for (const value of block.header.labelValues(name).slice(0, 10)) {
            expect((await again.of(name, value)).length).toBe((await block.of(name, value)).length);
          }
        }
        // The same writer version writes the same bytes.
        if (folder !== "prometheus-2.42")
          expect(readFileSync(join(written.path, "index")).equals(readFileSync(join(source, "index")))).toBe(true);
        again.close();
        block.close();
      } finally {
        rmSync(out, { recursive: true });
      }
    });
  });
}

describeShared("a part of a block", folderOf("compacted"), () => {
  const mint = 1_700_003_600_000;
  const maxt = 1_700_010_800_000;
  const inRange = (line: Line): Line => ({
    ...line,
    chunks: (line.chunks as { mint: number; maxt: number }[]).filter((c) => c.maxt >= mint && c.mint <= maxt),
    samples: (line.samples as [number][]).filter(([t]) => t >= mint && t <= maxt),
  });

  test("--match prints only the series that match", async () => {
    const names = new Set(expectedOf("compacted").map(({ labels }) => labels["__name__"]));
    expect(names.size).toBeGreaterThan(2);
    const [name] = names;
    const printed = await dumped("compacted", { match: `{__name__="${name}"}` });
    expect(printed.map(({ ref }) => ref)).toEqual(
      expectedOf("compacted")
        .filter(({ labels }) => labels["__name__"] === name)
        .map(({ ref }) => ref),
    );
  });

  test("--min-time and --max-time print only the samples in range, and the chunks and series that have some", async () => {
    const wanted = expectedOf("compacted")
      .map(inRange)
      .filter(({ chunks }) => chunks.length > 0);
    const printed = await dumped("compacted", { minTime: String(mint), maxTime: String(maxt) });
    const shown = ({ labels, ref, chunks, samples }: Line): unknown => ({
      labels,
      ref,
      chunks,
      samples: normal(samples),
    });
    expect(printed.map(shown)).toEqual(wanted.map(shown));
  });

  test("a time that is none is refused", async () => {
    await expect(dumped("compacted", { minTime: "yesterday" })).rejects.toThrow("--min-time yesterday: not a time");
  });
});
