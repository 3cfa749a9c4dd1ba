/**
 * `info(v, {selector})`: series get the labels of info metrics that belong to the same instance and job
 * (prometheus/promql/info.go). The newest info sample counts; labels a series has stay.
 */
import { ExecutionError } from "#libs/kit/errors.ts";
import { formatLabels, type Labels, labelsKey, labelValue, METRIC_NAME, withLabel } from "#libs/model/labels.ts";
import { createMatcher, type Matcher, type MatcherSpec } from "#libs/model/matcher.ts";
import type { CallExpr, Expr, VectorSelector } from "../parser/ast.ts";
import { ABSENT, copyCell, createTile, type Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectTiles, collectVector } from "./evaluator.ts";
import { forEachInSlices, mergeInSlices } from "./in-slices.ts";
import { selectInstant } from "./select-instant.ts";

/** What tells whose info a metric is. */
const IDENTIFYING = ["instance", "job"];

export async function* info(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const base = await collectVector(call.args[0]!, context);
  const given = call.args[1] === undefined ? [] : (call.args[1] as VectorSelector).matchers;
  const nameMatchers = infoNames(given.filter(({ name }) => name === METRIC_NAME));
  const labelMatchers = given.filter(({ name }) => name !== METRIC_NAME);
  const byName = nameMatchers.map(createMatcher);
  const isInfo = base.labels.map((labels) => byName.every((m) => m.matches(labelValue(labels, METRIC_NAME))));
  const infos = await selectInfos(call.args[0]!, base, isInfo, [...labelMatchers, ...nameMatchers], context);
  yield await combine(base, isInfo, infos, labelMatchers, context);
}

/** Matchers of the metrics that are looked at; what only rules out rules out of `*_info`. */
function infoNames(given: readonly MatcherSpec[]): MatcherSpec[] {
  if (given.length === 0) return [{ type: "=", name: METRIC_NAME, value: "target_info" }];
  if (given.some(({ type }) => type === "=" || type === "=~")) return [...given];
  return [{ type: "=~", name: METRIC_NAME, value: ".+_info" }, ...given];
}

/** Info series of the base's instances and jobs, with the time of the sample in ms for a value. */
async function selectInfos(
  input: Expr,
  base: Tile,
  isInfo: readonly boolean[],
  matchers: readonly MatcherSpec[],
  context: EvalContext,
): Promise<Tile> {
  const identifying: MatcherSpec[] = [];
  for (const name of IDENTIFYING) {
    const values = new Set<string>();
    base.labels.forEach((labels, s) => {
      const value = labelValue(labels, name);
      if (!isInfo[s] && value !== "") values.add(value);
    });
    if (values.size > 0) identifying.push({ type: "=~", name, value: [...values].map(quoteRe2).join("|") });
  }
  if (identifying.length === 0) return createTile(0, context.steps.count);
  const { timeMs, offsetMs } = referenceOf(input);
  const selector: VectorSelector = {
    kind: "selector",
    span: input.span,
    name: "",
    matchers: [...identifying, ...matchers],
    offsetMs,
    offsetExpr: undefined,
    at: timeMs === undefined ? undefined : { kind: "time", timeMs },
    borders: "extrapolated",
  };
  return collectTiles(selectInstant(selector, context, "info"), context);
}

function quoteRe2(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}

/** The `@` and offsets of the first selector of the expression: info is looked at as of then. */
function referenceOf(expr: Expr): { timeMs: number | undefined; offsetMs: number } {
  return reference(expr) ?? { timeMs: undefined, offsetMs: 0 };
}

function reference(expr: Expr): { timeMs: number | undefined; offsetMs: number } | undefined {
  switch (expr.kind) {
    case "selector":
      return { timeMs: expr.at?.kind === "time" ? expr.at.timeMs : undefined, offsetMs: expr.offsetMs };
    case "matrix":
      return reference(expr.selector);
    case "subquery": {
      const inner = reference(expr.expr);
      if (inner === undefined || inner.timeMs !== undefined) return inner;
      const timeMs = expr.at?.kind === "time" ? expr.at.timeMs : undefined;
      return { timeMs, offsetMs: inner.offsetMs + expr.offsetMs };
    }
    case "paren":
    case "unary":
    case "invariant":
    case "shared":
      return reference(expr.expr);
    case "aggregate":
      return (expr.param && reference(expr.param)) ?? reference(expr.expr);
    case "binary":
      return reference(expr.lhs) ?? reference(expr.rhs);
    case "call":
      for (const arg of expr.args) {
        const found = reference(arg);
        if (found !== undefined) return found;
      }
      return undefined;
    default:
      return undefined;
  }
}

/** Which info series belongs to which base series: metric, instance and job. */
function signature(metric: string, labels: Labels): string {
  return labelsKey([metric, ...IDENTIFYING.map((name) => labelValue(labels, name))]);
}

async function combine(
  base: Tile,
  isInfo: readonly boolean[],
  infos: Tile,
  labelMatchers: readonly MatcherSpec[],
  context: EvalContext,
): Promise<Tile> {
  const { slices } = context;
  const { count } = context.steps;
  const metrics = [...new Set(infos.labels.map((labels) => labelValue(labels, METRIC_NAME)))];
  const infoRows = new Map<string, number[]>();
  infos.labels.forEach((labels, s) => {
    const key = signature(labelValue(labels, METRIC_NAME), labels);
    const rows = infoRows.get(key);
    if (rows === undefined) infoRows.set(key, [s]);
    else rows.push(s);
  });
  for (const rows of infoRows.values()) checkNewest(infos, rows, count);
  const wanted = labelMatchers.length === 0 ? undefined : new Set(labelMatchers.map(({ name }) => name));
  const needsInfo = labelMatchers.map(createMatcher).some((matcher: Matcher) => !matcher.matches(""));
  const out = { rows: new Map<string, number>(), labels: [] as Labels[], cells: [] as [number, number, number][] };
  const add = (s: number): void => {
    const labels = base.labels[s]!;
    const candidates = metrics.map((metric) => infoRows.get(signature(metric, labels)) ?? []);
    for (let i = 0; i < count; i++) {
      const at = s * count + i;
      if (base.present[at] === ABSENT) continue;
      let result: Labels | undefined = labels;
      if (!isInfo[s]) {
        const found = candidates.map((rows) => newestAt(infos, rows, i, count)).filter((row) => row !== undefined);
        if (found.length === 0 && needsInfo) continue;
        result = enriched(
          labels,
          found.map((row) => infos.labels[row]!),
          wanted,
        );
      }
      const key = `${s}/${labelsKey(result)}`;
      let row = out.rows.get(key);
      if (row === undefined) {
        row = out.labels.push(result) - 1;
        out.rows.set(key, row);
      }
      out.cells.push([row, i, at]);
    }
  };
  await forEachInSlices(base.labels.length, add, slices);
  const tile = createTile(out.labels.length, count);
  tile.labels.push(...out.labels);
  for (const [row, i, at] of out.cells) {
    copyCell(base, at, tile, row * count + i);
    if (base.nameless?.has(Math.floor(at / count)) === true) (tile.nameless ??= new Set()).add(row);
  }
  return mergeInSlices(tile, count, slices);
}

/** The row whose sample at step `i` is the newest. */
function newestAt(infos: Tile, rows: readonly number[], i: number, count: number): number | undefined {
  let newest: number | undefined;
  for (const row of rows) {
    if (infos.present[row * count + i] === ABSENT) continue;
    if (newest === undefined || infos.values[row * count + i]! > infos.values[newest * count + i]!) newest = row;
  }
  return newest;
}

/** @throws ExecutionError when two info series of the same signature were sampled at the same time. */
function checkNewest(infos: Tile, rows: readonly number[], count: number): void {
  if (rows.length < 2) return;
  for (let i = 0; i < count; i++) {
    const newest = newestAt(infos, rows, i, count);
    if (newest === undefined) continue;
    const time = infos.values[newest * count + i]!;
    const other = rows.find(
      (row) => row !== newest && infos.present[row * count + i] !== ABSENT && infos.values[row * count + i] === time,
    );
    if (other === undefined) continue;
    const show = (row: number): string => `${formatLabels(infos.labels[row]!)} @ ${time}`;
    throw new ExecutionError(`found duplicate series for info metric: existing ${show(newest)}, new ${show(other)}`);
  }
}

/** The labels with those of the info series that they lack; `wanted` names the ones asked for. */
function enriched(labels: Labels, infos: readonly Labels[], wanted: ReadonlySet<string> | undefined): Labels {
  const added = new Map<string, string>();
  for (const set of infos) {
    for (let i = 0; i < set.length; i += 2) {
      const [name, value] = [set[i]!, set[i + 1]!];
      if (name === METRIC_NAME || (wanted !== undefined && !wanted.has(name))) continue;
      const other = added.get(name);
      if (other !== undefined && other !== value) throw new ExecutionError(`conflicting label: ${name}`);
      if (labelValue(labels, name) === "") added.set(name, value);
    }
  }
  let out = labels;
  for (const [name, value] of added) out = withLabel(out, name, value);
  return out;
}
