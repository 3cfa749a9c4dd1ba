/**
 * `start()`, `end()`, `range()` and `step()` become numbers, `@ end()` a time, durations milliseconds: behind this pass
 * a tree says the same wherever it is evaluated.
 */
import type { AtModifier, DurationExpr, Expr, VectorSelector } from "../../parser/ast.ts";
import { evaluateDuration } from "../../parser/evaluate-duration.ts";
import { mapChildren, type PassContext, type QueryRange } from "../pass.ts";

/** @throws BadRequestError for a duration that cannot be. */
export function resolve(expr: Expr, { range, query }: PassContext): Expr {
  const durations = {
    stepMs: range.startMs === range.endMs ? 0 : range.stepMs,
    rangeMs: range.endMs - range.startMs,
    query,
  };
  const at = (given: AtModifier | undefined): AtModifier | undefined =>
    given === undefined || given.kind === "time"
      ? given
      : { kind: "time", timeMs: given.kind === "start" ? range.startMs : range.endMs };
  const ms = (known: number, duration: DurationExpr | undefined, isOffset: boolean): number =>
    duration === undefined ? known : evaluateDuration(duration, { ...durations, isOffset });
  const selector = (given: VectorSelector): VectorSelector => ({
    ...given,
    at: at(given.at),
    offsetMs: ms(given.offsetMs, given.offsetExpr, true),
    offsetExpr: undefined,
  });
  const visit = (node: Expr): Expr => {
    const mapped = mapChildren(node, visit);
    switch (mapped.kind) {
      case "selector":
        return selector(mapped);
      case "matrix":
        return {
          ...mapped,
          selector: selector(mapped.selector),
          rangeMs: ms(mapped.rangeMs, mapped.rangeExpr, false),
          rangeExpr: undefined,
        };
      case "subquery":
        return {
          ...mapped,
          at: at(mapped.at),
          rangeMs: ms(mapped.rangeMs, mapped.rangeExpr, false),
          rangeExpr: undefined,
          stepMs: ms(mapped.stepMs, mapped.stepExpr, false),
          stepExpr: undefined,
          offsetMs: ms(mapped.offsetMs, mapped.offsetExpr, true),
          offsetExpr: undefined,
        };
      case "call": {
        const value = ofQuery(mapped.func, range);
        return value === undefined ? mapped : { kind: "number", span: mapped.span, value };
      }
      default:
        return mapped;
    }
  };
  return visit(expr);
}

/** Functions of the query itself, in seconds. */
function ofQuery(func: string, { startMs, endMs, stepMs }: QueryRange): number | undefined {
  switch (func) {
    case "start":
      return startMs / 1000;
    case "end":
      return endMs / 1000;
    case "range":
      return (endMs - startMs) / 1000;
    case "step":
      return startMs === endMs ? 0 : stepMs / 1000;
    default:
      return undefined;
  }
}
