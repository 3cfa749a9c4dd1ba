/** Arithmetic of numbers becomes a number, parentheses go. */
import { scalarBinary } from "../../operators/scalar-binary.ts";
import { type Expr, isSetOp, isTrim } from "../../parser/ast.ts";
import { mapChildren } from "../pass.ts";

export function fold(expr: Expr): Expr {
  const mapped = mapChildren(expr, fold);
  if (mapped.kind === "paren") return mapped.expr;
  if (mapped.kind === "unary" && mapped.expr.kind === "number") {
    return { ...mapped.expr, value: mapped.op === "-" ? -mapped.expr.value : mapped.expr.value };
  }
  if (mapped.kind === "binary" && mapped.lhs.kind === "number" && mapped.rhs.kind === "number") {
    const { op } = mapped;
    if (isSetOp(op) || isTrim(op)) return mapped;
    return { kind: "number", span: mapped.span, value: scalarBinary(op, mapped.lhs.value, mapped.rhs.value) };
  }
  return mapped;
}
