/** What an evaluation carries along: steps, data, limits, warnings. */
import { LimitError } from "#libs/kit/errors.ts";
import type { Slices } from "#libs/kit/slices.ts";
import type { Annotations } from "../annotations.ts";
import type { QueryStorage } from "../storage.ts";
import type { Expr } from "../parser/ast.ts";
import type { Steps, Tile } from "../tile.ts";

/** Samples of one query, counted where they are loaded and where they are kept. */
export class SampleBudget {
  readonly #samplesMax: number;
  loaded = 0;
  #held = 0;
  peak = 0;

  constructor(samplesMax: number) {
    this.#samplesMax = samplesMax;
  }

  load(count: number): void {
    this.loaded += count;
    this.#check(count);
  }

  /** Values that stay in memory until the query ends. */
  hold(count: number): void {
    this.#held += count;
    this.#check(0);
  }

  #check(passing: number): void {
    const now = this.#held + passing;
    if (now > this.peak) this.peak = now;
    if (now > this.#samplesMax) {
      throw new LimitError(
        "query processing would load too many samples into memory in query execution" +
          ` (--query.max-samples is ${this.#samplesMax}; narrow the selectors, shorten the range or raise it)`,
      );
    }
  }
}

/** Answers any node. */
export interface Evaluator {
  readonly vector: (expr: Expr, context: EvalContext) => AsyncGenerator<Tile>;
  readonly scalar: (expr: Expr, context: EvalContext) => Promise<Float64Array>;
}

export interface EvalContext {
  readonly evaluator: Evaluator;
  readonly steps: Steps;
  readonly storage: QueryStorage;
  readonly annotations: Annotations;
  readonly budget: SampleBudget;
  readonly slices: Slices;
  readonly signal: AbortSignal;
  readonly lookbackMs: number;
  /** Step of subqueries that name none. */
  readonly defaultStepMs: number;
}
