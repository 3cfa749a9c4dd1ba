/**
 * Lines of start timestamps: `metric@st` and an item for each sample of the line behind it. An item is how far the
 * start lies from the sample, with a sign and one unit.
 *
 *   _ unknown │ _xN │ -1m │ -1mxN: N + 1 times │ -1m+30sxN, -1m-30sxN: N + 1 values
 */
import { parseDuration } from "#libs/kit/duration.ts";
import { BadRequestError } from "#libs/kit/errors.ts";
import type { Labels } from "#libs/model/labels.ts";
import { parseSeriesDescription } from "./series-description.ts";

export interface StartLine {
  readonly labels: Labels;
  /** Milliseconds from the sample to its start, undefined where it is unknown. */
  readonly offsets: readonly (number | undefined)[];
}

const OFFSETS_MAX = 1_000_000;

const LINE = /^(\S*)@st\s+(.*)$/;
const UNKNOWN = /^_(?:x(\d+))?$/;
const ITEM = /^([+-]?\d+[a-z]*?)(?:([+-])([+-]?\d+[a-z]*?))?(?:x(\d+))?$/;

/** Undefined when the line is another one. @throws BadRequestError naming the item. */
export function parseStartLine(line: string): StartLine | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const offsets: (number | undefined)[] = [];
  for (const item of match[2]!.split(/\s+/)) readItem(item, offsets);
  return { labels: parseSeriesDescription(match[1]!).labels, offsets };
}

function readItem(item: string, offsets: (number | undefined)[]): void {
  const unknown = UNKNOWN.exec(item);
  if (unknown !== null) {
    const count = Number(unknown[1] ?? 1);
    if (count === 0) throw new BadRequestError(`start timestamp ${item}: a repetition of nothing`);
    add(item, offsets, count, () => undefined);
    return;
  }
  const match = ITEM.exec(item);
  if (match === null) throw new BadRequestError(`start timestamp ${item}: want _, _xN, -1m, -1mxN or -1m+1sxN`);
  const [, base, sign, step, count] = match;
  if (step !== undefined && count === undefined) throw new BadRequestError(`start timestamp ${item}: no xN at its end`);
  const from = signedDuration(base!);
  const by = step === undefined ? 0 : signedDuration(step) * (sign === "-" ? -1 : 1);
  add(item, offsets, Number(count ?? 0) + 1, (i) => from + i * by);
}

function signedDuration(text: string): number {
  const ms = parseDuration(text.replace(/^[+-]/, ""));
  return text.startsWith("-") ? -ms : ms;
}

function add(
  item: string,
  offsets: (number | undefined)[],
  count: number,
  offset: (i: number) => number | undefined,
): void {
  if (offsets.length + count > OFFSETS_MAX)
    throw new BadRequestError(`start timestamp ${item}: more than ${OFFSETS_MAX}`);
  for (let i = 0; i < count; i++) offsets.push(offset(i));
}
