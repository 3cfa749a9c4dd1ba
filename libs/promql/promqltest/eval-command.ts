/** `eval` blocks of a script: a query, when it is evaluated, and what must come of it. */
import { parseDuration } from "#libs/kit/duration.ts";
import { BadRequestError } from "#libs/kit/errors.ts";
import { type Labels, labelsKey } from "#libs/model/labels.ts";
import { compileRe2 } from "#libs/model/matcher.ts";
import type { RangeParams } from "../engine.ts";
import { parseNumber } from "./number.ts";
import type { Lines } from "./lines.ts";
import { parseSeriesDescription, type SequenceValue, unquote } from "./series-description.ts";

export interface ExpectedSeries {
  readonly labels: Labels;
  /** Of an instant query one value, else one a step from the first on; steps behind the last have none. */
  readonly values: readonly SequenceValue[];
}

export type ExpectedValue =
  | { readonly type: "scalar"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  /** By `labelsKey`, in the order of the script. `steps`: when the values of an instant query's range vector are. */
  | {
      readonly type: "series";
      readonly series: ReadonlyMap<string, ExpectedSeries>;
      readonly steps: RangeParams | undefined;
    };

/** A text wanted of an error or annotation. */
export interface TextPattern {
  /** For reports. */
  readonly shown: string;
  readonly matches: (text: string) => boolean;
}

export type Note = "warn" | "info";

export interface EvalCommand {
  readonly kind: "eval";
  readonly line: number;
  readonly query: string;
  readonly at: { readonly kind: "instant"; readonly timeMs: number } | ({ readonly kind: "range" } & RangeParams);
  readonly value: ExpectedValue;
  /** Series of an instant query must come in the order of the script. */
  readonly ordered: boolean;
  /** The query must fail, with such a text. */
  readonly fail: TextPattern | undefined;
  /** Each must match an annotation, each annotation one of them; undefined: not checked; empty: there must be none. */
  readonly notes: Readonly<Record<Note, readonly TextPattern[] | undefined>>;
}

const INSTANT = /^eval(?:_(fail|warn|ordered|info))?\s+instant\s+at\s+(.+?)\s+(.+)$/;
const RANGE = /^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$/;
const STEPS = /^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$/;
const EXPECT = /^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$/;

const ANYTHING: TextPattern = { shown: "any text", matches: () => true };

/** Reads the block whose first line is read. The query is only parsed when it runs. @throws BadRequestError at the line that is read then. */
export function parseEval(lines: Lines): EvalCommand {
  const line = lines.number;
  const { modifier, query, at } = parseHead(lines.line);
  const block = new EvalBlock(at, modifier);
  while (lines.next(true) && block.read(lines.line));
  return { kind: "eval", line, query, ...block.end() };
}

interface Head {
  readonly modifier: string | undefined;
  readonly query: string;
  readonly at: EvalCommand["at"];
}

function parseHead(line: string): Head {
  const instant = INSTANT.exec(line);
  if (instant !== null) {
    const [, modifier, time, query] = instant;
    return { modifier, query: query!, at: { kind: "instant", timeMs: parseDuration(time!) } };
  }
  const range = RANGE.exec(line);
  if (range !== null) {
    const [, modifier, from, to, step, query] = range;
    return { modifier, query: query!, at: { kind: "range", ...parseSteps(from!, to!, step!) } };
  }
  throw new BadRequestError("want eval instant at TIME QUERY or eval range from TIME to TIME step STEP QUERY");
}

function parseSteps(from: string, to: string, step: string): RangeParams {
  const steps = { startMs: parseDuration(from), endMs: parseDuration(to), stepMs: parseDuration(step) };
  if (steps.endMs < steps.startMs) throw new BadRequestError(`the range ends at ${to}, before it begins at ${from}`);
  if (steps.stepMs === 0) throw new BadRequestError("a step of 0");
  return steps;
}

/** What the lines of a block have said so far. */
class EvalBlock {
  #at: EvalCommand["at"];
  #value: ExpectedValue | undefined;
  readonly #series = new Map<string, ExpectedSeries>();
  #steps: RangeParams | undefined;
  #ordered: boolean;
  #fail: TextPattern | undefined;
  /** `eval_fail` has lines of its own. */
  readonly #legacyFail: boolean;
  readonly #notes: Record<Note, TextPattern[]> = { warn: [], info: [] };
  readonly #none = new Set<Note>();

  constructor(at: EvalCommand["at"], modifier: string | undefined) {
    this.#at = at;
    this.#ordered = modifier === "ordered";
    this.#legacyFail = modifier === "fail";
    if (this.#legacyFail) this.#fail = ANYTHING;
    if (modifier === "warn" || modifier === "info") this.#notes[modifier].push(ANYTHING);
  }

  /** Takes a line; false when it ends the block. */
  read(line: string): boolean {
    if (this.#legacyFail && this.#readFailLine(line)) return false;
    if (line.startsWith("expect range vector")) this.#readSteps(line);
    else if (line.startsWith("expect string")) this.#value = { type: "string", value: parseString(line) };
    else if (line.split(" ", 1)[0] === "expect") this.#readExpect(line);
    else {
      const value = parseNumber(line);
      if (value !== undefined) {
        this.#value = { type: "scalar", value };
        return false;
      }
      this.#readSeries(line);
    }
    return true;
  }

  end(): Omit<EvalCommand, "kind" | "line" | "query"> {
    const notes = (kind: Note): readonly TextPattern[] | undefined => {
      const wanted = this.#notes[kind];
      if (!this.#none.has(kind)) return wanted.length === 0 ? undefined : wanted;
      if (wanted.length > 0) throw new BadRequestError(`expect ${kind} and expect no_${kind} exclude each other`);
      return [];
    };
    return {
      at: this.#at,
      value: this.#value ?? { type: "series", series: this.#series, steps: this.#steps },
      ordered: this.#ordered,
      fail: this.#fail,
      notes: { warn: notes("warn"), info: notes("info") },
    };
  }

  #readFailLine(line: string): boolean {
    const match = /^expected_fail_(message|regexp)(.*)$/.exec(line);
    if (match !== null) this.#fail = textPattern(match[1] === "message" ? "msg" : "regex", match[2]!);
    return match !== null;
  }

  #readSteps(line: string): void {
    const match = STEPS.exec(line);
    if (match === null) throw new BadRequestError("want expect range vector from TIME to TIME step STEP");
    if (this.#at.kind === "range") throw new BadRequestError("expect range vector is for instant queries");
    this.#steps = parseSteps(match[1]!, match[2]!, match[3]!);
    this.#at = { kind: "instant", timeMs: this.#steps.endMs };
  }

  #readExpect(line: string): void {
    const match = EXPECT.exec(line);
    if (match === null) {
      throw new BadRequestError(
        "want expect ordered, fail, warn, no_warn, info or no_info, and msg:TEXT or regex:PATTERN behind it",
      );
    }
    const [, what, form, text] = match;
    const pattern = form === undefined ? ANYTHING : textPattern(form, text!);
    if (what === "ordered") this.#ordered = true;
    else if (what === "warn" || what === "info") this.#notes[what].push(pattern);
    else if (what === "fail") {
      if (this.#fail !== undefined && !this.#legacyFail) throw new BadRequestError("a second expect fail");
      this.#fail = pattern;
    } else this.#none.add(what === "no_warn" ? "warn" : "info");
  }

  #readSeries(line: string): void {
    const { labels, values } = parseSeriesDescription(line);
    const steps = this.#at.kind === "range" ? this.#at : this.#steps;
    if (steps === undefined) {
      if (values.length !== 1) {
        const hint = values.length > 1 ? "; expect range vector allows several" : "";
        throw new BadRequestError(`${values.length} values for an instant query, want one${hint}`);
      }
    } else {
      const most = Math.floor((steps.endMs - steps.startMs) / steps.stepMs) + 1;
      if (values.length > most) throw new BadRequestError(`${values.length} values for ${most} steps`);
    }
    this.#series.delete(labelsKey(labels));
    this.#series.set(labelsKey(labels), { labels, values });
  }
}

function parseString(line: string): string {
  const value = unquote(line.slice("expect string".length).trim());
  if (value === undefined) throw new BadRequestError("want expect string and a string in quotes");
  return value;
}

function textPattern(form: string, text: string): TextPattern {
  const wanted = text.trim();
  if (form === "msg") return { shown: wanted, matches: (other) => other === wanted };
  const re = compileRe2(wanted, wanted);
  return { shown: `/${wanted}/`, matches: (other) => re.test(other) };
}
