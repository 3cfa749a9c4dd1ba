/** A batch of entries that grows, is cleared and filled again. */
import { expect, test } from "vitest";
import { EntryBatch } from "./entry-batch.ts";

test("chunks of a batch that grows are what was put in, with their checksums", () => {
  const batch = new EntryBatch(16);
  for (const count of [5000, 3]) {
    batch.clear();
    const places: number[] = [];
    for (let i = 0; i < count; i++) {
      places.push(batch.reserveChunk(i, i + 1, 1, 2 + (i % 200)));
      batch.chunk(i + 1, i + 2, 4, Uint8Array.of(0xee, 0, i, 7), 1, 3);
      batch.endSeries();
    }
    batch.endSeries();
    // As files are read: once all are reserved.
    places.forEach((at, i) => batch.bytes.fill(i, at, at + 2 + (i % 200)));
    for (const _ of batch.sealSteps()) continue;
    expect(batch.seriesCount).toBe(count + 1);
    for (let i = 0; i < count; i++) {
      const [first, second] = batch.chunks(i);
      expect(first).toMatchObject({ mint: i, maxt: i + 1, encoding: 1, dataLength: 2 + (i % 200) });
      expect(first!.data).toEqual(Buffer.alloc(2 + (i % 200), i));
      expect(second).toMatchObject({ mint: i + 1, maxt: i + 2, encoding: 4 });
      expect([...second!.data]).toEqual([0, i & 0xff, 7]);
    }
    expect(batch.chunks(count)).toEqual([]);
  }
});
