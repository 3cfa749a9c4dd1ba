/**
 * Parts of a date in UTC, of seconds since the epoch as Go's `time.Unix` takes them: whole, and of 64 bits. What is no
 * such number (NaN, ±Inf) counts as Go's conversion makes it, the largest date there is.
 */
import { mapOf } from "./map-of.ts";

interface DateParts {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  /** 0 is Sunday. */
  readonly weekday: number;
}

/** Beyond it JavaScript has no dates. */
const DATE_SECONDS_MAX = 8.64e12;
const CYCLE_DAYS = 146_097n; // 400 years

function partsOf(seconds: number): DateParts {
  if (Math.abs(seconds) > DATE_SECONDS_MAX || Number.isNaN(seconds)) return farParts(seconds);
  const date = new Date(Math.trunc(seconds) * 1000);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    weekday: date.getUTCDay(),
  };
}

/** The same date some cycles of 400 years off, which are a whole number of weeks. */
function farParts(seconds: number): DateParts {
  const fits = Math.abs(seconds) < 2 ** 63;
  const whole = fits ? BigInt(Math.trunc(seconds)) : 2n ** 63n;
  const cycleSeconds = CYCLE_DAYS * 86_400n;
  const cycles = whole / cycleSeconds;
  const near = partsOf(Number(whole - cycles * cycleSeconds));
  return { ...near, year: near.year + 400 * Number(cycles) };
}

function daysBefore({ year, month }: DateParts): number {
  return Date.UTC(2000 + (year % 400), month - 1, 1) / 86_400_000;
}

export const DATE_FUNCTIONS: ReadonlyMap<string, (seconds: number) => number> = mapOf({
  minute: (s: number) => partsOf(s).minute,
  hour: (s) => partsOf(s).hour,
  day_of_week: (s) => partsOf(s).weekday,
  day_of_month: (s) => partsOf(s).day,
  day_of_year: (s) => {
    const parts = partsOf(s);
    return daysBefore(parts) + parts.day - daysBefore({ ...parts, month: 1 });
  },
  days_in_month: (s) => {
    const parts = partsOf(s);
    return daysBefore({ ...parts, month: parts.month + 1 }) - daysBefore(parts);
  },
  month: (s) => partsOf(s).month,
  year: (s) => partsOf(s).year,
});
