/** The querier's routes: sockets and headers. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { addFormParser } from "#libs/kit/admin-server.ts";
import { errorResponse, type ApiRequest, type ApiResponse } from "#libs/promapi/response.ts";
import type { Peer } from "#libs/kit/rpc.ts";
import { tenantOf } from "#libs/model/tenant.ts";
import { PAGE } from "./page.ts";

export interface QueryRoutes {
  readonly tenantHeader: string;
  readonly defaultTenant: string;
  readonly corsOrigin: string;
}

/** Of answers that are sent as text. */
const TEXT_BYTES_MAX = 1 << 14;

export function addQueryRoutes(app: FastifyInstance, querier: Peer, config: QueryRoutes): void {
  addFormParser(app);
  const cors = corsHeaders(config);
  for (const prefix of ["/api/v1/", "/prometheus/api/v1/"]) {
    const handler = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
      answer(request, reply, querier, config, prefix, cors);
    app.route({ method: ["GET", "POST"], url: `${prefix}*`, handler });
    app.options(`${prefix}*`, (_request, reply) => reply.headers(cors).code(204).send());
  }
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).type("text/plain; charset=utf-8").send("404 page not found\n"),
  );
  app.get("/", (_request, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .header("content-security-policy", "default-src 'self' 'unsafe-inline'")
      .send(PAGE),
  );
}

function corsHeaders({ corsOrigin }: QueryRoutes): Readonly<Record<string, string>> {
  if (corsOrigin === "") return {};
  return {
    "access-control-allow-origin": corsOrigin,
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "Accept, Authorization, Content-Type, Origin, X-Scope-OrgID, THANOS-TENANT",
  };
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  querier: Peer,
  config: QueryRoutes,
  prefix: string,
  cors: Readonly<Record<string, string>>,
): Promise<FastifyReply> {
  const gone = new AbortController();
  let response: ApiResponse | undefined;
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort();
    // Megabytes that would wait for the collector, and call it.
    else if (response !== undefined && response.body.length > TEXT_BYTES_MAX) response.body.buffer.transfer(0);
  });
  try {
    const url = request.raw.url ?? "";
    const mark = url.indexOf("?");
    const call: ApiRequest = {
      method: request.method,
      path: (mark < 0 ? url : url.slice(0, mark)).slice(prefix.length),
      query: mark < 0 ? "" : url.slice(mark + 1),
      form: typeof request.body === "string" ? request.body : "",
      tenant: tenantOf(request.headers, config.tenantHeader, config.defaultTenant),
    };
    response = await querier.call<ApiResponse>("http", call, gone.signal);
  } catch (error) {
    response = errorResponse(error);
  }
  const { status, body } = response;
  const headers = { ...cors, ...response.headers };
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (bytes.length > TEXT_BYTES_MAX) return reply.code(status).headers(headers).send(bytes);
  // Past fastify, each byte a character: Node sends a string with its head at once, a buffer as a second part. A bare
  // server took 127 µs a request in place of 142.
  const { raw } = reply.hijack();
  raw.writeHead(status, { ...headers, "content-length": bytes.length }).end(bytes.toString("latin1"), "latin1");
  return reply;
}
