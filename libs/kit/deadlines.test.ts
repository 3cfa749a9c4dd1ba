import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Deadlines } from "./deadlines.ts";

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => vi.useRealTimers());

test("each is told in its time, one that is earlier than those before it too; removed ones are not", () => {
  const deadlines = new Deadlines();
  const past: string[] = [];
  const removed = deadlines.add(100, () => past.push("removed"));
  deadlines.add(200, () => past.push("late"));
  deadlines.add(50, () => past.push("early"));
  deadlines.remove(removed);
  vi.advanceTimersByTime(49);
  expect(past).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(past).toEqual(["early"]);
  vi.advanceTimersByTime(149);
  expect(past).toEqual(["early"]);
  vi.advanceTimersByTime(1);
  expect(past).toEqual(["early", "late"]);
});

test("work that is done in time leaves one timer, and none when that has gone off", () => {
  const deadlines = new Deadlines();
  for (let i = 0; i < 10; i++) deadlines.remove(deadlines.add(100, () => expect.unreachable()));
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(100);
  expect(vi.getTimerCount()).toBe(0);
});

test("an end that never comes is waited for without a timer that goes off at once", () => {
  const deadlines = new Deadlines();
  const past: number[] = [];
  deadlines.add(2 ** 33, () => past.push(1));
  vi.advanceTimersByTime(1000);
  expect(vi.getTimerCount()).toBe(1);
  expect(past).toEqual([]);
});
