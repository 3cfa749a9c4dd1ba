/**
 * Series descriptions: a label set and a sequence of values, one for each step. Scripts load series and say what they
 * expect in this notation, and so do unit tests of rules.
 *
 *   http_requests{job="api"} 1 2.5 _ stale 0+10x3 _x2 {{schema:1 buckets:[1 2]}}x4
 *
 *   v │ vxN: N + 1 times │ a+bxN, a-bxN: N + 1 values │ _ nothing │ _xN nothing N times │ stale │ {{…}} histogram, as v
 */
import { type Labels, labelsFrom, METRIC_NAME } from "#libs/model/labels.ts";
import { addHistograms, subtractHistograms } from "#libs/model/native-histogram/add.ts";
import { parseQuery } from "../parser/parser.ts";
import { type HistogramLiteral, numberOf, readHistogramLiteral } from "./histogram-literal.ts";
import { NUMBER, Scanner, SPACES, WORD } from "./scanner.ts";

export type SequenceValue =
  | { readonly kind: "omitted" }
  | { readonly kind: "stale" }
  | { readonly kind: "float"; readonly value: number }
  | ({ readonly kind: "histogram" } & HistogramLiteral);

export interface SeriesDescription {
  readonly labels: Labels;
  readonly values: readonly SequenceValue[];
}

/** A repetition may not make more values than this. */
const VALUES_MAX = 1_000_000;

const OMITTED: SequenceValue = { kind: "omitted" };
const STRING = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`/y;
const SIGN = /[+-]/y;

/** @throws ParseError with the position in `text`. */
export function parseSeriesDescription(text: string): SeriesDescription {
  const scanner = new Scanner(text);
  const labels = readMetric(scanner);
  const values: SequenceValue[] = [];
  while (scanner.at < text.length) {
    if (scanner.take(SPACES) === undefined) scanner.unexpected("series values");
    if (scanner.at < text.length) readItem(scanner, values);
  }
  return { labels, values };
}

function readMetric(scanner: Scanner): Labels {
  const pairs: [string, string][] = [];
  const name = scanner.take(/[a-zA-Z_:][a-zA-Z0-9_:]*/y);
  if (scanner.take(/\{/y) !== undefined) {
    skipSpaces(scanner);
    while (scanner.take(/\}/y) === undefined) {
      pairs.push(readLabel(scanner));
      skipSpaces(scanner);
      if (scanner.take(/,/y) === undefined && scanner.peek(/\}/y) === undefined) {
        scanner.unexpected("label set", '"," or "}"');
      }
      skipSpaces(scanner);
    }
  }
  if (name !== undefined) pairs.push([METRIC_NAME, name]);
  return labelsFrom(pairs);
}

/** `name="value"`, `"any name"="value"` or `"the metric's name"`. */
function readLabel(scanner: Scanner): [name: string, value: string] {
  const quoted = scanner.peek(/["'`]/y) !== undefined;
  const name = quoted ? readString(scanner) : scanner.take(/[a-zA-Z_][a-zA-Z0-9_]*/y);
  if (name === undefined) scanner.unexpected("label set", 'identifier or "}"');
  skipSpaces(scanner);
  if (scanner.take(/=/y) === undefined) {
    if (quoted) return [METRIC_NAME, name];
    scanner.unexpected("label set", '"="');
  }
  skipSpaces(scanner);
  if (scanner.peek(/["'`]/y) === undefined) scanner.unexpected("label set", "string");
  return [name, readString(scanner)];
}

function skipSpaces(scanner: Scanner): void {
  scanner.take(SPACES);
}

function readString(scanner: Scanner): string {
  const literal = scanner.take(STRING) ?? scanner.fail("unterminated quoted string");
  return unquote(literal) ?? scanner.fail(`no string literal: ${literal}`);
}

/** The value of a string literal of PromQL; undefined when the text is none. */
export function unquote(literal: string): string | undefined {
  STRING.lastIndex = 0;
  if (STRING.exec(literal)?.[0] !== literal) return undefined;
  const expr = parseQuery(literal);
  return expr.kind === "string" ? expr.value : undefined;
}

function readItem(scanner: Scanner, values: SequenceValue[]): void {
  if (scanner.take(/stale(?![a-zA-Z0-9_:])/y) !== undefined) values.push({ kind: "stale" });
  else if (scanner.take(/_(?![a-wyz0-9])/y) !== undefined) {
    repeat(scanner, values, scanner.peek(/x/y) === undefined ? 1 : readCount(scanner), OMITTED);
  } else if (scanner.peek(/\{\{/y) !== undefined) readHistograms(scanner, values);
  else readFloats(scanner, values);
}

function readFloats(scanner: Scanner, values: SequenceValue[]): void {
  let value = readNumber(scanner, scanner.take(SIGN) ?? "");
  const step = scanner.take(SIGN);
  if (step === undefined) {
    repeat(scanner, values, readRepetitions(scanner), { kind: "float", value });
    return;
  }
  const delta = readNumber(scanner, step);
  const count = readCount(scanner) + 1;
  limit(scanner, values.length + count);
  // Added up, not multiplied: roundings are part of the notation.
  for (let i = 0; i < count; i++, value += delta) values.push({ kind: "float", value });
}

function readNumber(scanner: Scanner, sign: string): number {
  const from = scanner.at;
  const word = scanner.peek(WORD)?.toLowerCase();
  const text = word === "inf" || word === "nan" ? scanner.take(WORD)! : scanner.take(NUMBER);
  if (text === undefined) {
    scanner.unexpected("series values", word !== undefined && sign === "" ? 'number or "stale"' : undefined);
  }
  return numberOf(scanner, sign + text, from);
}

function readHistograms(scanner: Scanner, values: SequenceValue[]): void {
  const base = readHistogramLiteral(scanner);
  const op = scanner.take(/[+-](?=\{\{)/y);
  if (op === undefined) {
    repeat(scanner, values, readRepetitions(scanner), { kind: "histogram", ...base });
    return;
  }
  const { histogram: delta, hintGiven } = readHistogramLiteral(scanner);
  const countAt = scanner.at + 1;
  const count = readCount(scanner);
  limit(scanner, values.length + count);
  const combine = op === "+" ? addHistograms : subtractHistograms;
  let { histogram } = base;
  values.push({ kind: "histogram", histogram, hintGiven });
  for (let i = 0; i < count; i++) {
    if (histogram.schema > delta.schema) {
      const schemas = `cannot merge from schema ${delta.schema} to ${histogram.schema}`;
      scanner.fail(`error combining histograms: ${schemas}`, countAt);
    }
    const combined = combine(histogram, delta);
    if (combined === undefined) scanner.fail("error combining histograms: buckets of different kinds", countAt);
    histogram = combined.histogram;
    values.push({ kind: "histogram", histogram, hintGiven });
  }
}

/** How many times a value stands: once, or N + 1 times with `xN` behind it. */
function readRepetitions(scanner: Scanner): number {
  return scanner.peek(/x/y) === undefined ? 1 : readCount(scanner) + 1;
}

/** The N of `xN`. */
function readCount(scanner: Scanner): number {
  if (scanner.take(/x/y) === undefined) scanner.unexpected("series values");
  return Number(scanner.take(/\d+/y) ?? scanner.unexpected("series values"));
}

function repeat(scanner: Scanner, values: SequenceValue[], count: number, value: SequenceValue): void {
  limit(scanner, values.length + count);
  for (let i = 0; i < count; i++) values.push(value);
}

function limit(scanner: Scanner, count: number): void {
  if (count > VALUES_MAX) scanner.fail(`${count} values in a series, most are ${VALUES_MAX}`);
}
