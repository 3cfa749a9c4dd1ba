/**
 * Random PromQL over the data of mixed-data.ts, seeded. Expressions are well typed and mostly select something; which
 * functions and modifiers occur depends on the language asked for.
 */

export type Language = "2.42" | "3.14";

/** Functions whose results follow from additions in one defined order, or from none: they must be equal to the digit. */
export interface RandomQuery {
  readonly text: string;
}

const FLOAT_METRICS = [
  "requests_total",
  'requests_total{code="200"}',
  'requests_total{code=~"4..|500",job!="db"}',
  "cpu_seconds_total",
  "temperature",
  'temperature{job=~"a.*"}',
  "memory_bytes",
  "up",
  "latency_bucket",
  "latency_sum",
  "latency_count",
  '{__name__=~"latency_(sum|count)"}',
  'no_such_metric{job="api"}',
  "target_info",
];
const HISTOGRAM_METRICS = [
  "nh_seconds",
  "nh_float_seconds",
  "nh_gauge",
  "nhcb_seconds",
  "mixed_kinds",
  '{__name__=~"nh_.*"}',
];

const COUNTERS = ["rate", "increase", "delta", "irate", "idelta", "resets", "changes"];
const AGGREGATIONS = ["sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];

// Without what changed since 2.42: extrapolation to zero, deviations of infinities, the order of what binary operators
// give to topk.
const OLD_COUNTERS = ["delta", "irate", "idelta", "resets", "changes"];
const OLD_AGGREGATIONS = ["sum", "sum", "avg", "min", "max", "count", "group"];

export class QueryGenerator {
  readonly #random: () => number;
  readonly #language: Language;
  readonly #times: readonly number[];

  /** `times` are seconds that `@` may name. */
  constructor(random: () => number, language: Language, times: readonly number[]) {
    this.#random = random;
    this.#language = language;
    this.#times = times;
  }

  next(): RandomQuery {
    return { text: this.#chance(0.03) ? this.#scalar(2) : this.#vector(1 + this.#below(3)) };
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #chance(p: number): boolean {
    return this.#random() < p;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  get #isNew(): boolean {
    return this.#language === "3.14";
  }

  #metric(): string {
    return this.#isNew && this.#chance(0.35) ? this.#pick(HISTOGRAM_METRICS) : this.#pick(FLOAT_METRICS);
  }

  /** `@` and `offset`, mostly none. */
  #modifiers(): string {
    const at = this.#chance(0.05) ? ` @ ${this.#pick(["start()", "end()", String(this.#pick(this.#times))])}` : "";
    const offset = this.#chance(0.08) ? ` offset ${this.#pick(["1m", "-1m", "5m", "37s", "1h"])}` : "";
    return at + offset;
  }

  #selector(): string {
    return this.#metric() + this.#modifiers();
  }

  #range(depth: number): string {
    if (depth > 0 && this.#chance(0.15)) {
      const step = this.#pick(["30s", "1m", "15s", ""]);
      return `(${this.#vector(depth - 1)})[${this.#pick(["3m", "7m", "10m"])}:${step}]${this.#modifiers()}`;
    }
    return `${this.#metric()}[${this.#pick(["1m", "2m", "5m", "10m", "47s", "15s"])}]${this.#modifiers()}`;
  }

  #scalar(depth: number): string {
    const dice = this.#random();
    if (depth > 0 && dice < 0.2) return `scalar(${this.#vector(depth - 1)})`;
    if (dice < 0.3) return "time()";
    if (depth > 0 && dice < 0.4)
      return `(${this.#scalar(depth - 1)} ${this.#pick(["+", "-", "*", "/"])} ${this.#scalar(depth - 1)})`;
    return this.#pick(["0", "1", "2", "0.5", "-1", "100", "1e3", "NaN", "Inf"]);
  }

  #labels(): string {
    const labels = ["job", "instance", "code", "le", "version"].filter(() => this.#chance(0.4));
    return labels.join(", ");
  }

  #vector(depth: number): string {
    if (depth === 0) return this.#selector();
    const makers = [
      () => this.#overTime(depth),
      () => this.#overTime(depth),
      () => this.#overTime(depth),
      () => this.#aggregate(depth),
      () => this.#aggregate(depth),
      () => this.#binary(depth),
      () => this.#binary(depth),
      () => this.#math(depth),
      () => this.#other(depth),
      () => this.#histogram(depth),
      () => this.#selector(),
    ];
    return this.#pick(makers)();
  }

  #overTime(depth: number): string {
    const range = (): string => this.#range(depth - 1);
    const dice = this.#random();
    if (dice < 0.4) return `${this.#pick(this.#isNew ? COUNTERS : OLD_COUNTERS)}(${range()})`;
    if (dice < 0.45) return `quantile_over_time(${this.#pick(["0.5", "0.9", "0", "1", "2"])}, ${range()})`;
    if (dice < 0.5 && this.#isNew) return `predict_linear(${range()}, ${this.#pick(["60", "3600", "-60"])})`;
    if (dice < 0.53 && this.#isNew) return `double_exponential_smoothing(${range()}, 0.3, 0.6)`;
    if (dice < 0.56) return `absent_over_time(${range()})`;
    const names = [
      "sum_over_time",
      "avg_over_time",
      "min_over_time",
      "max_over_time",
      "count_over_time",
      "last_over_time",
      "present_over_time",
      "stddev_over_time",
      "stdvar_over_time",
      "deriv",
    ];
    const experimental = [
      "first_over_time",
      "mad_over_time",
      "ts_of_min_over_time",
      "ts_of_max_over_time",
      "ts_of_first_over_time",
      "ts_of_last_over_time",
    ];
    if (this.#isNew && this.#chance(0.08)) {
      const func = this.#pick(["rate", "increase", "delta"]);
      return `${func}(${this.#metric()}[${this.#pick(["1m", "5m"])}] ${this.#pick(["anchored", "smoothed"])})`;
    }
    return `${this.#pick(this.#isNew ? [...names, ...experimental] : names)}(${range()})`;
  }

  #aggregate(depth: number): string {
    const inner = this.#vector(depth - 1);
    const grouping = this.#chance(0.7) ? ` ${this.#pick(["by", "without"])} (${this.#labels()})` : "";
    const dice = this.#random();
    if (dice < 0.12 && this.#isNew)
      return `${this.#pick(["topk", "bottomk"])}${grouping} (${this.#pick(["1", "2", "3"])}, ${inner})`;
    if (dice < 0.18) return `quantile${grouping} (${this.#pick(["0.5", "0.9", "0.1"])}, ${inner})`;
    if (dice < 0.22) return `count_values${grouping} ("v", ${inner})`;
    if (dice < 0.26 && this.#isNew) return `limit_ratio${grouping} (${this.#pick(["0.5", "-0.5", "0.2"])}, ${inner})`;
    return `${this.#pick(this.#isNew ? AGGREGATIONS : OLD_AGGREGATIONS)}${grouping} (${inner})`;
  }

  #binary(depth: number): string {
    const left = this.#vector(depth - 1);
    if (this.#chance(0.35)) {
      const op = this.#pick(["+", "-", "*", "/", "%", "^", ">", "<", "==", "!=", ">=", "<=", "> bool", "== bool"]);
      const scalar = this.#scalar(1);
      return this.#chance(0.5) ? `(${left} ${op} ${scalar})` : `(${scalar} ${op} ${left})`;
    }
    const matching = this.#chance(0.6) ? `${this.#pick(["on", "ignoring"])} (${this.#labels()})` : "";
    const right = this.#chance(0.3) ? left : this.#vector(depth - 1);
    if (this.#chance(0.3)) return `(${left} ${this.#pick(["and", "or", "unless"])} ${matching} ${right})`;
    const op = this.#pick(["+", "-", "*", "/", ">", "<", "==", "!=", "> bool"]);
    const group = matching !== "" && this.#chance(0.4) ? `${this.#pick(["group_left", "group_right"])} ()` : "";
    const fill = this.#isNew && this.#chance(0.1) ? this.#pick(["fill(0)", "fill_left(1)", "fill_right(2)"]) : "";
    return `(${left} ${op} ${matching} ${group} ${fill} ${right})`.replace(/ +/g, " ");
  }

  #math(depth: number): string {
    const inner = this.#vector(depth - 1);
    const dice = this.#random();
    if (dice < 0.1) return `clamp(${inner}, ${this.#pick(["0", "5"])}, ${this.#pick(["3", "50"])})`;
    if (dice < 0.2) return `round(${inner}, ${this.#pick(["0.1", "5", "1"])})`;
    if (dice < 0.3) return `-${this.#chance(0.5) ? inner : `(${inner})`}`;
    if (dice < 0.4) return `timestamp(${inner})`;
    return `${this.#pick(["abs", "ceil", "floor", "sqrt", "sgn", "exp", "ln", "log2", "log10", "sin", "atan", "deg", "minute", "hour", "day_of_week", "day_of_year", "days_in_month", "month", "year"])}(${inner})`;
  }

  #other(depth: number): string {
    const inner = this.#vector(depth - 1);
    switch (this.#below(this.#isNew ? 7 : 5)) {
      case 0:
        return `absent(${inner})`;
      case 1:
        return `label_replace(${inner}, "${this.#pick(["job", "host", "__name__"])}", "$1", "instance", "([a-z]):.*")`;
      case 2:
        return `label_join(${inner}, "joined", "-", "job", "instance")`;
      case 3:
        return `${this.#pick(["sort", "sort_desc"])}(${inner})`;
      case 4:
        return `vector(${this.#scalar(depth)})`;
      case 5:
        return `info(${inner}${this.#chance(0.5) ? ', {version=~".+"}' : ""})`;
      default:
        return `${this.#pick(["sort_by_label", "sort_by_label_desc"])}(${inner}, "job")`;
    }
  }

  #histogram(depth: number): string {
    const q = this.#pick(["0.5", "0.9", "0.99", "0", "1", "-1"]);
    const by = this.#pick(["le", "le, job"]);
    const rates = [`sum by (${by}) (rate(latency_bucket[5m]))`, "latency_bucket", "rate(latency_bucket[2m])"];
    if (!this.#isNew || this.#chance(0.3)) {
      return `histogram_quantile(${q}, ${this.#pick(this.#isNew ? rates : ["latency_bucket", `sum by (${by}) (latency_bucket)`])})`;
    }
    const metric = this.#pick(HISTOGRAM_METRICS);
    const source = this.#pick([
      metric,
      `rate(${metric}[5m])`,
      `sum by (job) (rate(${metric}[5m]))`,
      `avg(${metric})`,
      this.#vector(depth - 1),
    ]);
    const dice = this.#random();
    if (dice < 0.3) return `histogram_quantile(${q}, ${source})`;
    if (dice < 0.4)
      return `histogram_fraction(${this.#pick(["0", "-1", "-Inf"])}, ${this.#pick(["2", "10", "Inf"])}, ${source})`;
    if (dice < 0.5) return `histogram_quantiles(${source}, "q", 0.5, 0.9)`;
    if (dice < 0.6) return `(${source} ${this.#pick(["</", ">/"])} ${this.#pick(["0", "1", "3.3", "-2"])})`;
    return `${this.#pick(["histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar"])}(${source})`;
  }
}
