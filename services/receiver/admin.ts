/**
 * Prometheus's admin API over one tenant's data on this receiver: `delete_series`, `clean_tombstones` and `snapshot`. What a
 * bucket has is not touched: the answer and the log say so when it may hold samples that were to be deleted.
 */
import type { Env } from "#libs/kit/env.ts";
import { BadRequestError, messageOf, NotFoundError, UnavailableError } from "#libs/kit/errors.ts";
import { formatMatcher, type MatcherSpec } from "#libs/model/matcher.ts";
import { type ApiRequest, type ApiResponse, errorResponse, success } from "#libs/promapi/response.ts";
import { invalid, Params } from "#libs/promapi/params.ts";
import { parseSelector } from "#libs/promql/parser/parser.ts";
import type { Tenants } from "./tenants.ts";

const ALL_TIME_MS = 2 ** 53;
/** Blocks that a warning names. */
const NAMED_MAX = 10;

/** Always answers: errors become their envelope. */
export async function answerAdmin(
  request: ApiRequest,
  isEnabled: boolean,
  tenants: Tenants,
  env: Env,
): Promise<ApiResponse> {
  // As Prometheus: unavailable, and yet 500.
  if (!isEnabled) return { ...errorResponse(new UnavailableError("admin APIs disabled")), status: 500 };
  const { path, tenant } = request;
  const params = new Params(request.query, request.form);
  try {
    switch (path) {
      case "admin/tsdb/delete_series": {
        const warning = await deleteSeries(tenant, params, tenants, env);
        return warning === undefined ? DONE : { ...DONE, headers: { warning: `299 cairn "${warning}"` } };
      }
      case "admin/tsdb/clean_tombstones":
        await (
          await tenants.find(tenant)
        )?.cleanTombstones(
          () => true,
          (block) => tenants.isSent(tenant, block),
          env.stopping,
        );
        return DONE;
      case "admin/tsdb/snapshot": {
        const withHead = !skipsHead(params);
        const store = await tenants.find(tenant);
        if (store === undefined) throw new NotFoundError(`tenant ${tenant} has no data on this receiver`);
        return success({ name: await store.snapshot(withHead) });
      }
      default:
        throw new NotFoundError(`/api/v1/${path} is not served here`);
    }
  } catch (error) {
    return errorResponse(error);
  }
}

const DONE: ApiResponse = { status: 204, headers: {}, body: new Uint8Array(0) };

/** @returns what was asked for and is not done. */
async function deleteSeries(tenant: string, params: Params, tenants: Tenants, env: Env): Promise<string | undefined> {
  const texts = params.all("match[]");
  if (texts.length === 0) throw new BadRequestError("no match[] parameter provided");
  const mint = params.optionalTime("start", -ALL_TIME_MS);
  const maxt = params.optionalTime("end", ALL_TIME_MS);
  const selectors = texts.map(selectorOf);
  const store = await tenants.find(tenant);
  const localMint = (await store?.info())?.mint ?? Infinity;
  const { seriesInHead = 0, blocks = [] } = (await store?.deleteSeries(selectors, mint, maxt)) ?? {};
  const sent = blocks.filter((block) => tenants.isSent(tenant, block)).map(({ meta }) => meta.ulid);
  const asked = { tenant, matchers: selectors.map((list) => list.map(formatMatcher).join(",")), mint, maxt };
  env.log.info({ ...asked, seriesInHead, blocks: blocks.map(({ meta }) => meta.ulid) }, "series deleted");
  if (!tenants.hasBucket || (sent.length === 0 && mint >= localMint)) return undefined;
  const shown = sent.length > NAMED_MAX ? [...sent.slice(0, NAMED_MAX), "..."] : sent;
  const warning =
    sent.length > 0
      ? `samples in the bucket stay: it has ${sent.length} of the ${blocks.length} local blocks deleted from (${shown.join(" ")})`
      : "samples in the bucket stay: it may have some of before this receiver's";
  env.log.warn({ ...asked, sent }, warning);
  return warning;
}

function skipsHead(params: Params): boolean {
  try {
    return params.boolean("skip_head", false);
  } catch (error) {
    throw new BadRequestError(messageOf(error).replace(": ", ": unable to parse boolean: "));
  }
}

function selectorOf(text: string): readonly MatcherSpec[] {
  try {
    return parseSelector(text);
  } catch (error) {
    throw invalid("match[]", messageOf(error));
  }
}
