/**
 * Plans as text, to travel: JSON of the nodes as they are; numbers that JSON lacks are strings. What is read is checked
 * node by node against the table below, which the compiler holds against parser/ast.ts, and then by types.
 */
import { BadRequestError, messageOf } from "#libs/kit/errors.ts";
import { signatureOf } from "../functions/signatures.ts";
import {
  type AggregateExpr,
  AGGREGATIONS,
  type BinaryExpr,
  type CallExpr,
  type Expr,
  isComparison,
  isSetOp,
} from "../parser/ast.ts";
import { typeOf } from "../parser/check.ts";
import { DEPTH_MAX } from "../parser/tokens.ts";
import { type Plan, PLAN_VERSION } from "./plan.ts";

/** Each node of a query may be wrapped by two passes. */
const PLAN_DEPTH_MAX = 3 * DEPTH_MAX;
export const PLAN_CHARS_MAX = 16 * 1024 * 1024;

export function formatPlan(plan: Plan): string {
  return JSON.stringify(plan, (_, value: unknown) =>
    typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0)) ? formatOdd(value) : value,
  );
}

function formatOdd(value: number): string {
  return value === 0 ? "-0" : String(value);
}

/** @throws BadRequestError that says where the text is no plan of this version. */
export function parsePlan(text: string): Plan {
  if (text.length > PLAN_CHARS_MAX) {
    throw new BadRequestError(`plan of ${text.length} characters: at most ${PLAN_CHARS_MAX} are read`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BadRequestError(`plan: ${messageOf(cause)}`, { cause });
  }
  const { version } = (json ?? {}) as { version?: unknown };
  if (version !== PLAN_VERSION) {
    throw new BadRequestError(
      `plan: version ${JSON.stringify(version)}, but this querier reads ${PLAN_VERSION}; run one version everywhere`,
    );
  }
  return PLAN(json, "plan", PLAN_DEPTH_MAX) as Plan;
}

/** Gives the checked value. `depth` is how many more levels of nodes may follow. */
type Read = (value: unknown, path: string, depth: number) => unknown;

function wrong(path: string, wanted: string): BadRequestError {
  return new BadRequestError(`${path}: want ${wanted}`);
}

const text: Read = (value, path) => {
  if (typeof value !== "string") throw wrong(path, "a string");
  return value;
};

const ODD_NUMBERS = ["NaN", "Infinity", "-Infinity", "-0"];

const number: Read = (value, path) => {
  if (typeof value === "number") return value;
  if (typeof value === "string" && ODD_NUMBERS.includes(value)) return Number(value);
  throw wrong(path, "a number");
};

const whole: Read = (value, path, depth) => {
  const read = number(value, path, depth);
  if (!Number.isInteger(read)) throw wrong(path, "a whole number");
  return read;
};

const boolean: Read = (value, path) => {
  if (typeof value !== "boolean") throw wrong(path, "true or false");
  return value;
};

const oneOf =
  (...values: readonly (string | number | boolean)[]): Read =>
  (value, path) => {
    if (!values.includes(value as string)) throw wrong(path, `one of ${values.join(", ")}`);
    return value;
  };

const never: Read = (value, path) => {
  if (value !== undefined) throw wrong(path, "nothing: plans have it resolved");
  return undefined;
};

const optional =
  (read: Read): Read =>
  (value, path, depth) =>
    value === undefined ? undefined : read(value, path, depth);

const list =
  (read: Read): Read =>
  (value, path, depth) => {
    if (!Array.isArray(value)) throw wrong(path, "a list");
    return value.map((item, i) => read(item, `${path}[${i}]`, depth));
  };

const object =
  (fields: Readonly<Record<string, Read>>): Read =>
  (value, path, depth) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "an object");
    const given = value as Record<string, unknown>;
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(fields, name)) throw new BadRequestError(`${path}: unknown field ${JSON.stringify(name)}`);
    }
    const read = (name: string): unknown => fields[name]!(given[name], `${path}.${name}`, depth);
    return Object.fromEntries(Object.keys(fields).map((name) => [name, read(name)]));
  };

const flag = optional(oneOf(true));
const span = object({ from: whole, to: whole });
const matcher = object({ type: oneOf("=", "!=", "=~", "!~"), name: text, value: text });
const matching = object({
  card: oneOf("one-to-one", "many-to-one", "one-to-many", "many-to-many"),
  on: boolean,
  labels: list(text),
  include: list(text),
  fillLeft: optional(number),
  fillRight: optional(number),
});
const at = optional(object({ kind: oneOf("time"), timeMs: whole }));

type Kind = Expr["kind"];
type FieldsOf<K extends Kind> = Readonly<Record<Exclude<keyof Extract<Expr, { kind: K }>, "kind" | "span">, Read>>;

const node: Read = (value, path, depth) => {
  if (depth <= 0) throw new BadRequestError(`${path}: nested deeper than ${PLAN_DEPTH_MAX} levels`);
  const kind = (value as { kind?: unknown } | null)?.kind;
  const read = typeof kind === "string" && Object.hasOwn(NODES, kind) ? NODES[kind as Kind] : undefined;
  if (read === undefined) throw new BadRequestError(`${path}: unknown node ${JSON.stringify(kind)}`);
  return read(value, path, depth - 1);
};

/** `check` says what is wanted of a node whose fields are read, "" when that is what it is. */
function ofKind<K extends Kind>(
  kind: K,
  fields: FieldsOf<K>,
  check?: (expr: Extract<Expr, { kind: K }>) => string,
): Read {
  const read = object({ kind: oneOf(kind), span, ...fields });
  return (value, path, depth) => {
    const expr = read(value, path, depth) as Extract<Expr, { kind: K }>;
    const wanted = check?.(expr) ?? "";
    if (wanted !== "") throw wrong(path, wanted);
    return expr;
  };
}

const selector = ofKind("selector", {
  name: text,
  matchers: list(matcher),
  offsetMs: whole,
  offsetExpr: never,
  at,
  borders: oneOf("extrapolated", "anchored", "smoothed"),
  statsOnly: flag,
  labels: optional(list(text)),
});

const NODES: Readonly<Record<Kind, Read>> = {
  number: ofKind("number", { value: number, isDuration: flag }),
  string: ofKind("string", { value: text }),
  selector,
  matrix: ofKind("matrix", { selector, rangeMs: whole, rangeExpr: never }),
  subquery: ofKind(
    "subquery",
    {
      expr: node,
      rangeMs: whole,
      rangeExpr: never,
      stepMs: whole,
      stepExpr: never,
      offsetMs: whole,
      offsetExpr: never,
      at,
    },
    ({ expr }) => (typeOf(expr) === "vector" ? "" : VECTOR),
  ),
  unary: ofKind("unary", { op: oneOf("+", "-"), expr: node }, ({ expr }) => (isOperand(expr) ? "" : OPERANDS)),
  paren: never,
  binary: ofKind(
    "binary",
    {
      opSpan: span,
      op: oneOf(..."+ - * / % ^ atan2 == != < <= > >= and or unless </ >/".split(" ")),
      lhs: node,
      rhs: node,
      bool: boolean,
      matching: optional(matching),
    },
    checkBinary,
  ),
  aggregate: ofKind(
    "aggregate",
    { op: oneOf(...AGGREGATIONS), expr: node, param: optional(node), grouping: list(text), without: boolean },
    checkAggregate,
  ),
  call: ofKind("call", { func: text, args: list(node) }, checkCall),
  invariant: ofKind("invariant", { expr: node }, ({ expr }) => (isOperand(expr) ? "" : OPERANDS)),
  shared: ofKind("shared", { id: whole, expr: node }, ({ expr }) => (typeOf(expr) === "vector" ? "" : VECTOR)),
};

const PLAN = object({
  version: oneOf(PLAN_VERSION),
  range: object({ startMs: whole, endMs: whole, stepMs: whole }),
  query: text,
  expr: node,
});

const VECTOR = "a vector inside";
const OPERANDS = "a scalar or a vector inside";

function isOperand(expr: Expr): boolean {
  const type = typeOf(expr);
  return type === "scalar" || type === "vector";
}

function checkBinary({ op, lhs, rhs, bool, matching }: BinaryExpr): string {
  if (!isOperand(lhs) || !isOperand(rhs)) return OPERANDS;
  if (bool && !isComparison(op)) return "bool at comparisons only";
  const vectors = typeOf(lhs) === "vector" && typeOf(rhs) === "vector";
  if (isSetOp(op)) return vectors && matching?.card === "many-to-many" ? "" : "vectors and many-to-many matching";
  if (vectors) return matching === undefined || matching.card === "many-to-many" ? "matching of one side to one" : "";
  return matching === undefined ? "" : "no matching, because a side is a scalar";
}

function checkAggregate({ op, expr, param }: AggregateExpr): string {
  if (typeOf(expr) !== "vector") return VECTOR;
  const type = param === undefined ? undefined : typeOf(param);
  const wanted = op === "count_values" ? "string" : TAKES_PARAM.has(op) ? "scalar" : undefined;
  return type === wanted ? "" : `${wanted === undefined ? "no" : `a ${wanted} as`} parameter`;
}

const TAKES_PARAM: ReadonlySet<string> = new Set(["topk", "bottomk", "quantile", "limitk", "limit_ratio"]);

function checkCall({ func, args }: CallExpr): string {
  const signature = signatureOf(func);
  if (signature === undefined) return `a known function, not ${JSON.stringify(func)}`;
  const { args: types, variadic } = signature;
  const least = variadic === 0 ? types.length : types.length - 1;
  const most = variadic < 0 ? Infinity : least + variadic;
  if (args.length < least || args.length > most) return `${least} to ${most} arguments of ${func}`;
  const bad = args.findIndex((arg, i) => typeOf(arg) !== types[Math.min(i, types.length - 1)]);
  if (bad >= 0) return `a ${types[Math.min(bad, types.length - 1)]} as argument ${bad + 1} of ${func}`;
  return func === "info" && args[1] !== undefined && args[1].kind !== "selector"
    ? "a selector as argument 2 of info"
    : "";
}
