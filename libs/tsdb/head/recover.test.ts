import { join } from "node:path";
import { expect, test } from "vitest";
import { append, headFolder, MINUTE, openHead, read, T0 } from "../../../test/support/head.ts";
import { ByteWriter } from "../encoding/writer.ts";
import { RECORD, writeSeries } from "../wal/records.ts";
import { WalWriter } from "../wal/writer.ts";
import { atOnce } from "#libs/kit/slices.ts";
import { HeadChunkFiles } from "./chunk-files.ts";
import { HeadSeries } from "./series.ts";

const A = ["__name__", "a"];

async function writeLog(folder: string, write: (record: ByteWriter) => void): Promise<void> {
  const record = new ByteWriter();
  record.u8(RECORD.SERIES);
  write(record);
  const wal = new WalWriter(join(folder, "wal"));
  wal.add(record.bytes);
  await wal.close(true);
}

test("a series that came back by another ref has the full chunks of both, without those that overlap", async () => {
  const folder = headFolder();
  await writeLog(folder, (record) => {
    writeSeries(record, 1, A);
    writeSeries(record, 2, A);
  });
  const files = new HeadChunkFiles(join(folder, "chunks_head"));
  atOnce(
    files.loadSteps(
      () => undefined,
      () => undefined,
    ),
  );
  const chunkOf = (ref: number, minutes: readonly number[]): void => {
    const series = new HeadSeries(1);
    const slot = series.add(ref, A);
    series.open(slot, T0 + minutes[0]! * MINUTE, Infinity, false);
    for (const minute of minutes) series.append(slot, T0 + minute * MINUTE, 0, 0, 0);
    files.add(ref, series.openChunk(slot)!, false);
  };
  chunkOf(2, [3, 5]);
  chunkOf(1, [0, 1]);
  chunkOf(2, [4, 6]);
  chunkOf(1, [2, 4]);
  chunkOf(2, [7, 8]);
  files.close();
  const head = openHead(folder);
  const [series] = await read(head);
  expect(series!.samples.map(([time]) => (time - T0) / MINUTE)).toEqual([0, 1, 2, 4, 7, 8]);
  expect([head.stats.mint, head.stats.maxt]).toEqual([T0, T0 + 8 * MINUTE]);
  append(head, A, [[T0 + 9 * MINUTE, 1]]);
  await head.close();
});

test("labels of a log that are no UTF-8 are one series where their texts are the same", async () => {
  const folder = headFolder();
  await writeLog(folder, (record) => {
    for (const byte of [0xfe, 0xff]) {
      record.u64(byte);
      record.uvarint(1);
      record.text("__name__");
      record.uvarint(1);
      record.u8(byte);
    }
  });
  const head = openHead(folder);
  expect(head.seriesCount).toBe(1);
  append(head, ["__name__", "\uFFFD"], [[T0, 1]]);
  expect(head.seriesCount).toBe(1);
  await head.close();
});
