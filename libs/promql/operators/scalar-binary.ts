/** Binary operators on two numbers, with Go's arithmetic. */
import { goPow } from "../functions/scalar-math.ts";
import type { ArithmeticOp, ComparisonOp } from "../parser/ast.ts";

export function compare(op: ComparisonOp, a: number, b: number): boolean {
  switch (op) {
    case "==":
      return a === b;
    case "!=":
      return a !== b;
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
  }
}

/** Comparisons give 1 or 0. */
export function scalarBinary(op: ArithmeticOp | ComparisonOp, a: number, b: number): number {
  switch (op) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
    case "^":
      return goPow(a, b);
    case "atan2":
      return Math.atan2(a, b);
    default:
      return compare(op, a, b) ? 1 : 0;
  }
}
