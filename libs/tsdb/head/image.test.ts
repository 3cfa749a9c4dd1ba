import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { atOnce } from "#libs/kit/slices.ts";
import { append, headFolder, HOUR, intHistogram, MINUTE, openHead, read, T0 } from "../../../test/support/head.ts";
import { readColumnFileSteps } from "./column-file.ts";
import type { Head } from "./head.ts";
import { type HeadImage, IMAGE_MAGIC } from "./image.ts";
import type { HeadOptions } from "./state.ts";

const LABELS = Array.from({ length: 30 }, (_, i) => ["__name__", `m${i % 3}`, "i", String(i)]);
const OPTIONS = { outOfOrderMs: HOUR };

/** Chunks of all kinds, full and open, late ones too; `from` to `to` are numbers of samples. */
function fill(head: Head, from: number, to: number): void {
  for (let i = from; i < to; i += 10) {
    const times = Array.from({ length: 10 }, (_, k) => T0 + (i + k) * 10_000);
    for (const [n, labels] of LABELS.entries()) {
      if (n === 5)
        append(
          head,
          labels,
          times.map((time) => [time, intHistogram([[0, 2]], [time - T0, 3])] as const),
        );
      else
        append(
          head,
          labels,
          times.map((time) => [time, time / (n + 1), n % 7 === 6 ? T0 : 0] as const),
        );
    }
    append(
      head,
      LABELS[0]!,
      times.map((time) => [time - 30 * MINUTE - 1, 1] as const),
    );
  }
}

/** The folder of a head that was filled and closed, and what it had. Its snapshot has an image only. */
async function closed(): Promise<{ folder: string; content: unknown; samples: unknown }> {
  const folder = headFolder();
  const head = openHead(folder, OPTIONS);
  fill(head, 0, 300);
  const [content, samples] = [await read(head), await samplesOf(head)];
  await close(head, folder);
  return { folder, content, samples };
}

/** By labels; from `time` on. */
async function samplesOf(head: Head, time = -Infinity): Promise<unknown> {
  return (await read(head)).map(({ labels, samples }) => [labels, samples.filter(([at]) => at >= time)]);
}

async function close(head: Head, folder: string): Promise<void> {
  await head.close(true);
  truncateSync(fileIn(folder, /^chunk_snapshot.*\/0+$/)!, 0);
}

function fileIn(folder: string, pattern: RegExp): string | undefined {
  const name = readdirSync(folder, { recursive: true, encoding: "utf8" }).find((file) => pattern.test(file));
  return name === undefined ? undefined : join(folder, name);
}

const imageIn = (folder: string): string | undefined => fileIn(folder, /\/cairn-image$/);

/** `fromImage`: whether the snapshot's records were not asked for. The image is gone either way. */
function open(folder: string, options: Partial<HeadOptions> = {}): { head: Head; fromImage: boolean } {
  let fromImage = true;
  const log = silentLog();
  log.warn = (() => void (fromImage = false)) as typeof log.warn;
  const head = openHead(folder, { ...OPTIONS, ...options, log });
  expect(imageIn(folder)).toBeUndefined();
  return { head, fromImage };
}

test("a head from an image goes on as one that was never closed, over truncations and stops", async () => {
  const { folder, content } = await closed();
  const unbroken = openHead(headFolder(), OPTIONS);
  fill(unbroken, 0, 300);
  let { head, fromImage } = open(folder, { seed: 2 });
  expect(fromImage).toBe(true);
  expect(await read(head)).toEqual(content);
  for (let from = 300; from < 900; from += 300) {
    const end = T0 + (from - 200) * 10_000;
    for (const one of [head, unbroken]) {
      fill(one, from, from + 300);
      append(one, ["__name__", `new ${from}`], [[T0 + from * 10_000, 1]]);
    }
    for (const one of [head, unbroken]) await one.truncate(end);
    expect(await samplesOf(head, end)).toEqual(await samplesOf(unbroken, end));
    await close(head, folder);
    ({ head, fromImage } = open(folder, { minValidTime: end }));
    expect(fromImage).toBe(true);
    expect(await samplesOf(head, end)).toEqual(await samplesOf(unbroken, end));
  }
  await head.close();
  await unbroken.close();
});

test("what the log has behind an image is replayed on top", async () => {
  const { folder } = await closed();
  const path = imageIn(folder)!;
  const image = readFileSync(path);
  const { head } = open(folder);
  append(head, ["__name__", "new", "i", "3"], [[T0 + HOUR, 1]]);
  append(head, LABELS[1]!, [[T0 + HOUR, 2]]);
  append(head, LABELS[5]!, [[T0 + HOUR, intHistogram([[0, 2]], [1, 3])]]);
  const content = await read(head);
  await head.close();
  // As another program leaves it that has not known the image.
  writeFileSync(path, image);
  rmSync(join(folder, "chunks_head/000002"));
  const { head: again, fromImage } = open(folder);
  expect(fromImage).toBe(true);
  expect(await read(again)).toEqual(content);
  expect(again.getOrCreate(["__name__", "new", "i", "3"])).toBe(again.seriesCount - 1);
  await again.close();
});

const CHUNKS = /^chunks_head\/0+1$/;

for (const [what, change, options] of [
  ["a chunk file was written to", (folder) => utimesSync(fileIn(folder, CHUNKS)!, 1, 1), {}],
  ["a chunk file is shorter", (folder) => truncateSync(fileIn(folder, CHUNKS)!, 5000), {}],
  ["a chunk file is gone", (folder) => rmSync(fileIn(folder, CHUNKS)!), {}],
  ["there is another chunk file", (folder) => writeFileSync(join(folder, "chunks_head/000009"), "x"), {}],
  ["blocks are of another width", () => undefined, { rangeMs: HOUR }],
  ["there is another block", () => undefined, { minValidTime: T0 - 1 }],
] as const satisfies readonly (readonly [string, (folder: string) => void, Partial<HeadOptions>])[]) {
  test(`an image is not taken when ${what}`, async () => {
    const { folder, samples } = await closed();
    change(folder);
    const { head, fromImage } = open(folder, options);
    expect(fromImage).toBe(false);
    expect(await samplesOf(head)).toEqual(samples);
    await head.close();
  });
}

test("an empty chunk file does not matter: a process began it and ended", async () => {
  const { folder, content } = await closed();
  writeFileSync(join(folder, "chunks_head/000009"), "");
  const { head, fromImage } = open(folder);
  expect(fromImage).toBe(true);
  expect(await read(head)).toEqual(content);
  await head.close();
});

test("a chunk that is damaged behind the back of an image: who reads it is told, and the next start has the log's", async () => {
  for (const isKilled of [false, true]) {
    const { folder, samples } = await closed();
    const chunks = fileIn(folder, CHUNKS)!;
    const before = open(folder).head;
    utimesSync(chunks, 1, 1);
    await close(before, folder);
    const bytes = readFileSync(chunks);
    bytes[100]! ^= 4;
    writeFileSync(chunks, bytes);
    utimesSync(chunks, 1, 1);
    const { head, fromImage } = open(folder);
    expect(fromImage).toBe(true);
    await expect(read(head)).rejects.toThrow(`${chunks}: corrupt at byte`);
    await head.close(!isKilled);
    expect(imageIn(folder)).toBeUndefined();
    const again = openHead(folder, OPTIONS);
    expect(await samplesOf(again)).toEqual(samples);
    await again.close();
  }
});

test("an image is what its version says: who changes that raises the version, and takes the new digest", async () => {
  const folder = headFolder();
  const head = openHead(folder);
  for (const [n, labels] of LABELS.entries())
    for (let i = 0; i < 250; i++) append(head, labels, [[T0 + i * 10_000 + n, i * n]]);
  await head.close(true);
  const tree = atOnce(readColumnFileSteps(imageIn(folder)!, IMAGE_MAGIC, () => true)) as HeadImage;
  const files = tree.files.map((file) => ({ ...file, mtimeMs: 0 }));
  const text = JSON.stringify({ ...tree, files }, (_, value: unknown) =>
    ArrayBuffer.isView(value) || value instanceof Map ? [...(value as Iterable<unknown>)] : value,
  );
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  expect({ version: IMAGE_MAGIC & 0xff, digest }).toEqual({ version: 2, digest: "7787e685ef8a2080" });
});
