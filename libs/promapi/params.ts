/** Parameters of the HTTP API and what Prometheus says when they are wrong. */
import { parse, type ParsedUrlQuery } from "node:querystring";
import { parseDuration } from "#libs/kit/duration.ts";
import { BadRequestError, messageOf } from "#libs/kit/errors.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { parseGoFloat } from "#libs/model/float.ts";
import { parseSelector } from "#libs/promql/parser/parser.ts";

/** The two ends of time as Prometheus prints them. */
const MIN_TIME_TEXT = "-292273086-05-16T16:47:06Z";
const MAX_TIME_TEXT = "292277025-08-18T07:12:54.999999999Z";
const MAX_TIME_MS = 2 ** 53;

export function invalid(name: string, cause: string): BadRequestError {
  return new BadRequestError(`invalid parameter ${JSON.stringify(name)}: ${cause}`);
}

/** Seconds as a float, or RFC 3339. @returns milliseconds. */
export function parseTime(text: string): number {
  const seconds = text === "" ? undefined : parseGoFloat(text);
  if (seconds !== undefined && Number.isFinite(seconds)) {
    const whole = Math.trunc(seconds);
    return Math.max(-MAX_TIME_MS, Math.min(MAX_TIME_MS, whole * 1000 + Math.round((seconds - whole) * 1000)));
  }
  const match = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.exec(text);
  if (match !== null) {
    const time = Date.parse(`${match[1]}${match[3]}`);
    if (!Number.isNaN(time)) return time + Math.floor(Number(match[2] ?? 0) * 1000);
  }
  if (text === MIN_TIME_TEXT) return -MAX_TIME_MS;
  if (text === MAX_TIME_TEXT) return MAX_TIME_MS;
  throw new BadRequestError(`cannot parse ${JSON.stringify(text)} to a valid timestamp`);
}

/** Seconds as a float, or a duration. @returns milliseconds. */
export function parseStep(text: string): number {
  const seconds = parseGoFloat(text);
  if (seconds !== undefined) {
    const ms = seconds * 1000;
    if (!(Math.abs(ms) <= 9_223_372_036_854)) {
      throw new BadRequestError(`cannot parse ${JSON.stringify(text)} to a valid duration. It overflows int64`);
    }
    return Math.trunc(ms);
  }
  try {
    return parseDuration(text);
  } catch {
    throw new BadRequestError(`cannot parse ${JSON.stringify(text)} to a valid duration`);
  }
}

/** URL and form parameters; the form comes first, as Go's ParseForm has it. */
export class Params {
  readonly #values: ParsedUrlQuery;

  constructor(url: string, form: string) {
    // Looked at a dozen times a request: a look into `URLSearchParams` is a walk, with checks and conversions.
    this.#values = parse(form === "" ? url : `${form}&${url}`, "&", "=", { maxKeys: 0 });
  }

  get(name: string): string {
    const value = this.#values[name];
    return (Array.isArray(value) ? value[0] : value) ?? "";
  }

  all(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value : value === undefined ? [] : [value];
  }

  time(name: string, fallback: number): number {
    return this.#parse(name, parseTime, fallback);
  }

  /** A time that may be left out; Prometheus words its errors otherwise. */
  optionalTime(name: string, fallback: number): number {
    const parse = (text: string): number => {
      try {
        return parseTime(text);
      } catch (error) {
        throw new BadRequestError(`invalid time value for '${name}': ${messageOf(error)}`);
      }
    };
    return this.#parse(name, parse, fallback);
  }

  duration(name: string, fallback: number): number {
    return this.#parse(name, parseStep, fallback);
  }

  #parse(name: string, parse: (text: string) => number, fallback: number): number {
    const text = this.get(name);
    if (text === "") return fallback;
    try {
      return parse(text);
    } catch (error) {
      throw invalid(name, messageOf(error));
    }
  }

  /** 0 is no limit. */
  limit(): number {
    const text = this.get("limit");
    if (text === "") return 0;
    if (!/^[+-]?\d+$/.test(text))
      throw invalid("limit", `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
    const limit = Number(text);
    if (limit < 0) throw invalid("limit", "limit must be non-negative");
    return limit;
  }

  boolean(name: string, fallback: boolean): boolean {
    const text = this.get(name);
    if (text === "") return fallback;
    if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
    if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
    throw invalid(name, `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
  }

  /** The selectors of `match[]`. */
  selectors(): (readonly MatcherSpec[])[] {
    return this.all("match[]").map((text) => {
      const matchers = parseSelector(text);
      if (matchers.every((matcher) => createMatcher(matcher).matches(""))) {
        throw new BadRequestError("match[] must contain at least one non-empty matcher");
      }
      return matchers;
    });
  }
}
