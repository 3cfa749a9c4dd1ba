import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { seeded } from "../../../test/support/write.ts";
import { append, headFolder, openHead, read, T0 } from "../../../test/support/head.ts";
import { silentLog } from "#libs/kit/log.ts";
import { readWal } from "../wal/reader.ts";

const SERIES = ["a", "b", "c"].map((name) => ["__name__", name]);
const samples = Array.from({ length: 500 }, (_, i) => [T0 + i * 10_000, i] as const);

/** Three series in turn, so that their chunks alternate in the file. */
async function filled(folder: string): Promise<void> {
  const head = openHead(folder);
  for (let i = 0; i < samples.length; i += 10)
    for (const labels of SERIES) append(head, labels, samples.slice(i, i + 10));
  await head.close();
}

const want = SERIES.map((labels) => [labels.join(), samples]);

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 0x10;
  writeFileSync(path, bytes);
}

async function content(folder: string): Promise<unknown[]> {
  const head = openHead(folder);
  try {
    return (await read(head)).map(({ labels, samples: values }) => [labels, values]);
  } finally {
    await head.close();
  }
}

describe("chunks_head", () => {
  const file = (folder: string): string =>
    join(folder, "chunks_head", readdirSync(join(folder, "chunks_head")).sort()[0]!);

  for (const share of [0.05, 0.3, 0.6, 0.99]) {
    test(`a flipped bit at ${share * 100} %: the log has the samples, nothing is lost, twice`, async () => {
      const folder = headFolder();
      await filled(folder);
      const path = file(folder);
      flip(path, Math.floor(statSync(path).size * share));
      expect(await content(folder)).toEqual(want);
      expect(await content(folder)).toEqual(want);
    });
  }

  test("a bit that flips while the head is open: whoever reads it is told, and the next start has the log's", async () => {
    const folder = headFolder();
    await filled(folder);
    const head = openHead(folder);
    expect(await read(head)).toHaveLength(3);
    const path = file(folder);
    flip(path, Math.floor(statSync(path).size / 2));
    await expect(read(head)).rejects.toThrow(`${path}: corrupt at byte`);
    await expect(head.cutBlock(folder, "01M85R047SWXF2X9AZAAAZRBHY")).rejects.toThrow("head chunk: checksum");
    await head.close();
    expect(await content(folder)).toEqual(want);
  });

  test("any truncation", async () => {
    const random = seeded(1);
    for (let i = 0; i < 10; i++) {
      const folder = headFolder();
      await filled(folder);
      const path = file(folder);
      const size = Math.floor(statSync(path).size * random());
      truncateSync(path, size);
      expect(await content(folder), `truncated to ${size}`).toEqual(want);
    }
  });

  test("a file that is none is kept aside", async () => {
    const folder = headFolder();
    await filled(folder);
    flip(file(folder), 0);
    expect(await content(folder)).toEqual(want);
    expect(readdirSync(join(folder, "chunks_head"))).toContain("000001.corrupt");
  });

  test("the last three of them are left", async () => {
    const folder = headFolder();
    await filled(folder);
    for (const number of [2, 3, 4, 5]) writeFileSync(join(folder, `chunks_head/00000${number}`), "not one");
    flip(file(folder), 0);
    expect(await content(folder)).toEqual(want);
    const left = readdirSync(join(folder, "chunks_head")).filter((name) => name.endsWith(".corrupt"));
    expect(left.sort()).toEqual(["000003.corrupt", "000004.corrupt", "000005.corrupt"]);
  });
});

describe("wal", () => {
  test("a flipped bit costs its record and is kept: a checkpoint puts the segment aside", async () => {
    const folder = headFolder();
    await filled(folder);
    for (const name of readdirSync(join(folder, "chunks_head"))) truncateSync(join(folder, "chunks_head", name), 0);
    flip(join(folder, "wal/00000000"), 9000);
    const lines: string[] = [];
    const log = silentLog();
    log.error = ((fields: { file: string; offset: number }) =>
      void lines.push(`${fields.file.slice(folder.length)} ${fields.offset}`)) as typeof log.error;
    const head = openHead(folder, { log });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\/wal\/00000000 \d+$/);
    const kept = await read(head);
    // A record has ten samples of one series.
    expect(kept.map(({ samples: values }) => 500 - values.length).sort((a, b) => a - b)).toEqual([0, 0, 10]);
    for (const { samples: values } of kept) {
      for (const [time, value] of values) expect(value).toBe((time - T0) / 10_000);
    }
    await head.truncate(T0 + 1_000_000);
    await head.truncate(T0 + 1_000_000);
    expect(readdirSync(join(folder, "wal"))).toContain("00000000.corrupt");
    await head.close();
  });

  test("a length that reaches past the end is no torn end when records follow it: they are kept", async () => {
    const folder = headFolder();
    await filled(folder);
    for (const name of readdirSync(join(folder, "chunks_head"))) truncateSync(join(folder, "chunks_head", name), 0);
    const path = join(folder, "wal/00000000");
    const ends = [...readWal(join(folder, "wal"), () => undefined)].map(({ end }) => end);
    const at = ends.at(-4)!;
    expect(Math.floor(at / 32_768), "in the last page").toBe(Math.floor((ends.at(-1)! - 1) / 32_768));
    const bytes = readFileSync(path);
    bytes[at + 1]! |= 0x40;
    writeFileSync(path, bytes);
    const logged: unknown[] = [];
    const log = silentLog();
    log.error = ((fields: { file: string; offset: number }) =>
      void logged.push([fields.file, fields.offset])) as typeof log.error;
    const head = openHead(folder, { log });
    expect(logged).toEqual([[path, at]]);
    expect((await read(head)).map(({ samples: values }) => values.length)).toEqual([490, 500, 500]);
    expect(statSync(path).size).toBe(bytes.length);
    await head.close();
  });

  test("what a crash leaves of a checkpoint does not matter", async () => {
    const folder = headFolder();
    await filled(folder);
    const head = openHead(folder);
    await head.truncate(T0);
    await head.close();
    writeFileSync(join(folder, "wal/checkpoint.00000009.tmp"), "half");
    expect(await content(folder)).toEqual(want);
  });
});
