/**
 * Warnings and infos of a query: results, not errors. Equal texts count once and show the position noted last; texts
 * are Prometheus's (prometheus/util/annotations). Two kinds carry figures that are joined when their texts are equal,
 * and show the position noted first.
 */
import { formatDigits, formatG } from "#libs/model/float.ts";
import { quoteGo } from "#libs/model/labels.ts";
import type { Span } from "./parser/ast.ts";

/** What went wrong with histograms while they were combined. */
export type HistogramOperation = "addition" | "subtraction" | "aggregation";

/** Buckets that had to be made monotonic, for one or more samples. */
interface Monotonicity {
  readonly samples: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly minBucket: number;
  readonly maxBucket: number;
  readonly maxDiff: number;
}

interface Annotation {
  readonly isWarning: boolean;
  readonly text: string;
  readonly at: Span | undefined;
  readonly monotonicity?: Monotonicity;
  readonly occurrences?: number;
}

export class Annotations {
  readonly #query: string;
  readonly #notes = new Map<string, Annotation>();

  constructor(query: string) {
    this.#query = query;
  }

  /** A warning of PromQL, or without a position one of the storage. */
  warn(text: string, at?: Span): void {
    this.add({ isWarning: true, text, at });
  }

  info(text: string, at: Span): void {
    this.add({ isWarning: false, text, at });
  }

  mixedFloatsHistograms(metric: string, at: Span): void {
    this.warn(`encountered a mix of histograms and floats for metric name ${quoteGo(metric)}`, at);
  }

  mixedSchemas(metric: string, at: Span): void {
    this.warn(
      `vector contains a mix of histograms with exponential and custom buckets schemas for metric name ${quoteGo(metric)}`,
      at,
    );
  }

  notCounter(metric: string, at: Span): void {
    this.warn(`this native histogram metric is not a counter: ${quoteGo(metric)}`, at);
  }

  notGauge(metric: string, at: Span): void {
    this.warn(`this native histogram metric is not a gauge: ${quoteGo(metric)}`, at);
  }

  counterResetCollision(operation: HistogramOperation, at: Span): void {
    this.warn(`conflicting counter resets during histogram ${operation}`, at);
  }

  boundsReconciled(operation: HistogramOperation, at: Span): void {
    this.info(`mismatched custom buckets were reconciled during ${operation}`, at);
  }

  histogramsIgnoredInRange(metric: string, at: Span): void {
    this.info(
      `ignored histograms in a range containing both floats and histograms for metric name ${quoteGo(metric)}`,
      at,
    );
  }

  histogramIgnored(aggregation: string, at: Span): void {
    this.info(`ignored histogram in ${aggregation} aggregation`, at);
  }

  incompatibleTypes(op: string, left: "float" | "histogram", right: "float" | "histogram", at: Span): void {
    this.info(`incompatible sample types encountered for binary operator ${quoteGo(op)}: ${left} ${op} ${right}`, at);
  }

  /** Checks a quantile; warns about one outside [0, 1]. */
  quantile(q: number, at: Span): void {
    if (q >= 0 && q <= 1) return;
    this.warn(`quantile value should be between 0 and 1, got ${formatG(q)}`, at);
  }

  /** `figures` of one sample at `timeMs`. */
  forcedMonotonicity(
    metric: string,
    at: Span,
    timeMs: number,
    figures: { readonly minBucket: number; readonly maxBucket: number; readonly maxDiff: number },
  ): void {
    const text = forMetric(
      "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
      metric,
    );
    const { minBucket, maxBucket, maxDiff } = figures;
    const monotonicity = { samples: 1, firstMs: timeMs, lastMs: timeMs, minBucket, maxBucket, maxDiff };
    this.add({ isWarning: false, text, at, monotonicity });
  }

  startTimeOverlap(metric: string, at: Span): void {
    const text = `sample has start time that overlaps with previous sample timestamp for metric ${quoteGo(metric)}`;
    this.add({ isWarning: true, text, at, occurrences: 1 });
  }

  /** All notes go through here. */
  add(note: Annotation): void {
    const { text } = note;
    const first = this.#notes.get(text);
    this.#notes.set(text, first === undefined ? note : joined(first, note));
  }

  /** Adds all notes to others, each where `move` puts it. */
  repeat(into: Annotations, move: (at: Span) => Span): void {
    for (const note of this.#notes.values()) into.add({ ...note, at: note.at && move(note.at) });
  }

  get warnings(): string[] {
    return this.#shown(true);
  }

  get infos(): string[] {
    return this.#shown(false);
  }

  #shown(warnings: boolean): string[] {
    return [...this.#notes.values()].filter(({ isWarning }) => isWarning === warnings).map((note) => this.#show(note));
  }

  #show({ isWarning, text, at, monotonicity, occurrences }: Annotation): string {
    if (at === undefined) return text;
    let shown = `PromQL ${isWarning ? "warning" : "info"}: ${text}`;
    if (monotonicity !== undefined) {
      const { samples, firstMs, lastMs, minBucket, maxBucket, maxDiff } = monotonicity;
      shown += `, from buckets ${formatG(minBucket)} to ${formatG(maxBucket)}, with a max diff of ${formatDigits(maxDiff, 2)}`;
      shown += `, over ${samples} samples from ${rfc3339(firstMs)} to ${rfc3339(lastMs)}`;
    }
    if (occurrences !== undefined && occurrences > 1) shown += ` (${occurrences} occurrences)`;
    return `${shown} (${this.#position(at)})`;
  }

  #position(span: Span): string {
    const lines = this.#query.slice(0, span.from).split("\n");
    return `${lines.length}:${Buffer.byteLength(lines.at(-1)!) + 1}`;
  }
}

/** Two notes of one text. */
function joined(first: Annotation, next: Annotation): Annotation {
  const { at } = first;
  const [a, b] = [first.monotonicity, next.monotonicity];
  if (a !== undefined && b !== undefined) {
    const monotonicity = {
      samples: a.samples + b.samples,
      firstMs: Math.min(a.firstMs, b.firstMs),
      lastMs: Math.max(a.lastMs, b.lastMs),
      minBucket: Math.min(a.minBucket, b.minBucket),
      maxBucket: Math.max(a.maxBucket, b.maxBucket),
      maxDiff: Math.max(a.maxDiff, b.maxDiff),
    };
    return { ...next, at, monotonicity };
  }
  if (first.occurrences === undefined || next.occurrences === undefined) return next;
  return { ...next, at, occurrences: first.occurrences + next.occurrences };
}

/** Notes of a part of a query: handed on as they come, and kept to be repeated at another part. */
export class RepeatableNotes extends Annotations {
  readonly #into: Annotations;

  constructor(into: Annotations) {
    super("");
    this.#into = into;
  }

  override add(note: Annotation): void {
    super.add(note);
    this.#into.add(note);
  }
}

/** The text, with the metric's name where there is one. */
export function forMetric(text: string, metric: string): string {
  return metric === "" ? text : `${text} for metric name ${quoteGo(metric)}`;
}

/** Whole seconds, as Go's `time.RFC3339` in UTC. */
function rfc3339(timeMs: number): string {
  return new Date(Math.trunc(timeMs / 1000) * 1000).toISOString().replace(".000Z", "Z");
}
