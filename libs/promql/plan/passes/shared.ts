/**
 * Subtrees that stand in a query more than once, at the same steps, are evaluated once while their results are small
 * (operators/shared.ts). The largest are marked; positions in the text do not tell subtrees apart, all else does.
 */
import type { Expr } from "../../parser/ast.ts";
import { typeOf } from "../../parser/check.ts";
import { childrenOf, selectorsOf } from "../../parser/walk.ts";
import { mapChildren } from "../pass.ts";

export function markShared(expr: Expr): Expr {
  if (selectorsOf(expr).length < 2) return expr;
  const places = new Places(expr);
  const ids = new Map<string, number>();
  const mark = (node: Expr): Expr => {
    const place = places.repeated(node);
    if (place === undefined) return mapChildren(node, mark);
    let id = ids.get(place);
    if (id === undefined) ids.set(place, (id = ids.size));
    return { kind: "shared", span: node.span, id, expr: mapChildren(node, mark) };
  };
  return mark(expr);
}

/** What stands where. A place is some steps and a subtree; equal subtrees have equal numbers. */
class Places {
  readonly #numbers = new Map<string, number>();
  readonly #numberOf = new Map<unknown, number>();
  readonly #withSelector = new Set<Expr>();
  readonly #placeOf = new Map<Expr, string>();
  readonly #uses = new Map<string, number>();

  constructor(expr: Expr) {
    this.#identify(expr);
    this.#visit(expr, "");
  }

  /** The place of a subtree that stands there more than once. */
  repeated(node: Expr): string | undefined {
    const place = this.#placeOf.get(node);
    return place !== undefined && this.#uses.get(place)! > 1 ? place : undefined;
  }

  /** Children first, so that a node's text holds their numbers, and texts stay short. */
  #identify(node: Expr): void {
    const children = childrenOf(node);
    children.forEach((child) => this.#identify(child));
    if (node.kind === "selector" || children.some((child) => this.#withSelector.has(child))) {
      this.#withSelector.add(node);
    }
    const text = JSON.stringify(node, (name, value: unknown) => {
      if (name === "span" || name === "opSpan" || name === "isDuration") return undefined;
      if (name !== "" && this.#numberOf.has(value)) return `#${this.#numberOf.get(value)}`;
      // JSON has no words for these, and 0 for -0.
      if (typeof value !== "number" || (Number.isFinite(value) && !Object.is(value, -0))) return value;
      return value === 0 ? "-0" : String(value);
    });
    let number = this.#numbers.get(text);
    if (number === undefined) this.#numbers.set(text, (number = this.#numbers.size));
    this.#numberOf.set(node, number);
  }

  #visit(node: Expr, steps: string): void {
    // Of what has no selector nothing is to be gained.
    if (node.kind !== "invariant" && typeOf(node) === "vector" && this.#withSelector.has(node)) {
      const place = `${steps} ${this.#numberOf.get(node)}`;
      const uses = this.#uses.get(place) ?? 0;
      this.#placeOf.set(node, place);
      this.#uses.set(place, uses + 1);
      // What is inside is evaluated no more often than it was.
      if (uses > 0) return;
    }
    for (const child of inputsOf(node)) this.#visit(child, stepsInside(node, steps));
  }
}

/** The children that are evaluated as they are. */
function inputsOf(node: Expr): readonly Expr[] {
  if (node.kind === "matrix") return [];
  if (node.kind !== "call") return childrenOf(node);
  switch (node.func) {
    case "info":
      return node.args.slice(0, 1);
    // These look at a bare selector's samples, or at its matchers.
    case "absent":
    case "start_timestamp":
    case "timestamp": {
      const arg = node.args[0]!;
      return (arg.kind === "invariant" ? arg.expr : arg).kind === "selector" ? [] : node.args;
    }
    default:
      return node.args;
  }
}

/** Tells the steps of what is inside a node from those of the node. */
function stepsInside(node: Expr, steps: string): string {
  if (node.kind === "invariant") return `${steps}/first`;
  if (node.kind !== "subquery") return steps;
  const { rangeMs, stepMs, offsetMs, at } = node;
  return `${steps}/${rangeMs}:${stepMs}:${offsetMs}:${at?.kind === "time" ? at.timeMs : ""}`;
}
