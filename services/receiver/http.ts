/** The receiver's routes: what is checked before a body is handed to the ingest thread. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { messageOf, reactionTo } from "#libs/kit/errors.ts";
import type { Peer } from "#libs/kit/rpc.ts";
import { tenantOf } from "#libs/model/tenant.ts";
import type { WriteAnswer, WriteCall, Written } from "./ingest.ts";
import type { WriteVersion } from "./write-request.ts";

export interface WriteRoutes {
  readonly tenantHeader: string;
  readonly defaultTenant: string;
}

const PROTOS: Readonly<Record<string, WriteVersion>> = {
  "prometheus.WriteRequest": 1,
  "io.prometheus.write.v2.Request": 2,
};

export function addWriteRoutes(app: FastifyInstance, receiver: Peer, config: WriteRoutes): void {
  // Bodies stay bytes, whatever the content type says: it is judged below, with Prometheus's words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  for (const path of ["/api/v1/receive", "/api/v1/push", "/api/v1/write"]) {
    app.post(path, (request, reply) => write(request, reply, receiver, config));
  }
}

async function write(
  request: FastifyRequest,
  reply: FastifyReply,
  receiver: Peer,
  config: WriteRoutes,
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
    // The body moves to the other thread; pooled memory cannot, so it is copied then.
    const bytes = body.byteLength === body.buffer.byteLength ? body : Uint8Array.prototype.slice.call(body);
    const call: WriteCall = { tenant, version: content.version, encoding, body: bytes };
    const answer = await receiver.call<WriteAnswer>("write", call, undefined, [bytes.buffer as ArrayBuffer]);
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
