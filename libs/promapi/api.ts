/**
 * The Prometheus HTTP API, as a function from request to response: which thread has the socket is not its business.
 */
import { messageOf, reactionTo, NotFoundError, BadRequestError } from "#libs/kit/errors.ts";
import { Slices } from "#libs/kit/slices.ts";
import { BUILD } from "#libs/kit/build.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { MatcherSpec } from "#libs/model/matcher.ts";
import type { Engine, QueryOptions, QueryResult, QueryValue } from "#libs/promql/engine.ts";
import { explainQuery } from "#libs/promql/explain.ts";
import type { Expr } from "#libs/promql/parser/ast.ts";
import { ALL_OFF, type ParserOptions } from "#libs/promql/parser/options.ts";
import { parseQuery } from "#libs/promql/parser/parser.ts";
import { prettyExpr } from "#libs/promql/parser/pretty.ts";
import { selectorsOf } from "#libs/promql/parser/walk.ts";
import type { QueryRange } from "#libs/promql/plan/pass.ts";
import type { QueryStorage } from "#libs/promql/storage.ts";
import { releaseTile } from "#libs/promql/tile.ts";
import { type SeriesExemplars, writeExemplars } from "./exemplars.ts";
import { JsonWriter } from "./json-writer.ts";
import { invalid, Params } from "./params.ts";
import { exprToJson } from "./parse-query.ts";
import { type ApiRequest, type ApiResponse, errorResponse, JSON_HEADERS, success } from "./response.ts";
import { writeNotes, writeResult } from "./results.ts";

/** Choices of one request that the data source must know. */
export interface SourceOptions {
  readonly tenant: string;
  readonly dedup: boolean;
  readonly partialResponse: boolean | undefined;
  readonly replicaLabels: readonly string[] | undefined;
}

export interface LabelQuery {
  readonly mint: number;
  readonly maxt: number;
  /** Series of any of the selectors; none is all series. */
  readonly selectors: readonly (readonly MatcherSpec[])[];
  readonly limit: number;
}

export type ExemplarQuery = Omit<LabelQuery, "limit">;

export interface Answer<T> {
  readonly values: T;
  readonly warnings: readonly string[];
}

export interface MetricMetadata {
  readonly type: string;
  readonly unit: string;
  readonly help: string;
}

/** What answers come from. */
export interface DataSource {
  storage(options: SourceOptions): QueryStorage;
  labelNames(query: LabelQuery, options: SourceOptions, signal: AbortSignal): Promise<Answer<readonly string[]>>;
  labelValues(
    name: string,
    query: LabelQuery,
    options: SourceOptions,
    signal: AbortSignal,
  ): Promise<Answer<readonly string[]>>;
  /** By labels, each once. */
  series(query: LabelQuery, options: SourceOptions, signal: AbortSignal): Promise<Answer<readonly Labels[]>>;
  metadata(options: SourceOptions): Promise<Answer<ReadonlyMap<string, readonly MetricMetadata[]>>>;
  /** By labels. Data that has no exemplars to give is named by a warning. */
  exemplars(
    query: ExemplarQuery,
    options: SourceOptions,
    signal: AbortSignal,
  ): Promise<Answer<readonly SeriesExemplars[]>>;
}

export interface ApiOptions {
  readonly engine: Engine;
  /** Of `parse_query` and `format_query`; what the engine parses with. */
  readonly parser?: ParserOptions | undefined;
  readonly source: DataSource;
  readonly now: () => number;
  /** flag → value, secrets masked. */
  readonly flags: Readonly<Record<string, string>>;
  readonly startedAtMs: number;
  readonly retentionText: string;
  /** Told of each query, also of those that failed. */
  readonly onQuery?: (entry: QueryEntry) => void;
}

/** One query, as the log of slow ones has it. */
export interface QueryEntry extends QueryRange {
  readonly tenant: string;
  readonly query: string;
  /** Of HTTP. */
  readonly status: number;
  /** Of the result; undefined, with what follows, of a query that failed. */
  readonly series?: number | undefined;
  /** Decoded. */
  readonly samples?: number | undefined;
  /** Of the answer. */
  readonly bytes?: number | undefined;
  readonly tookMs: number;
}

const POINTS_MAX = 11_000;
const ALL_TIME_MS = 2 ** 53;
export class PrometheusApi {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** Always answers: errors become their envelope. */
  async handle(request: ApiRequest, signal: AbortSignal): Promise<ApiResponse> {
    try {
      return await this.#route(request, new Params(request.query, request.form), signal);
    } catch (error) {
      return errorResponse(error);
    }
  }

  #route(request: ApiRequest, params: Params, signal: AbortSignal): ApiResponse | Promise<ApiResponse> {
    const { path } = request;
    const values = /^label\/([^/]+)\/values$/.exec(path);
    if (values !== null) return this.#labelValues(decodeName(values[1]!), request, params, signal);
    switch (path) {
      case "query":
        return this.#query(request, params, signal);
      case "query_range":
        return this.#queryRange(request, params, signal);
      case "query_exemplars":
        return this.#queryExemplars(request, params, signal);
      case "query_explain": {
        const timeMs = params.optionalTime("time", this.#options.now());
        return this.#explain(params, { startMs: timeMs, endMs: timeMs, stepMs: 0 });
      }
      case "query_range_explain":
        return this.#explain(params, rangeOf(params));
      case "parse_query":
        return success(exprToJson(this.#parse(params)));
      case "format_query":
        return success(prettyExpr(this.#parse(params)));
      case "labels":
        return this.#labels(request, params, signal);
      case "series":
        return this.#series(request, params, signal);
      case "metadata":
        return this.#metadata(request, params);
      case "status/buildinfo":
        return success({
          version: BUILD.prometheus,
          revision: `cairn-${BUILD.version}`,
          branch: "",
          buildUser: "",
          buildDate: "",
          goVersion: process.version,
        });
      case "status/flags":
        return success(this.#options.flags);
      case "status/runtimeinfo":
        return success({
          startTime: new Date(this.#options.startedAtMs).toISOString(),
          CWD: process.cwd(),
          reloadConfigSuccess: true,
          lastConfigTime: new Date(this.#options.startedAtMs).toISOString(),
          corruptionCount: 0,
          goroutineCount: 0,
          GOMAXPROCS: 0,
          GOMEMLIMIT: 0,
          GOGC: "",
          GODEBUG: "",
          storageRetention: this.#options.retentionText,
        });
      default:
        throw new NotFoundError(`/api/v1/${path} is not served here`);
    }
  }

  #source(request: ApiRequest, params: Params): SourceOptions {
    const partial = params.get("partial_response");
    const replicas = params.all("replicaLabels[]");
    return {
      tenant: request.tenant,
      dedup: params.boolean("dedup", true),
      partialResponse: partial === "" ? undefined : params.boolean("partial_response", false),
      replicaLabels: replicas.length === 0 ? undefined : replicas,
    };
  }

  #parse(params: Params): Expr {
    try {
      return parseQuery(params.get("query"), this.#options.parser ?? ALL_OFF);
    } catch (error) {
      throw error instanceof BadRequestError ? invalid("query", error.message) : error;
    }
  }

  #query(request: ApiRequest, params: Params, signal: AbortSignal): Promise<ApiResponse> {
    const limit = params.limit();
    const timeMs = params.optionalTime("time", this.#options.now());
    const range = { startMs: timeMs, endMs: timeMs, stepMs: 0 };
    return this.#answer(request, params, range, limit, signal, (text, storage, options) =>
      this.#options.engine.instant(text, timeMs, storage, options, signal),
    );
  }

  #queryRange(request: ApiRequest, params: Params, signal: AbortSignal): Promise<ApiResponse> {
    const limit = params.limit();
    const range = rangeOf(params);
    return this.#answer(request, params, range, limit, signal, (text, storage, options) =>
      this.#options.engine.range(text, range, storage, options, signal),
    );
  }

  /** Evaluates, writes, and tells of both. */
  async #answer(
    request: ApiRequest,
    params: Params,
    range: QueryRange,
    limit: number,
    signal: AbortSignal,
    run: (query: string, storage: QueryStorage, options: QueryOptions) => Promise<QueryResult>,
  ): Promise<ApiResponse> {
    const shown = { limit, stats: params.get("stats"), analysis: params.boolean("analyze", false) };
    const options = queryOptions(params, shown.stats !== "" || shown.analysis);
    const query = params.get("query");
    const storage = this.#options.source.storage(this.#source(request, params));
    const startedAt = performance.now();
    const tell = (outcome: Pick<QueryEntry, "status" | "series" | "samples" | "bytes">): void =>
      this.#options.onQuery?.({
        tenant: request.tenant,
        query,
        startMs: range.startMs,
        endMs: range.endMs,
        stepMs: range.stepMs,
        ...outcome,
        tookMs: performance.now() - startedAt,
      });
    try {
      const result = await run(query, storage, options);
      const body = await writeResult(result, shown, new Slices(10, signal));
      if ("tile" in result.value) releaseTile(result.value.tile);
      tell({
        status: 200,
        series: seriesIn(result.value),
        samples: result.stats.samplesLoaded,
        bytes: body.byteLength,
      });
      return { status: 200, headers: JSON_HEADERS, body };
    } catch (error) {
      const shownError = error instanceof BadRequestError ? invalid("query", error.message) : error;
      tell({ status: reactionTo(shownError).httpStatus });
      throw shownError;
    }
  }

  #explain(params: Params, range: QueryRange): ApiResponse {
    const { tree, before, after } = explainQuery(this.#parse(params), range, params.get("query"));
    return success({ ...tree, before, after });
  }

  async #queryExemplars(request: ApiRequest, params: Params, signal: AbortSignal): Promise<ApiResponse> {
    const mint = params.optionalTime("start", -ALL_TIME_MS);
    const maxt = params.optionalTime("end", ALL_TIME_MS);
    if (maxt < mint) throw new BadRequestError("end timestamp must not be before start timestamp");
    const selectors = selectorsOf(parseQuery(params.get("query"), this.#options.parser ?? ALL_OFF));
    // As Prometheus: an expression without a selector has no data, not even an empty list.
    const query = { mint, maxt, selectors };
    const answer =
      selectors.length === 0
        ? undefined
        : await this.#options.source.exemplars(query, this.#source(request, params), signal);
    return { status: 200, headers: JSON_HEADERS, body: writeExemplars(answer?.values, answer?.warnings ?? []) };
  }

  #labelQuery(params: Params): LabelQuery {
    const limit = params.limit();
    const mint = params.optionalTime("start", -ALL_TIME_MS);
    const maxt = params.optionalTime("end", ALL_TIME_MS);
    return { mint, maxt, selectors: params.selectors(), limit };
  }

  async #labels(request: ApiRequest, params: Params, signal: AbortSignal): Promise<ApiResponse> {
    const query = this.#labelQuery(params);
    const answer = await this.#options.source.labelNames({ ...query, limit: 0 }, this.#source(request, params), signal);
    return listAnswer(answer, query.limit);
  }

  async #labelValues(escaped: string, request: ApiRequest, params: Params, signal: AbortSignal): Promise<ApiResponse> {
    const name = unescapeName(escaped);
    if (name === "" || /[\uD800-\uDFFF\uFFFD]/u.test(name))
      throw new BadRequestError(`invalid label name: ${JSON.stringify(name)}`);
    const query = this.#labelQuery(params);
    const answer = await this.#options.source.labelValues(
      name,
      { ...query, limit: 0 },
      this.#source(request, params),
      signal,
    );
    return listAnswer(answer, query.limit);
  }

  async #series(request: ApiRequest, params: Params, signal: AbortSignal): Promise<ApiResponse> {
    if (params.all("match[]").length === 0) throw new BadRequestError("no match[] parameter provided");
    let query: LabelQuery;
    try {
      query = this.#labelQuery(params);
    } catch (error) {
      // Only this endpoint names the parameter at fault.
      throw messageOf(error).startsWith("invalid parameter") ? error : invalid("match[]", messageOf(error));
    }
    const { values, warnings } = await this.#options.source.series(
      { ...query, limit: 0 },
      this.#source(request, params),
      signal,
    );
    const out = new JsonWriter();
    out.raw('{"status":"success","data":[');
    values.slice(0, query.limit === 0 ? undefined : query.limit).forEach((labels, i) => {
      if (i > 0) out.raw(",");
      out.labels(labels);
    });
    out.raw("]");
    writeNotes(out, limitWarning(warnings, values.length, query.limit), []);
    out.raw("}");
    return { status: 200, headers: JSON_HEADERS, body: out.finish() };
  }

  async #metadata(request: ApiRequest, params: Params): Promise<ApiResponse> {
    const number = (name: string): number => {
      const text = params.get(name);
      if (text === "") return -1;
      if (!/^[+-]?\d+$/.test(text)) throw new BadRequestError(`${name} must be a number`);
      return Number(text);
    };
    const limit = number("limit");
    const perMetric = number("limit_per_metric");
    const wanted = params.get("metric");
    const { values, warnings } = await this.#options.source.metadata(this.#source(request, params));
    const data: Record<string, readonly MetricMetadata[]> = {};
    for (const [metric, entries] of values) {
      if (limit >= 0 && Object.keys(data).length >= limit) break;
      if (wanted === "" || wanted === metric) data[metric] = perMetric > 0 ? entries.slice(0, perMetric) : entries;
    }
    return success(data, warnings);
  }
}

/** Of a range query. */
function rangeOf(params: Params): QueryRange {
  const required = (name: string): string => {
    const value = params.get(name);
    if (value === "")
      throw invalid(
        name,
        name === "step" ? 'cannot parse "" to a valid duration' : 'cannot parse "" to a valid timestamp',
      );
    return value;
  };
  required("start");
  const startMs = params.time("start", 0);
  required("end");
  const endMs = params.time("end", 0);
  if (endMs < startMs) throw invalid("end", "end timestamp must not be before start time");
  required("step");
  const stepMs = params.duration("step", 0);
  if (stepMs <= 0)
    throw invalid("step", "zero or negative query resolution step widths are not accepted. Try a positive integer");
  // Enough for a minute's resolution over a week, or an hour's over a year.
  if ((endMs - startMs) / stepMs > POINTS_MAX) {
    throw new BadRequestError(
      "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
    );
  }
  return { startMs, endMs, stepMs };
}

function seriesIn(value: QueryValue): number {
  switch (value.type) {
    case "scalar":
    case "string":
      return 1;
    case "raw":
      return value.series.length;
    default:
      return value.tile.labels.length;
  }
}

function queryOptions(params: Params, statistics: boolean): QueryOptions {
  const timeout = params.duration("timeout", -1);
  const lookback = params.duration("lookback_delta", -1);
  return { lookbackMs: lookback > 0 ? lookback : undefined, timeoutMs: timeout >= 0 ? timeout : undefined, statistics };
}

function limitWarning(warnings: readonly string[], count: number, limit: number): readonly string[] {
  return limit > 0 && count > limit ? [...warnings, "results truncated due to limit"] : warnings;
}

function listAnswer({ values, warnings }: Answer<readonly string[]>, limit: number): ApiResponse {
  const shown = limit > 0 ? values.slice(0, limit) : values;
  return success(shown, limitWarning(warnings, values.length, limit));
}

/** Percent-decoding; bytes that are no UTF-8 are refused as Go shows them. */
function decodeName(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    const shown = escaped.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => `\\x${hex.toLowerCase()}`);
    throw new BadRequestError(`invalid label name: "${shown}"`);
  }
}

/** Undoes Prometheus's `U__` escaping of UTF-8 names in paths: `_2e_` is the code point 0x2e, `__` an underscore. */
export function unescapeName(name: string): string {
  if (!name.startsWith("U__")) return name;
  const body = name.slice(3);
  if (!/^(?:[a-zA-Z0-9:]|__|_[0-9a-fA-F]{1,6}_)*$/.test(body)) return name;
  return body.replace(/__|_([0-9a-fA-F]{1,6})_/g, (whole, code: string | undefined) =>
    code === undefined ? "_" : parseInt(code, 16) <= 0x10ffff ? String.fromCodePoint(parseInt(code, 16)) : whole,
  );
}
