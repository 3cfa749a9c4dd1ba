import { expect, test } from "vitest";
import { opening } from "./mapped.ts";

/** Notes what happens to a stream of two items, the last of which fails if it is to. */
function noted(notes: string[], fails = false): AsyncIterable<number> {
  return (async function* () {
    notes.push("begun");
    try {
      yield 1;
      if (fails) throw new Error("broken");
      yield 2;
    } finally {
      notes.push("over");
    }
  })();
}

const closing = (notes: string[]) => (): void => void notes.push("closed");

test("is opened with the first item, and closed once at the end", async () => {
  const notes: string[] = [];
  const items = opening(async () => noted(notes), closing(notes));
  expect(notes).toEqual([]);
  const seen: number[] = [];
  for await (const item of items) seen.push(item);
  expect(seen).toEqual([1, 2]);
  expect(await items.next()).toEqual({ done: true, value: undefined });
  await items.return?.();
  expect(notes).toEqual(["begun", "over", "closed"]);
});

test("a failure passes, and closes", async () => {
  const notes: string[] = [];
  const items = opening(() => noted(notes, true), closing(notes));
  expect(await items.next()).toEqual({ done: false, value: 1 });
  await expect(items.next()).rejects.toThrow("broken");
  expect(await items.next()).toEqual({ done: true, value: undefined });
  expect(notes).toEqual(["begun", "over", "closed"]);
});

test("what cannot be opened fails the first item, and closes", async () => {
  const notes: string[] = [];
  const items = opening<number>(() => {
    throw new Error("locked");
  }, closing(notes));
  await expect(items.next()).rejects.toThrow("locked");
  expect(notes).toEqual(["closed"]);
});

test("who leaves closes the stream too", async () => {
  const notes: string[] = [];
  for await (const item of opening(() => noted(notes), closing(notes))) {
    expect(item).toBe(1);
    break;
  }
  expect(notes).toEqual(["begun", "over", "closed"]);
});

test("who leaves while it is being opened waits, and closes what then is open", async () => {
  const notes: string[] = [];
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const items = opening(async () => {
    await opened;
    return noted(notes);
  }, closing(notes));
  const first = items.next();
  const left = items.return!();
  open();
  expect(await first).toEqual({ done: false, value: 1 });
  await left;
  expect(notes).toEqual(["begun", "over", "closed"]);
});

test("nothing is opened by who leaves before the first item", async () => {
  const notes: string[] = [];
  const items = opening(() => noted(notes), closing(notes));
  await items.return?.();
  expect(await items.next()).toEqual({ done: true, value: undefined });
  expect(notes).toEqual([]);
});
