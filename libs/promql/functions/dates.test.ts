import { describe, expect, test } from "vitest";
import { DATE_FUNCTIONS } from "./dates.ts";

const NAMES = ["year", "month", "day_of_month", "hour", "minute", "day_of_week", "day_of_year", "days_in_month"];

describe("dates as Go has them", () => {
  const check = (seconds: number, ...parts: number[]): void =>
    test(String(seconds), () => expect(NAMES.map((name) => DATE_FUNCTIONS.get(name)!(seconds))).toEqual(parts));

  check(0, 1970, 1, 1, 0, 0, 4, 1, 31);
  check(1_709_210_096.9, 2024, 2, 29, 12, 34, 4, 60, 29);
  check(-1, 1969, 12, 31, 23, 59, 3, 365, 31);
  check(9e12, 287_168, 8, 24, 16, 0, 6, 237, 31);
  check(-4e15, -126_752_985, 12, 22, 16, 53, 5, 356, 31);
  check(9e17, 28_519_866_626, 2, 17, 16, 0, 5, 48, 28);
  for (const none of [NaN, Infinity, -Infinity, 1e30]) check(none, 292_277_026_596, 12, 4, 15, 30, 0, 339, 31);
});
