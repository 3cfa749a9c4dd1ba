/** Durations and sizes as people write them in flags and YAML. Milliseconds and bytes inside. */
import { BadRequestError } from "./errors.ts";

/** Largest first, the order in which they are written. */
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["y", 365 * 86_400_000],
  ["w", 7 * 86_400_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
]);
const UNITS = [...UNIT_MS.keys()];

/** Prometheus keeps durations in int64 nanoseconds: 2^63 of them, in whole milliseconds. */
export const DURATION_MAX_MS = 9_223_372_036_854;

/**
 * Parses Prometheus's duration form: units `y w d h m s ms` in descending order, each at most once, or `0`.
 *
 * @returns milliseconds.
 * @throws BadRequestError in Prometheus's words.
 */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  if (text === "") throw new BadRequestError("empty duration string");
  return sumOfUnits(text);
}

/** `1h30m`, as `parseDuration`, but not `0`: how PromQL writes durations. @throws BadRequestError in Prometheus's words. */
export function sumOfUnits(text: string): number {
  const invalid = new BadRequestError(`not a valid duration string: ${JSON.stringify(text)}`);
  if (!/^(?:[0-9]+[^0-9]+)+$/.test(text)) throw invalid;
  let total = 0;
  let lastRank = -1;
  for (const [, count, unit] of text.matchAll(/([0-9]+)([^0-9]+)/g)) {
    if (BigInt(count!) >= 2n ** 64n) throw invalid;
    const rank = UNITS.indexOf(unit!);
    if (rank < 0) throw new BadRequestError(`unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`);
    if (rank <= lastRank) throw invalid;
    lastRank = rank;
    total += Number(count) * UNIT_MS.get(unit!)!;
    if (total > DURATION_MAX_MS) throw new BadRequestError("duration out of range");
  }
  return total;
}

/** Milliseconds in Prometheus's shortest form, as `model.Duration.String()`: `1h30m`, `1d1h`, `90d`, `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  let rest = Math.abs(ms);
  let out = ms < 0 ? "-" : "";
  for (const [unit, size] of UNIT_MS) {
    // Years and weeks only where nothing remains: 90d, not 12w6d.
    if (rest < size || ((unit === "y" || unit === "w") && rest % size !== 0)) continue;
    out += `${Math.floor(rest / size)}${unit}`;
    rest %= size;
  }
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
