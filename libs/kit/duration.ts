/** Durations and sizes as people write them in flags and YAML. Milliseconds and bytes inside. */
import { BadRequestError } from "./errors.ts";

const UNIT_MS: Record<string, number> = {
  y: 365 * 86_400_000,
  w: 7 * 86_400_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
};

/**
 * Parses Prometheus's duration form: units `y w d h m s ms` in descending order, each at most once, or `0`.
 *
 * @returns milliseconds.
 * @throws BadRequestError naming the text.
 */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  const match = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (text === "" || match === null) throw new BadRequestError(`not a valid duration string: ${JSON.stringify(text)}`);
  const units = ["y", "w", "d", "h", "m", "s", "ms"];
  let total = 0;
  units.forEach((unit, i) => (total += Number(match[i + 1] ?? 0) * UNIT_MS[unit]!));
  // Prometheus keeps durations in int64 nanoseconds.
  if (total > 9_223_372_036_854) throw new BadRequestError("duration out of range");
  return total;
}

/** Milliseconds in Prometheus's shortest form, as `model.Duration.String()`: `1h30m`, `5m`, `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  let rest = Math.abs(ms);
  let out = ms < 0 ? "-" : "";
  const take = (unit: string, exactOnly: boolean): void => {
    const size = UNIT_MS[unit]!;
    if (exactOnly && rest % size !== 0) return;
    const count = Math.floor(rest / size);
    if (count > 0) {
      out += `${count}${unit}`;
      rest -= count * size;
    }
  };
  // Years, weeks and days only where they come out even; so 90m is 1h30m but 25h stays in hours.
  take("y", true);
  take("w", true);
  take("d", true);
  take("h", false);
  take("m", false);
  take("s", false);
  take("ms", false);
  return out;
}

const SIZE_UNITS: Record<string, number> = { "": 1, B: 1 };
["K", "M", "G", "T", "P"].forEach((letter, i) => {
  const size = 1024 ** (i + 1);
  for (const suffix of ["", "B", "iB"]) SIZE_UNITS[letter + suffix] = size;
});

/** Parses `512MB`, `2GiB`, `100`; powers of 1024 as Prometheus and Thanos do. @returns bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGTP]?(?:i?B)?)$/i.exec(text.trim());
  const letter = match?.[2]?.replace(/^[kmgtp]/, (c) => c.toUpperCase()).replace(/b$/, "B") ?? "";
  const unit = SIZE_UNITS[letter];
  if (match === null || unit === undefined) {
    throw new BadRequestError(`not a valid size: ${JSON.stringify(text)} (like 512MB or 2GiB)`);
  }
  return Math.round(Number(match[1]) * unit);
}

export function formatSize(bytes: number): string {
  const letters = ["TB", "GB", "MB", "KB"];
  for (let i = 0; i < letters.length; i++) {
    const size = 1024 ** (4 - i);
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${letters[i]}`;
  }
  return `${bytes}B`;
}
