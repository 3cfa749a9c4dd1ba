/**
 * Scripts of Prometheus's promqltest: they load series and evaluate queries over them.
 *
 *   load 5m                                load_with_nhcb: classic histograms also as native ones
 *     requests{job="api"}@st _ -1m         start timestamps of the line below
 *     requests{job="api"} 0+10x100
 *   eval instant at 50m sum(requests)      or: eval range from 0 to 10m step 1m sum(requests)
 *     expect no_warn
 *     {} 100
 *   clear
 *
 * Lines are trimmed; an empty line ends a block, and so does a comment. Times are durations from the Unix epoch on.
 */
import { parseDuration } from "#libs/kit/duration.ts";
import { BadRequestError, messageOf } from "#libs/kit/errors.ts";
import { equalLabels, type Labels, labelsKey } from "#libs/model/labels.ts";
import { type EvalCommand, parseEval } from "./eval-command.ts";
import { Lines } from "./lines.ts";
import { parseSeriesDescription, type SequenceValue } from "./series-description.ts";
import { parseStartLine, type StartLine } from "./start-timestamps.ts";

export interface LoadedSample {
  readonly timeMs: number;
  /** 0: unknown. */
  readonly startMs: number;
  readonly value: Exclude<SequenceValue, { kind: "omitted" }>;
}

/** A series of one load, samples by time. */
export interface LoadedSeries {
  readonly labels: Labels;
  readonly samples: readonly LoadedSample[];
}

export interface LoadCommand {
  readonly kind: "load";
  readonly line: number;
  readonly withNhcb: boolean;
  readonly series: readonly LoadedSeries[];
}

export type Command = LoadCommand | EvalCommand | { readonly kind: "clear"; readonly line: number };

/** A script that is none from `line` on. */
export class ScriptError extends BadRequestError {
  readonly line: number;

  constructor(line: number, cause: unknown) {
    super(messageOf(cause), { cause });
    this.line = line;
  }
}

/** @throws ScriptError at the first line that is wrong. */
export function parseScript(text: string): readonly Command[] {
  const lines = new Lines(text);
  const commands: Command[] = [];
  try {
    while (lines.next(false)) commands.push(parseCommand(lines));
  } catch (error) {
    throw new ScriptError(lines.number, error);
  }
  return commands;
}

function parseCommand(lines: Lines): Command {
  const word = lines.line.split(/[ \t]/, 1)[0]!.toLowerCase();
  if (word === "clear") return { kind: "clear", line: lines.number };
  if (word.startsWith("load")) return parseLoad(lines);
  if (word.startsWith("eval")) return parseEval(lines);
  throw new BadRequestError(`no command: ${JSON.stringify(lines.line)}, want load, eval or clear`);
}

function parseLoad(lines: Lines): LoadCommand {
  const line = lines.number;
  const match = /^load(_with_nhcb)?\s+(.+)$/.exec(lines.line);
  if (match === null) throw new BadRequestError("want load STEP or load_with_nhcb STEP");
  const stepMs = parseDuration(match[2]!);
  const series = new Map<string, LoadedSeries>();
  let starts: StartLine | undefined;
  while (lines.next(true)) {
    const startLine = parseStartLine(lines.line);
    if (startLine !== undefined) {
      if (starts !== undefined) throw new BadRequestError("a line of samples must follow the line of start timestamps");
      starts = startLine;
      continue;
    }
    const { labels, values } = parseSeriesDescription(lines.line);
    if (starts !== undefined) checkStarts(starts, labels, values);
    series.set(labelsKey(labels), { labels, samples: samplesOf(values, stepMs, starts) });
    starts = undefined;
  }
  if (starts !== undefined) throw new BadRequestError("a line of samples must follow the line of start timestamps");
  return { kind: "load", line, withNhcb: match[1] !== undefined, series: [...series.values()] };
}

function checkStarts({ labels, offsets }: StartLine, metric: Labels, values: readonly SequenceValue[]): void {
  if (!equalLabels(labels, metric)) throw new BadRequestError("start timestamps and samples are of different series");
  if (offsets.length !== values.length) {
    throw new BadRequestError(`${offsets.length} start timestamps for ${values.length} samples`);
  }
}

function samplesOf(
  values: readonly SequenceValue[],
  stepMs: number,
  starts: StartLine | undefined,
): readonly LoadedSample[] {
  const samples: LoadedSample[] = [];
  values.forEach((value, i) => {
    if (value.kind === "omitted") return;
    const timeMs = i * stepMs;
    const offset = starts?.offsets[i];
    samples.push({ timeMs, startMs: offset === undefined ? 0 : timeMs + offset, value });
  });
  return samples;
}
