/**
 * Numbers and durations as Prometheus reads them: `strconv.ParseInt` with base prefixes, else `strconv.ParseFloat`;
 * durations by `model.ParseDuration`. Kept apart from the lexer: series descriptions of tests use them too.
 */
import { DURATION_MAX_MS, sumOfUnits } from "#libs/kit/duration.ts";
import { BadRequestError } from "#libs/kit/errors.ts";
import { quoteText } from "./go-string.ts";

/** Says what is wrong in Go's words; the caller knows where. */
export class LiteralError extends Error {
  /** What Go takes it for all the same. */
  readonly value: number;

  constructor(message: string, value = 0) {
    super(message);
    this.value = value;
  }
}

const INT64_MAX = 2n ** 63n - 1n;
const INTEGER = /^(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)$/;
const DECIMAL = /^(?:(?:\d(?:_?\d)*)?\.?(?:\d(?:_?\d)*)?)(?:[eE][+-]?\d(?:_?\d)*)?$/;

/**
 * An unsigned number: `12`, `0x1f`, `0755` (octal), `0b11`, `1_000`, `1.5e3`, `Inf`, `NaN` in any case.
 *
 * @throws LiteralError in Go's words.
 */
export function parseNumberLiteral(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  if (INTEGER.test(text)) {
    const digits = text.replaceAll("_", "");
    const value = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
    // What is too large for an integer is read as a float, in which bases are unknown.
    if (value <= INT64_MAX) return Number(value);
  }
  const word = text.toLowerCase();
  if (word === "inf" || word === "infinity") return Infinity;
  if (word === "nan") return NaN;
  if (!DECIMAL.test(text) || !/^[.\d]*\d/.test(text)) throw notANumber(text, "invalid syntax");
  const value = Number(text.replaceAll("_", ""));
  if (value === Infinity) throw notANumber(text, "value out of range", Infinity);
  return value;
}

function notANumber(text: string, why: string, value = 0): LiteralError {
  return new LiteralError(`strconv.ParseFloat: parsing ${quoteText(text)}: ${why}`, value);
}

/**
 * `1h30m`: units `y w d h m s ms` in this order, each at most once. @returns seconds.
 *
 * @throws LiteralError in Prometheus's words.
 */
export function parseDurationLiteral(text: string): number {
  const totalMs = literalMs(text);
  // In two parts, as Go's Duration.Seconds: 1.001 is 1 + 0.001.
  const restMs = totalMs % 1000;
  return (totalMs - restMs) / 1000 + restMs / 1000;
}

function literalMs(text: string): number {
  try {
    return sumOfUnits(text);
  } catch (error) {
    throw error instanceof BadRequestError ? new LiteralError(error.message) : error;
  }
}

/** Whether seconds do not fit Go's durations: 64 bits of nanoseconds. */
export function isDurationOutOfRange(seconds: number): boolean {
  return Math.abs(seconds) > 2 ** 63 / 1e9;
}

/** Seconds as Prometheus makes a duration of them: rounded to nanoseconds, of which the whole milliseconds count. */
export function secondsToMs(seconds: number): number {
  const ns = Math.sign(seconds) * Math.round(Math.abs(seconds) * 1e9);
  // NaN and 2^63 itself: what Go's conversion gives for a number that is no int64.
  if (!(ns < 2 ** 63)) return -DURATION_MAX_MS;
  return Math.round((ns - (ns % 1e6)) / 1e6) + 0;
}
