import { expect, test } from "vitest";
import { ReadWindows } from "./read-windows.ts";

test("what was taken is not given again before it may be, and then it is", () => {
  const windows = new ReadWindows();
  const first = windows.take(40_000)!;
  const second = windows.take(40_000)!;
  expect([first.length, second.length]).toEqual([65_536, 65_536]);
  expect(second).not.toBe(first);
  windows.reuse();
  expect([first, second]).toContain(windows.take(65_536));
  expect([first, second]).toContain(windows.take(33_000));
  expect(windows.take(33_000)).toHaveLength(65_536);
  windows.release();
  expect([first.length, second.length]).toEqual([0, 0]);
});

test("small reads, and lengths that may be broken, are not its", () => {
  const windows = new ReadWindows();
  expect(windows.take(32_767)).toBeUndefined();
  expect(windows.take(2 ** 25)).toHaveLength(2 ** 25);
  expect(windows.take(2 ** 25 + 1)).toBeUndefined();
  windows.release();
});
