/** Merges of recorded blocks give the very bytes that Prometheus 3.14's own compactor gave for the same blocks. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createMatcher } from "#libs/model/matcher.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { deleteSeries } from "#libs/tsdb/block/delete-series.ts";
import type { BlockMeta } from "#libs/tsdb/block/meta.ts";
import { openBlock } from "#libs/tsdb/block/reader.ts";
import { mergeBlocks } from "#libs/tsdb/compact/merge-blocks.ts";
import { FrameReader } from "#libs/tsdb/series/frame.ts";
import { blockDump } from "#tools/block-dump.ts";
import { blockVerify } from "#tools/block-verify.ts";
import { metaOf, samplesOf } from "../support/blocks.ts";
import { describeShared, GOLDEN } from "../support/shared.ts";

const BLOCKS = join(GOLDEN, "blocks");
const ULID = "01HF7YAT0006AFVGQT5ZYCMERG";

/** SHA-256 of `index` and `chunks/000001` as tsdb.LeveledCompactor wrote them. */
const WRITTEN: readonly { names: readonly string[]; what: string; index: string; chunks: string }[] = [
  {
    names: ["floats", "histograms"],
    what: "overlapping blocks of different series",
    index: "339c49383f09100fdfecd41082fdc96c03642b3a7ba395a68e7b6dce46c4c8b8",
    chunks: "ba633acceb7dba858bb8f18f431bfcab7a94b1f147ba93aa7db9d4ceafe36bff",
  },
  {
    names: ["floats-tombstones"],
    what: "one block rewritten without what is deleted",
    index: "93ed74b75254dfee0cafa1b6ad4307a833447b34299566a835da4dc8fd9d7269",
    chunks: "f633e5b92b2167d397104825dd8e57bcea94d3d2efd35d9f4a4595996450e612",
  },
  {
    names: ["histograms", "out-of-order-merged"],
    what: "histograms and floats over each other",
    index: "05552457c6569cf2a6ddbb765cbec40e32c48ac5832545c992d07b9c5b91a96d",
    chunks: "f61958306338f4310725995c3ecfd1f1da9837cb8cdb698514796c5af92f177b",
  },
  {
    names: ["xor2-start-timestamps", "compacted"],
    what: "start timestamps over samples without",
    index: "895ae0704d804c29164d4ef2ad8e82aa053460d6a332eccd9087c3ec7a3c3318",
    chunks: "687039222b9d354058ae86cbd1020148cc760b26258c4ac4178a9126dbe327fd",
  },
  {
    names: ["out-of-order-merged", "compacted", "xor2-start-timestamps"],
    what: "three blocks over each other",
    index: "8422c8b4b8be9af385355b6a51e22000b08d82e7b028b35855152f9b4e30ef67",
    chunks: "e8e5c6960e6660f201c2eb6aec4b2c5d6fa251c3ae8dadcfd53266cf5740af73",
  },
];

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "cairn-compaction-"));
  folders.push(folder);
  return folder;
}

function blockOf(name: string): string {
  const ulid = readdirSync(join(BLOCKS, name)).find((entry) => /^[0-9A-Z]{26}$/.test(entry))!;
  return join(BLOCKS, name, ulid);
}

async function merge(paths: readonly string[]): Promise<{ path: string; meta: BlockMeta }> {
  const sources = paths.map((path) => ({ meta: metaOf(path), bytes: openBlockFolder(path) }));
  try {
    return (await mergeBlocks(sources, { path: join(newFolder(), ULID), ulid: ULID }))!;
  } finally {
    for (const { bytes } of sources) bytes.close();
  }
}

const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

describeShared("merged blocks", BLOCKS, () => {
  for (const { names, what, index, chunks } of WRITTEN) {
    test(`${what} (${names.join(", ")}) become the bytes Prometheus wrote`, async () => {
      const { path, meta } = await merge(names.map(blockOf));
      expect(sha256(join(path, "index"))).toBe(index);
      expect(sha256(join(path, "chunks/000001"))).toBe(chunks);
      const metas = names.map((name) => metaOf(blockOf(name)));
      expect(meta.compaction.level).toBe(Math.max(...metas.map(({ compaction }) => compaction.level)) + 1);
      expect(meta.compaction.parents?.map(({ ulid }) => ulid)).toEqual(metas.map(({ ulid }) => ulid));
      expect(meta.compaction.sources).toEqual([...new Set(metas.flatMap((m) => m.compaction.sources))].sort());
    });
  }

  test("every recorded block verifies", async () => {
    const lines: string[] = [];
    expect(await blockVerify(readdirSync(BLOCKS).map(blockOf), (line) => lines.push(line))).toBe(0);
    expect(lines.at(-1)).toBe(`${readdirSync(BLOCKS).length} blocks verified, 0 corrupt`);
  });

  test("a query of a block with tombstones gives what the block rewritten without them gives", async () => {
    const read = async (path: string): Promise<string[]> => {
      const block = await openBlock(metaOf(path), openBlockFolder(path));
      const reader = new FrameReader();
      const lines: string[] = [];
      const query = { matchers: [], mint: -Infinity, maxt: Infinity, skipChunks: false, limit: 0 };
      for await (const frame of block.frames(query, new AbortController().signal)) {
        reader.enter(frame);
        while (reader.next()) {
          const samples: unknown[] = [];
          for (let i = reader.chunkFrom; i < reader.chunkTo; i++) samples.push(...samplesOf(reader.chunk(i)));
          lines.push(JSON.stringify([reader.labels(), samples]));
        }
      }
      block.close();
      return lines;
    };
    const queried = await read(blockOf("floats-tombstones"));
    expect(queried).toEqual(await read((await merge([blockOf("floats-tombstones")])).path));
    expect(queried).not.toEqual(await read(blockOf("floats")));
  });

  test("deleteSeries records ranges no wider than the series, and a merge leaves nothing of them", async () => {
    const source = blockOf("floats");
    const path = join(newFolder(), metaOf(source).ulid);
    cpSync(source, path, { recursive: true });
    const { minTime, maxTime } = metaOf(path);
    const matchers = [createMatcher({ type: "=~", name: "__name__", value: ".+" })];
    expect(await deleteSeries(path, matchers, maxTime, maxTime + 1000)).toBe(0);
    expect(await deleteSeries(path, matchers, minTime - 1e6, minTime + 1_800_000)).toBeGreaterThan(100);
    expect(await deleteSeries(path, matchers, minTime + 1_800_001, minTime + 3_600_000)).toBeGreaterThan(100);
    const lines: { chunks: { mint: number }[]; tombstones?: [number, number][] }[] = [];
    await blockDump(path, {}, (line) => lines.push(JSON.parse(line) as (typeof lines)[number]));
    const deleted = lines.filter(({ tombstones }) => tombstones !== undefined);
    expect(metaOf(path).stats?.numTombstones).toBe(deleted.flatMap(({ tombstones }) => tombstones!).length);
    // The two ranges touch: one of them is left, from the first sample on.
    const [one] = deleted.filter(({ tombstones }) => tombstones![0]![1] === minTime + 3_600_000);
    expect(one!.tombstones).toEqual([[one!.chunks[0]!.mint, minTime + 3_600_000]]);

    const merged = await merge([path]);
    const left: { samples: [number, string][] }[] = [];
    await blockDump(merged.path, {}, (line) => left.push(JSON.parse(line) as (typeof left)[number]));
    expect(left.length).toBeGreaterThan(50);
    expect(Math.min(...left.map(({ samples }) => samples[0]![0]))).toBeGreaterThan(minTime + 3_600_000);
    expect(merged.meta.stats?.numTombstones).toBeUndefined();
  });

  test("a block all of whose samples are deleted merges to nothing", async () => {
    const source = blockOf("histograms");
    const path = join(newFolder(), metaOf(source).ulid);
    cpSync(source, path, { recursive: true });
    await deleteSeries(path, [createMatcher({ type: "=~", name: "__name__", value: ".*" })], 0, 2 ** 50);
    const bytes = openBlockFolder(path);
    const target = join(newFolder(), ULID);
    expect(await mergeBlocks([{ meta: metaOf(path), bytes }], { path: target, ulid: ULID })).toBeUndefined();
    bytes.close();
    expect(existsSync(`${target}.tmp-for-creation`)).toBe(false);
  });
});
