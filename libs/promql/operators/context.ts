/** What an evaluation carries along: steps, data, limits, warnings. */
import { LimitError } from "#libs/kit/errors.ts";
import type { Slices } from "#libs/kit/slices.ts";
import type { Annotations } from "../annotations.ts";
import type { ScanPool } from "../scan-pool.ts";
import type { QueryStorage } from "../storage.ts";
import type { Expr } from "../parser/ast.ts";
import type { Steps, Tile } from "../tile.ts";
import type { NameRemoval } from "./labels.ts";
import type { SampleCounts } from "../statistics.ts";
import type { SharedResults } from "./shared.ts";

/** What one query has in memory: counted where series are loaded and where results are kept. */
export class QueryBudget {
  readonly #samplesMax: number;
  readonly bytesMax: number;
  #samples = 0;
  #bytes = 0;
  samplesLoaded = 0;
  samplesPeak = 0;
  bytesPeak = 0;

  constructor(samplesMax: number, bytesMax: number) {
    this.#samplesMax = samplesMax;
    this.bytesMax = bytesMax;
  }

  /** Samples of one series, gone with the next. */
  load(samples: number): void {
    this.samplesLoaded += samples;
    this.#check(samples, samples * SAMPLE_BYTES);
  }

  /** Values that stay until the query ends. */
  hold(samples: number, bytes: number): void {
    this.#samples += samples;
    this.#bytes += bytes;
    this.#check(0, 0);
  }

  /** Holds what the query can do without, if there is room. */
  tryHold(bytes: number): boolean {
    if (this.#bytes + bytes > this.bytesMax) return false;
    this.hold(0, bytes);
    return true;
  }

  #check(passingSamples: number, passingBytes: number): void {
    const samples = this.#samples + passingSamples;
    const bytes = this.#bytes + passingBytes;
    if (samples > this.samplesPeak) this.samplesPeak = samples;
    if (bytes > this.bytesPeak) this.bytesPeak = bytes;
    if (samples > this.#samplesMax) {
      throw new LimitError(
        "query processing would load too many samples into memory in query execution" +
          ` (--query.max-samples is ${this.#samplesMax}; narrow the selectors, shorten the range or raise it)`,
      );
    }
    if (bytes > this.bytesMax) {
      throw new LimitError(
        `the query needs more than ${this.bytesMax} bytes of memory` +
          ` (--query.max-memory is ${this.bytesMax}; narrow the selectors, shorten the range or raise it)`,
      );
    }
  }
}

/** A time and a value. */
const SAMPLE_BYTES = 16;

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
  readonly budget: QueryBudget;
  readonly slices: Slices;
  readonly signal: AbortSignal;
  readonly lookbackMs: number;
  /** Step of subqueries that name none. */
  readonly defaultStepMs: number;
  readonly names: NameRemoval;
  readonly results: SharedResults;
  /** Where samples are counted, if they are (statistics.ts). */
  readonly counts?: SampleCounts | undefined;
  /** Whether start timestamps tell resets (`use-start-timestamps`). */
  readonly useStartTimestamps: boolean;
  /** Other threads to scan on; undefined: there are none. */
  readonly scanPool: ScanPool | undefined;
}
