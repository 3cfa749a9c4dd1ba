/** The receiver's routes: what is checked before a request is handed on. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { messageOf, reactionTo } from "#libs/kit/errors.ts";
import type { Peer } from "#libs/kit/rpc.ts";
import type { ApiRequest, ApiResponse } from "#libs/promapi/response.ts";
import { tenantOf } from "#libs/model/tenant.ts";
import type { WriteAnswer, WriteCall, Written } from "./ingest.ts";
import type { WriteVersion } from "./write-request.ts";

export interface TenantHeader {
  readonly tenantHeader: string;
  readonly defaultTenant: string;
}

const PROTOS: Readonly<Record<string, WriteVersion>> = {
  "prometheus.WriteRequest": 1,
  "io.prometheus.write.v2.Request": 2,
};

/** Applies a write that is of a known kind; answers when it is on the disk. */
export type Write = (call: WriteCall) => Promise<WriteAnswer>;

/** On the thread of the heads: nothing is handed over. */
export function addWriteRoutes(app: FastifyInstance, apply: Write, config: TenantHeader): void {
  // Bodies stay bytes, whatever the content type says: it is judged below, with Prometheus's words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  for (const path of ["/api/v1/receive", "/api/v1/push", "/api/v1/write"]) {
    app.post(path, (request, reply) => write(request, reply, apply, config));
  }
}

const ADMIN_PATHS = ["admin/tsdb/delete_series", "admin/tsdb/clean_tombstones", "admin/tsdb/snapshot"];

/**
 * Prometheus's admin API, answered on the ingest thread; forms must be parsed as strings. Without CORS: pages of other
 * sites have no business here. `onChange` is awaited before the answer.
 */
export function addAdminRoutes(
  app: FastifyInstance,
  receiver: Peer,
  config: TenantHeader,
  onChange: () => Promise<void> = async () => undefined,
): void {
  for (const prefix of ["/api/v1/", "/prometheus/api/v1/"]) {
    for (const path of ADMIN_PATHS) {
      const url = prefix + path;
      app.route({
        method: ["POST", "PUT"],
        url,
        handler: async (request, reply) => {
          const { status, headers, body } = await receiver.call<ApiResponse>("admin", adminCall(path, request, config));
          await onChange();
          const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
          return reply.code(status).headers(headers).send(bytes);
        },
      });
      app.get(url, (_request, reply) => refuse(reply.header("allow", "POST, PUT"), 405, "Method Not Allowed"));
    }
  }
}

function adminCall(path: string, request: FastifyRequest, config: TenantHeader): ApiRequest {
  return {
    method: request.method,
    path,
    query: /\?(.*)/s.exec(request.raw.url ?? "")?.[1] ?? "",
    form: typeof request.body === "string" ? request.body : "",
    tenant: tenantOf(request.headers, config.tenantHeader, config.defaultTenant),
  };
}

async function write(
  request: FastifyRequest,
  reply: FastifyReply,
  apply: Write,
  config: TenantHeader,
): Promise<FastifyReply> {
  const content = readContentType(request.headers["content-type"]);
  if (typeof content === "string") return refuse(reply, 415, content);
  const encoding = request.headers["content-encoding"] ?? "snappy";
  if (encoding !== "snappy" && encoding !== "zstd") {
    return refuse(
      reply,
      415,
      `${encoding} encoding (compression) is not accepted by this server; only snappy is acceptable`,
    );
  }
  const body = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
  const stats = ({ samples, histograms, exemplars }: Written): void => {
    if (content.version !== 2) return;
    void reply
      .header("X-Prometheus-Remote-Write-Samples-Written", String(samples))
      .header("X-Prometheus-Remote-Write-Histograms-Written", String(histograms))
      .header("X-Prometheus-Remote-Write-Exemplars-Written", String(exemplars));
  };
  try {
    const tenant = tenantOf(request.headers, config.tenantHeader, config.defaultTenant);
    const answer = await apply({ tenant, version: content.version, encoding, body });
    stats(answer.written);
    return answer.status === 204
      ? await reply.code(204).send()
      : await refuse(reply, answer.status, answer.text.trimEnd());
  } catch (error) {
    const reaction = reactionTo(error);
    if (reaction.httpStatus >= 500) stats({ samples: 0, histograms: 0, exemplars: 0 });
    return refuse(
      reply,
      error instanceof Error && error.name === "LimitError" ? 429 : reaction.httpStatus,
      messageOf(error),
    );
  }
}

function refuse(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).type("text/plain; charset=utf-8").send(`${text}\n`);
}

/** The message's version, or why the content type is refused. */
function readContentType(header: string | undefined): { readonly version: WriteVersion } | string {
  if (header === undefined || header === "") return { version: 1 };
  const [media, ...parameters] = header.split(";").map((part) => part.trim());
  if (media !== "application/x-protobuf") {
    return `expected application/x-protobuf as the first (media) part, got ${header} content-type`;
  }
  for (const parameter of parameters) {
    const [name, value, ...more] = parameter.split("=");
    if (value === undefined || more.length > 0)
      return `as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got ${parameter} in ${header} content-type`;
    if (name!.trim() !== "proto") continue;
    const version = PROTOS[value.trim()];
    if (version === undefined) {
      return `got ${header} content type; unknown type for remote write protobuf message ${value.trim()}, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request`;
    }
    return { version };
  }
  return { version: 1 };
}
