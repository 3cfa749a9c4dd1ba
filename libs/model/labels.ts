/**
 * Label sets: flat `[name, value, name, value, …]`, names strictly ascending in UTF-8 byte order, no empty value.
 *
 * Flat because one array per series is all a label set costs; strings are interned by whoever decodes them, so
 * that `===` usually decides a comparison.
 */
import { compareUtf8 } from "#libs/kit/utf8.ts";

export type Labels = readonly string[];

export const NO_LABELS: Labels = [];
export const METRIC_NAME = "__name__";

/** Prometheus's `labels.Compare`: position by position, name before value; a prefix sorts first. */
export function compareLabels(a: Labels, b: Labels): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return compareUtf8(a[i]!, b[i]!);
  }
  return a.length - b.length;
}

export function equalLabels(a: Labels, b: Labels): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The value of a label, `""` when it is absent, which Prometheus treats as the same. */
export function labelValue(labels: Labels, name: string): string {
  for (let i = 0; i < labels.length; i += 2) if (labels[i] === name) return labels[i + 1]!;
  return "";
}

/** Sorted, without empty values; of a name given twice the last value wins. */
export function labelsFrom(pairs: Iterable<readonly [string, string]>): Labels {
  const sorted = [...new Map(pairs)].filter(([, value]) => value !== "");
  return sorted.sort(([a], [b]) => compareUtf8(a, b)).flat();
}

export function labelsToObject(labels: Labels): Record<string, string> {
  const object: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let i = 0; i < labels.length; i += 2) object[labels[i]!] = labels[i + 1]!;
  return object;
}

/** The labels whose names are in `names`. */
export function keepLabels(labels: Labels, names: ReadonlySet<string>): Labels {
  const kept: string[] = [];
  for (let i = 0; i < labels.length; i += 2) if (names.has(labels[i]!)) kept.push(labels[i]!, labels[i + 1]!);
  return kept;
}

/** The labels whose names are not in `names`. */
export function dropLabels(labels: Labels, names: ReadonlySet<string>): Labels {
  for (let i = 0; i < labels.length; i += 2) {
    if (names.has(labels[i]!)) {
      const kept: string[] = [];
      for (let j = 0; j < labels.length; j += 2) if (!names.has(labels[j]!)) kept.push(labels[j]!, labels[j + 1]!);
      return kept;
    }
  }
  return labels;
}

/** `labels` with `name` set to `value`; an empty value removes it. */
export function withLabel(labels: Labels, name: string, value: string): Labels {
  const out: string[] = [];
  let placed = value === "";
  for (let i = 0; i < labels.length; i += 2) {
    const other = labels[i]!;
    if (other === name) continue;
    if (!placed && compareUtf8(name, other) < 0) {
      out.push(name, value);
      placed = true;
    }
    out.push(other, labels[i + 1]!);
  }
  if (!placed) out.push(name, value);
  return out;
}

/** A key for maps: equal exactly when the label sets are. No label contains the separator alone in this position. */
export function labelsKey(labels: Labels): string {
  let key = "";
  for (const text of labels) key += `${text.length}:${text}`;
  return key;
}

/** As Prometheus prints it: `name{a="b", c="d"}`, `{a="b"}`, `{}`. */
export function formatLabels(labels: Labels): string {
  const parts: string[] = [];
  for (let i = 0; i < labels.length; i += 2) {
    const name = labels[i]!;
    parts.push(`${isLegacyLabelName(name) ? name : quoteGo(name)}=${quoteGo(labels[i + 1]!)}`);
  }
  return `{${parts.join(", ")}}`;
}

/** The form of names before UTF-8 names were allowed: what needs no quotes in a selector. */
export function isLegacyLabelName(name: string): boolean {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);
}

export function isLegacyMetricName(name: string): boolean {
  return /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
}

/** Go's `strconv.Quote`. */
export function quoteGo(text: string): string {
  let out = '"';
  for (const char of text) {
    const code = char.codePointAt(0)!;
    const short = GO_ESCAPES.get(char);
    if (short !== undefined) out += short;
    // A byte that is no UTF-8, as the parser keeps it (libs/promql/parser/go-string.ts).
    else if (code >= 0xdc80 && code <= 0xdcff) out += `\\x${(code - 0xdc00).toString(16)}`;
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, "0")}`;
    else if (code >= 0x80 && !/^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(char)) {
      out += code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
    } else out += char;
  }
  return `${out}"`;
}

const GO_ESCAPES = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
]);
