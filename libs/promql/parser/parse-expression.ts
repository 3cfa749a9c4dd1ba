/**
 * Expressions: precedence climbing over `Tokens`. One function a construct; a construct that has words of its own for a
 * fault inside it says them by `Tokens.attempt`.
 */
import { signatureOf } from "../functions/signatures.ts";
import {
  AGGREGATIONS,
  type AggregateExpr,
  type AggregationOp,
  type BinaryExpr,
  type BinaryOp,
  type CallExpr,
  type Draft,
  type Expr,
  type NumberLiteral,
  type Span,
  type VectorMatching,
} from "./ast.ts";
import { unquoteLiteral } from "./go-string.ts";
import type { ParserOptions } from "./options.ts";
import { parseGrouping, parseVectorSelector } from "./parse-labels.ts";
import { ModifierParser } from "./parse-modifiers.ts";
import { parseNumber, parseSignedNumber } from "./parse-number.ts";
import { METRIC_TYPES, type Token, type TokenType } from "./token.ts";
import type { Tokens } from "./tokens.ts";

const PRECEDENCE: Readonly<Record<BinaryOp, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  "==": 3,
  "!=": 3,
  "<": 3,
  "<=": 3,
  ">": 3,
  ">=": 3,
  "</": 3,
  ">/": 3,
  "+": 4,
  "-": 4,
  "*": 5,
  "/": 5,
  "%": 5,
  atan2: 5,
  "^": 6,
};
const BINARY: ReadonlyMap<TokenType, number> = new Map(
  (Object.keys(PRECEDENCE) as BinaryOp[]).map((op) => [op, PRECEDENCE[op]]),
);
const POWER = PRECEDENCE["^"];

const AGGREGATION_TYPES: ReadonlySet<TokenType> = new Set(AGGREGATIONS);
const WITH_PARAM: ReadonlySet<AggregationOp> = new Set([
  "topk",
  "bottomk",
  "quantile",
  "count_values",
  "limitk",
  "limit_ratio",
]);
const CALLABLE: ReadonlySet<TokenType> = new Set(["identifier", "start", "end", "step", "range", "max_of", "min_of"]);
const STARTS_EXPRESSION: ReadonlySet<TokenType> = new Set([
  ...METRIC_TYPES,
  ...(["number", "duration", "string", "+", "-", "(", "{"] as const),
]);

type Grouping = Pick<AggregateExpr, "grouping" | "without">;

/** Stands for an expression beside a fault. */
const MISSING: NumberLiteral = { kind: "number", span: { from: 0, to: 0 }, value: 0 };

export class ExpressionParser {
  readonly #tokens: Tokens;
  readonly #options: ParserOptions;
  readonly #modifiers: ModifierParser;

  constructor(tokens: Tokens, options: ParserOptions) {
    this.#tokens = tokens;
    this.#options = options;
    this.#modifiers = new ModifierParser(tokens, options);
  }

  /** Operators that bind looser than `least` are left to the caller. */
  expression(least: number): Expr {
    this.#tokens.enter();
    const expr = this.#binary(this.#operand(), least);
    this.#tokens.leave();
    return expr;
  }

  #binary(first: Expr, least: number): Expr {
    const tokens = this.#tokens;
    let lhs = first;
    for (;;) {
      const precedence = BINARY.get(tokens.ahead.type);
      if (precedence === undefined || precedence < least) return lhs;
      const token = tokens.take();
      const bool = tokens.accept("bool");
      const matching = this.#matching();
      const rhs = this.expression(precedence === POWER ? POWER : precedence + 1);
      const span = { from: lhs.span.from, to: rhs.span.to };
      const opSpan = { from: token.from, to: token.to };
      const filled = matching.fillLeft !== undefined || matching.fillRight !== undefined;
      if (filled && !this.#options.fillModifiers) {
        tokens.fault("binop fill modifiers are experimental and not enabled", span);
      }
      const node: BinaryExpr = { kind: "binary", span, opSpan, op: token.type as BinaryOp, lhs, rhs, bool, matching };
      lhs = node;
    }
  }

  #matching(): VectorMatching {
    const tokens = this.#tokens;
    const matching: Draft<VectorMatching> = {
      card: "one-to-one",
      on: false,
      labels: [],
      include: [],
      fillLeft: undefined,
      fillRight: undefined,
    };
    const word = tokens.ahead.type;
    if (word === "on" || word === "ignoring") {
      tokens.take();
      matching.on = word === "on";
      matching.labels = parseGrouping(tokens);
      const side = tokens.ahead.type;
      if (side === "group_left" || side === "group_right") {
        tokens.take();
        matching.card = side === "group_left" ? "many-to-one" : "one-to-many";
        matching.include = parseGrouping(tokens, (next) => STARTS_EXPRESSION.has(next));
      }
    }
    if (tokens.accept("fill")) {
      matching.fillLeft = this.#fillValue();
      matching.fillRight = matching.fillLeft;
    } else if (tokens.accept("fill_left")) {
      matching.fillLeft = this.#fillValue();
      if (tokens.accept("fill_right")) matching.fillRight = this.#fillValue();
    } else if (tokens.accept("fill_right")) {
      matching.fillRight = this.#fillValue();
      if (tokens.accept("fill_left")) matching.fillLeft = this.#fillValue();
    }
    return matching;
  }

  #fillValue(): number {
    this.#tokens.expect("(");
    const value = parseSignedNumber(this.#tokens);
    this.#tokens.expect(")");
    return value;
  }

  #operand(): Expr {
    const tokens = this.#tokens;
    const sign = tokens.ahead.type;
    if (sign !== "-" && sign !== "+") return this.#modifiers.apply(this.#primary());
    const { from } = tokens.take();
    // Binds like `*`: -1^2 is -(1^2).
    const expr = this.expression(POWER);
    const span = { from, to: expr.span.to };
    if (expr.kind === "number") return { ...expr, span, value: sign === "-" ? -expr.value : expr.value };
    return { kind: "unary", span, op: sign, expr };
  }

  #primary(): Expr {
    const tokens = this.#tokens;
    for (;;) {
      const { type } = tokens.ahead;
      if (METRIC_TYPES.has(type)) return this.#named(tokens.take());
      switch (type) {
        case "number":
        case "duration": {
          const token = tokens.take();
          const number: NumberLiteral = { kind: "number", span: spanOf(token), value: parseNumber(tokens, token) };
          return type === "duration" ? { ...number, isDuration: true } : number;
        }
        case "string": {
          const token = tokens.take();
          return { kind: "string", span: spanOf(token), value: unquoteLiteral(tokens.text(token)) };
        }
        case "(":
          return this.#parenthesised();
        case "{":
          return parseVectorSelector(tokens, undefined);
        default:
          tokens.reject();
      }
    }
  }

  #parenthesised(): Expr {
    const tokens = this.#tokens;
    const { from } = tokens.take();
    let expr = this.expression(0);
    while (!tokens.accept(")")) {
      tokens.reject();
      // Where tokens were dropped, what follows continues the whole expression.
      expr = this.#binary(this.#modifiers.apply(expr), 0);
    }
    return { kind: "paren", span: { from, to: tokens.end }, expr };
  }

  #named(name: Token): Expr {
    const next = this.#tokens.ahead.type;
    if (AGGREGATION_TYPES.has(name.type) && (next === "(" || next === "by" || next === "without")) {
      return this.#aggregate(name);
    }
    if (next === "(" && CALLABLE.has(name.type)) return this.#call(name);
    return parseVectorSelector(this.#tokens, name);
  }

  #call(name: Token): CallExpr {
    const tokens = this.#tokens;
    const args = this.#arguments();
    const func = tokens.text(name);
    const signature = signatureOf(func);
    const shown = JSON.stringify(func);
    if (signature === undefined) tokens.fault(`unknown function with name ${shown}`, name);
    else if (signature.experimental && !this.#options.experimentalFunctions) {
      tokens.fault(`function ${shown} is not enabled`, name);
    }
    return { kind: "call", span: { from: name.from, to: tokens.end }, func, args };
  }

  #arguments(): Expr[] {
    const tokens = this.#tokens;
    const args: Expr[] = [];
    tokens.expect("(");
    while (!STARTS_EXPRESSION.has(tokens.ahead.type)) {
      if (tokens.accept(")")) return args;
      tokens.reject();
    }
    args.push(this.expression(0));
    while (!tokens.accept(")")) {
      if (tokens.ahead.type !== ",") tokens.reject();
      else {
        const comma = tokens.take();
        if (STARTS_EXPRESSION.has(tokens.ahead.type)) args.push(this.expression(0));
        else tokens.fault("trailing commas not allowed in function call args", comma);
      }
    }
    return args;
  }

  #aggregate(name: Token): AggregateExpr {
    const tokens = this.#tokens;
    let grouping: Grouping | undefined;
    const body = tokens.attempt("aggregation", "", () => {
      grouping = this.#grouping();
      const args = this.#arguments();
      grouping ??= this.#grouping();
      return args;
    });
    const args = body ?? [];
    const op = name.type as AggregationOp;
    const whole = body !== undefined && grouping === undefined;
    const span = { from: name.from, to: whole ? tokens.end : tokens.closed };
    const wanted = WITH_PARAM.has(op) ? 2 : 1;
    if (args.length === 0) tokens.fault("no arguments for aggregate expression provided", span);
    else if ((op === "limitk" || op === "limit_ratio") && !this.#options.experimentalFunctions) {
      const flag = "--enable-feature=promql-experimental-functions";
      tokens.fault(`${op}() is experimental and must be enabled with ${flag}`, span);
    } else if (args.length !== wanted) {
      const counts = `expected ${wanted}, got ${args.length}`;
      tokens.fault(`wrong number of arguments for aggregate expression provided, ${counts}`, span);
    }
    const expr = args[wanted - 1] ?? MISSING;
    const param = wanted === 2 ? args[0] : undefined;
    return { kind: "aggregate", span, op, expr, param, ...(grouping ?? { grouping: [], without: false }) };
  }

  #grouping(): Grouping | undefined {
    const word = this.#tokens.ahead.type;
    if (word !== "by" && word !== "without") return undefined;
    this.#tokens.take();
    return { grouping: parseGrouping(this.#tokens), without: word === "without" };
  }
}

function spanOf(token: Token): Span {
  return { from: token.from, to: token.to };
}
