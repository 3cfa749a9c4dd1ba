/**
 * Literals of native histograms: `{{schema:1 count:3 sum:4.5 buckets:[1 2] offset:-1}}`, keys in any order. Nothing is
 * derived: a count that is not given is 0 whatever the buckets say.
 */
import { NO_BOUNDS, NO_SPANS, RESET_HINT, type ResetHint, type Span } from "#libs/model/histogram.ts";
import { NativeHistogram } from "#libs/model/native-histogram.ts";
import { parseNumber } from "./number.ts";
import { NUMBER, type Scanner, SPACES } from "./scanner.ts";

export interface HistogramLiteral {
  readonly histogram: NativeHistogram;
  /** Whether `counter_reset_hint` was written: only then it is compared. */
  readonly hintGiven: boolean;
}

type Value =
  | { readonly type: "integer" | "number"; readonly number: number }
  | { readonly type: "list"; readonly list: readonly number[] }
  | { readonly type: "hint"; readonly hint: ResetHint };

/** Key → type of its value, and the number of its token in Prometheus's parser: misplaced keys are shown with it. */
const KEYS: Readonly<Record<string, readonly [type: Value["type"], token: number]>> = {
  sum: ["number", 57370],
  count: ["number", 57371],
  schema: ["integer", 57372],
  offset: ["integer", 57373],
  n_offset: ["integer", 57374],
  buckets: ["list", 57375],
  n_buckets: ["list", 57376],
  z_bucket: ["number", 57377],
  z_bucket_w: ["number", 57378],
  custom_values: ["list", 57379],
  counter_reset_hint: ["hint", 57380],
};

const HINTS: Readonly<Record<string, ResetHint>> = {
  unknown: RESET_HINT.UNKNOWN,
  reset: RESET_HINT.RESET,
  not_reset: RESET_HINT.NOT_RESET,
  gauge: RESET_HINT.GAUGE,
};

const LETTERS = /[a-zA-Z_]+/y;
const SIGNED = new RegExp(`-?(?:${NUMBER.source}|[iI][nN][fF]|[nN][aA][nN])`, "y");
const INTEGER = /-?\d+/y;

/** Reads a literal; the scanner stands on its `{{`. @throws ParseError. */
export function readHistogramLiteral(scanner: Scanner): HistogramLiteral {
  scanner.take(/\{\{/y);
  const values = new Map<string, Value>();
  const spaced = scanner.take(SPACES) !== undefined;
  while (scanner.take(/\}\}/y) === undefined) {
    // Blanks may stand before keys, but not before the first.
    if (spaced && values.size === 0) misplaced(scanner);
    const [key, value] = readItem(scanner);
    if (values.has(key)) scanner.fail(`duplicate key "${key}" in histogram`, 0);
    values.set(key, value);
    if (scanner.take(SPACES) === undefined && scanner.peek(/\}\}/y) === undefined) {
      scanner.unexpected("histogram description", "histogram description key, e.g. buckets:[5 10 7]");
    }
  }
  return { histogram: histogramOf(values), hintGiven: values.has("counter_reset_hint") };
}

function misplaced(scanner: Scanner): never {
  const word = scanner.peek(LETTERS) ?? "";
  const key = word.toLowerCase();
  if (!Object.hasOwn(KEYS, key)) scanner.unexpected("series values");
  scanner.fail(`unexpected "<Item ${KEYS[key]![1]}>" ${JSON.stringify(word)} in series values`);
}

function readItem(scanner: Scanner): [key: string, value: Value] {
  const from = scanner.at;
  const word = scanner.take(LETTERS);
  if (word === undefined) scanner.unexpected("series values");
  const key = word.toLowerCase();
  if (!Object.hasOwn(KEYS, key)) scanner.fail(`bad histogram descriptor found: ${JSON.stringify(word)}`, from);
  if (scanner.take(/:/y) === undefined) scanner.fail("missing `:` for histogram descriptor", from);
  return [key, readValue(scanner, KEYS[key]![0])];
}

function readValue(scanner: Scanner, type: Value["type"]): Value {
  switch (type) {
    case "integer":
      return { type, number: Number(scanner.take(INTEGER) ?? scanner.unexpected("series values")) };
    case "number":
      return { type, number: readNumber(scanner) };
    case "list":
      return { type, list: readList(scanner) };
    case "hint": {
      const from = scanner.at;
      const word = scanner.take(LETTERS) ?? scanner.unexpected("series values");
      const hint = HINTS[word.toLowerCase()];
      return { type, hint: hint ?? scanner.fail(`bad histogram descriptor found: ${JSON.stringify(word)}`, from) };
    }
  }
}

function readNumber(scanner: Scanner): number {
  const from = scanner.at;
  const text = scanner.take(SIGNED) ?? scanner.unexpected("series values");
  return numberOf(scanner, text, from);
}

/** The value of the text that stands at `from`. */
export function numberOf(scanner: Scanner, text: string, from: number): number {
  return parseNumber(text) ?? scanner.fail(`bad number syntax: ${JSON.stringify(text)}`, from);
}

function readList(scanner: Scanner): number[] {
  const list: number[] = [];
  if (scanner.take(/\[/y) === undefined) scanner.unexpected("series values");
  do list.push(readNumber(scanner));
  while (scanner.take(SPACES) !== undefined && scanner.peek(/\]/y) === undefined);
  if (scanner.take(/\]/y) === undefined) scanner.unexpected("series values");
  return list;
}

function histogramOf(values: ReadonlyMap<string, Value>): NativeHistogram {
  const number = (key: string): number => {
    const value = values.get(key);
    return value?.type === "number" || value?.type === "integer" ? value.number : 0;
  };
  const list = (key: string): Float64Array => {
    const value = values.get(key);
    return value?.type === "list" ? Float64Array.from(value.list) : NO_BOUNDS;
  };
  const spans = (buckets: string, offset: string): readonly Span[] =>
    values.has(buckets) ? [[number(offset), list(buckets).length]] : NO_SPANS;
  const hint = values.get("counter_reset_hint");
  const h = new NativeHistogram();
  h.schema = number("schema");
  h.sum = number("sum");
  h.count = number("count");
  h.zeroCount = number("z_bucket");
  h.zeroThreshold = number("z_bucket_w");
  h.customValues = list("custom_values");
  h.positive = list("buckets");
  h.positiveSpans = spans("buckets", "offset");
  h.negative = list("n_buckets");
  h.negativeSpans = spans("n_buckets", "n_offset");
  if (hint?.type === "hint") h.counterResetHint = hint.hint;
  return h;
}
