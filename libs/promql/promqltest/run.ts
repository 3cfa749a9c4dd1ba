/**
 * Runs scripts. One `eval` is several evaluations, and all must give what the script expects:
 *
 *   range:    as written
 *   instant:  as written, and with every selector fixed to that time, printed and evaluated at other times;
 *             each of these again as a range query around its time
 */
import { formatDuration } from "#libs/kit/duration.ts";
import { assert } from "#libs/kit/assert.ts";
import { BadRequestError, messageOf, reactionTo } from "#libs/kit/errors.ts";
import { validateHistogram } from "#libs/model/histogram-validate.ts";
import { formatLabels } from "#libs/model/labels.ts";
import { storedHistogram } from "#libs/model/native-histogram.ts";
import type { Engine } from "../engine.ts";
import type { Expr } from "../parser/ast.ts";
import type { ParserOptions } from "../parser/options.ts";
import { parseQuery } from "../parser/parser.ts";
import { formatExpr } from "../parser/print.ts";
import type { QueryStorage } from "../storage.ts";
import { nativeFromClassic } from "./classic-to-native.ts";
import { compareNotes, compareResult, type Mismatch, SORTED } from "./compare.ts";
import type { EvalCommand, Note } from "./eval-command.ts";
import { formatValue } from "./format.ts";
import { pinnedTimes, pinQuery } from "./pinned.ts";
import { firstUnsorted, type Result, resultOf, vectorAt } from "./result.ts";
import { type Command, type LoadCommand, type LoadedSeries, parseScript, ScriptError } from "./script.ts";

/** Where scripts put their series, and queries find them. */
export interface ScriptStorage {
  /** Begins anew, without data; also to be called first. */
  clear(): Promise<void>;
  /** Appends the samples of one series, times ascending. @throws BadRequestError when one cannot be stored. */
  append(series: LoadedSeries): void;
  /** After the series of a load: from now on queries find them. */
  commit(): Promise<void>;
  queryable(): QueryStorage;
  /** Gives up what it holds outside of memory. */
  close(): Promise<void>;
}

export type ScriptEngine = Pick<Engine, "instant" | "range">;

export interface Failure extends Mismatch {
  readonly line: number;
  /** The command, and for an eval its query. */
  readonly what: string;
  /** Which of its evaluations failed. */
  readonly run: string;
}

export interface ScriptReport {
  readonly file: string;
  /** Evals; one counts once, however often it is evaluated. */
  readonly passed: number;
  /** Evals and loads, by line. */
  readonly failures: readonly Failure[];
}

/** Only evals whose query contains `only` run; loads always do. The storage is cleared first. */
export async function runScript(
  text: string,
  file: string,
  engine: ScriptEngine,
  storage: ScriptStorage,
  only: string,
  signal: AbortSignal,
): Promise<ScriptReport> {
  let commands: readonly Command[];
  try {
    commands = parseScript(text);
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    const failure = { line: error.line, what: "script", run: "", wanted: "a line of a script", got: error.message };
    return { file, passed: 0, failures: [failure] };
  }
  const failures: Failure[] = [];
  let passed = 0;
  await storage.clear();
  for (const command of commands) {
    let failure: Failure | undefined;
    if (command.kind === "clear") await storage.clear();
    else if (command.kind === "load") failure = await runLoad(command, storage);
    else if (command.query.includes(only)) {
      failure = await runEval(command, evaluator(engine, storage.queryable(), signal));
      if (failure === undefined) passed++;
    }
    if (failure !== undefined) failures.push(failure);
  }
  return { file, passed, failures };
}

async function runLoad({ line, series, withNhcb }: LoadCommand, storage: ScriptStorage): Promise<Failure | undefined> {
  try {
    for (const one of withNhcb ? [...series, ...nativeFromClassic(series)] : series) {
      checkHistograms(one);
      storage.append(one);
    }
    await storage.commit();
    return undefined;
  } catch (error) {
    return { line, what: "load", run: "", wanted: "samples that can be stored", got: messageOf(error) };
  }
}

/** @throws BadRequestError at the first histogram that Prometheus would not store. */
function checkHistograms({ labels, samples }: LoadedSeries): void {
  for (const { timeMs, value } of samples) {
    const fault = value.kind === "histogram" ? validateHistogram(storedHistogram(value.histogram)) : undefined;
    if (fault !== undefined) throw new BadRequestError(`${formatLabels(labels)} at ${timeMs} ms: ${fault}`);
  }
}

function evaluator(engine: ScriptEngine, storage: QueryStorage, signal: AbortSignal): Evaluate {
  return async (query, at) => {
    try {
      const { value, warnings, infos } =
        at.kind === "instant"
          ? await engine.instant(query, at.timeMs, storage, {}, signal)
          : await engine.range(query, at, storage, {}, signal);
      return { result: resultOf(value), notes: { warn: warnings, info: infos } };
    } catch (error) {
      return { error };
    }
  };
}

/** Scripts may use everything. */
export const ALL_FEATURES: ParserOptions = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
};

interface Evaluation {
  readonly query: string;
  readonly at: EvalCommand["at"];
  /** For reports. */
  readonly run: string;
}

type Outcome =
  | { readonly result: Result; readonly notes: Readonly<Record<Note, readonly string[]>> }
  | { readonly error: unknown };

type Evaluate = (query: string, at: EvalCommand["at"]) => Promise<Outcome>;

async function runEval(command: EvalCommand, evaluate: Evaluate): Promise<Failure | undefined> {
  const { line, query, at } = command;
  let expr: Expr;
  try {
    expr = parseQuery(query, ALL_FEATURES);
  } catch (error) {
    return { line, what: query, run: "", wanted: "a query that parses", got: messageOf(error) };
  }
  for (const evaluation of [{ query, at, run: "" }, ...pinnedEvaluations(expr, at)]) {
    const outcome = await evaluate(evaluation.query, evaluation.at);
    let run = evaluation.run;
    let mismatch = checkOutcome(outcome, command);
    if (mismatch === undefined && "result" in outcome && isRepeatable(evaluation, command)) {
      run += `${run === "" ? "" : ", "}as a range query`;
      mismatch = await checkAsRange(evaluation, outcome.result.type === "scalar", command, evaluate);
    }
    if (mismatch !== undefined) return { line, what: query, run, ...mismatch };
  }
  return undefined;
}

function pinnedEvaluations(expr: Expr, at: EvalCommand["at"]): Evaluation[] {
  const pinned = at.kind === "instant" ? pinQuery(expr, at.timeMs) : undefined;
  if (at.kind !== "instant" || pinned === undefined) return [];
  const query = formatExpr(pinned);
  return pinnedTimes(at.timeMs).map((timeMs) => {
    return { query, at: { kind: "instant", timeMs }, run: `as ${query} at ${formatDuration(timeMs)}` };
  });
}

function checkOutcome(outcome: Outcome, command: EvalCommand): Mismatch | undefined {
  const { fail, notes } = command;
  if ("error" in outcome) {
    const { error } = outcome;
    const got = `error: ${messageOf(error)}`;
    // An error of ours is not one that a script can ask for.
    if (reactionTo(error).type === "internal") return { wanted: "no crash", got: stackOf(error) };
    if (fail === undefined) return { wanted: "a result", got };
    return fail.matches(messageOf(error)) ? undefined : { wanted: `error: ${fail.shown}`, got };
  }
  if (fail !== undefined) return { wanted: `error: ${fail.shown}`, got: formatValue(outcome.result) };
  return (
    compareNotes("warning", notes.warn, outcome.notes.warn) ??
    compareNotes("info", notes.info, outcome.notes.info) ??
    compareResult(outcome.result, command)
  );
}

function stackOf(error: unknown): string {
  const [message, place] = (error instanceof Error && error.stack ? error.stack : messageOf(error)).split("\n");
  return place === undefined ? message! : `${message} ${place.trim()}`;
}

/** Whether a range query around the time must give the same: not where the query asks for its range. */
function isRepeatable({ query, at }: Evaluation, { value }: EvalCommand): boolean {
  const isSeries = value.type !== "string" && (value.type === "scalar" || value.steps === undefined);
  return at.kind === "instant" && isSeries && !/(start|end|range|step)\(\)/.test(query);
}

/** The value in the middle of three steps a minute apart; of ordered vectors only that there is a result. */
async function checkAsRange(
  { query, at }: Evaluation,
  isScalar: boolean,
  command: EvalCommand,
  evaluate: Evaluate,
): Promise<Mismatch | undefined> {
  assert(at.kind === "instant", "a range query as a range query");
  const { timeMs } = at;
  const range = { kind: "range", startMs: timeMs - 60_000, endMs: timeMs + 60_000, stepMs: 60_000 } as const;
  const outcome = await evaluate(query, range);
  if ("error" in outcome) return checkOutcome(outcome, command);
  if (command.ordered) return undefined;
  const { result } = outcome;
  if (result.type !== "matrix") return { wanted: "a matrix", got: formatValue(result) };
  const unsorted = firstUnsorted(result.series);
  if (unsorted !== undefined) return { wanted: SORTED, got: unsorted };
  const series = vectorAt(result.series, timeMs);
  const point = series[0]?.points[0];
  if (isScalar && point?.kind === "float") return compareResult({ type: "scalar", value: point.value }, command);
  return compareResult({ type: "vector", series }, command);
}
