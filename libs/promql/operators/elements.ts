/**
 * Binary operators on two samples where one or both are histograms (prometheus/promql/engine.go, vectorElemBinop).
 * Pairs that make no sense have no result and leave a note.
 */
import { RESET_HINT } from "#libs/model/histogram.ts";
import { type NativeHistogram, withHint } from "#libs/model/native-histogram.ts";
import { addHistograms, subtractHistograms } from "#libs/model/native-histogram/add.ts";
import { equalHistograms } from "#libs/model/native-histogram/compare.ts";
import { compactHistogram, divideHistogram, scaleHistogram } from "#libs/model/native-histogram/scale.ts";
import { trimHistogram } from "#libs/model/native-histogram/trim.ts";
import type { Annotations } from "../annotations.ts";
import type { ArithmeticOp, ComparisonOp, Span, TrimOp } from "../parser/ast.ts";

export type ElementOp = ArithmeticOp | ComparisonOp | TrimOp;
export type Element = number | NativeHistogram;

/** Leaves a note about a pair; `isError` ones come without a result. */
export type Note = (notes: Annotations) => void;

export interface ElementResult {
  /** undefined: the pair has no result at all, not even one that a filter could drop. */
  readonly value: Element | undefined;
  /** What a comparison says; true for others. */
  readonly keep: boolean;
  readonly note: Note | undefined;
}

/** At least one of `left` and `right` is a histogram, or `op` trims. */
export function combineElements(op: ElementOp, left: Element, right: Element, at: Span): ElementResult {
  if (typeof left !== "number" && typeof right !== "number") return combineHistograms(op, left, right, at);
  if (typeof left !== "number" && typeof right === "number") {
    switch (op) {
      case "*":
        return result(compactHistogram(scaleHistogram(left, right)));
      case "/":
        return result(compactHistogram(divideHistogram(left, right)));
      case "</":
      case ">/":
        return result(trimHistogram(left, right, op === "</"));
      default:
        break;
    }
  }
  if (typeof left === "number" && typeof right !== "number" && op === "*") {
    return result(compactHistogram(scaleHistogram(right, left)));
  }
  const [x, y] = [kindOf(left), kindOf(right)];
  return { value: undefined, keep: false, note: (notes) => notes.incompatibleTypes(op, x, y, at) };
}

function kindOf(element: Element): "float" | "histogram" {
  return typeof element === "number" ? "float" : "histogram";
}

function result(value: Element, note?: Note): ElementResult {
  return { value, keep: true, note };
}

function combineHistograms(op: ElementOp, left: NativeHistogram, right: NativeHistogram, at: Span): ElementResult {
  switch (op) {
    case "==":
      return { value: left, keep: equalHistograms(left, right), note: undefined };
    case "!=":
      return { value: left, keep: !equalHistograms(left, right), note: undefined };
    case "+":
    case "-":
      break;
    default:
      return {
        value: undefined,
        keep: false,
        note: (notes) => notes.incompatibleTypes(op, "histogram", "histogram", at),
      };
  }
  const outcome = op === "+" ? addHistograms(left, right) : subtractHistograms(left, right);
  const operation = op === "+" ? "addition" : "subtraction";
  if (outcome === undefined) {
    const text = `incompatible bucket layout encountered for binary operator ${op}`;
    return { value: undefined, keep: false, note: (notes) => notes.warn(text, at) };
  }
  const { histogram, counterResetCollision, boundsReconciled } = outcome;
  const value = compactHistogram(op === "+" ? histogram : withHint(histogram, RESET_HINT.GAUGE));
  if (counterResetCollision) {
    // Prometheus treats the warning as an error here: nothing comes of the pair.
    return { value: undefined, keep: false, note: (notes) => notes.counterResetCollision(operation, at) };
  }
  return result(value, boundsReconciled ? (notes) => notes.boundsReconciled(operation, at) : undefined);
}
