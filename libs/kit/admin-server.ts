/**
 * What every HTTP server of ours answers beside its own work: `/-/healthy` from the moment the socket is open,
 * `/-/ready` with the reasons while something is missing, `/metrics`, `/-/reload`, and profiles behind a flag.
 */
import { Session } from "node:inspector/promises";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { getHeapSnapshot } from "node:v8";
import type { FastifyInstance } from "fastify";
import type { Env } from "./env.ts";
import { BadRequestError, messageOf, reactionTo } from "./errors.ts";
import type { Address } from "./options.ts";

/** How long requests under way may take when the process is asked to stop. */
const DRAIN_MS = 5000;

export interface AdminHooks {
  /** The text of `/metrics`. */
  readonly metrics: () => Promise<string>;
  /** Reads configuration files again; throws what is wrong with them. */
  readonly reload?: () => Promise<void>;
  /** Whether `/debug/*` is served. */
  readonly profiling: boolean;
}

/** Why the process is not ready; empty when it is. Parts add and remove their reason under their own name. */
export class Readiness {
  readonly #reasons = new Map<string, string>();

  set(part: string, reason: string | undefined): void {
    if (reason === undefined) this.#reasons.delete(part);
    else this.#reasons.set(part, reason);
  }

  get reasons(): string[] {
    return [...this.#reasons].map(([part, reason]) => `${part}: ${reason}`);
  }
}

export interface HttpServer {
  readonly app: FastifyInstance;
  /** Opens the socket. @returns the address in use, the port chosen when 0 was asked for. */
  readonly listen: (address: Address) => Promise<Address>;
}

/**
 * An HTTP server with the admin routes, not yet listening: add routes to `app`, then `listen`. `ready` may ask
 * other threads. Request bodies above `bodyLimitBytes` are refused while they arrive.
 */
export async function createHttpServer(
  env: Env,
  hooks: AdminHooks,
  ready: () => Promise<string[]>,
  bodyLimitBytes: number,
): Promise<HttpServer> {
  // Loaded here, beside what the threads load meanwhile: with Node's HTTP it is a third of what the main thread loads.
  const { fastify } = await import("fastify");
  const app = fastify({
    bodyLimit: bodyLimitBytes,
    forceCloseConnections: "idle",
    // Queries are parsed by those who look at them.
    routerOptions: { maxParamLength: 4096, querystringParser: () => NO_QUERY },
    // Else ajv is loaded, a third of what fastify takes to be there (bench/figures.ts, restart).
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  });
  app.setErrorHandler((error, _request, reply) => {
    const status = (error as { statusCode?: number }).statusCode ?? reactionTo(error).httpStatus;
    if (status >= 500) env.log.error({ err: error }, "request failed");
    return reply
      .code(status)
      .type("text/plain; charset=utf-8")
      .send(`${messageOf(error)}\n`);
  });
  app.get("/-/healthy", (_request, reply) => reply.type("text/plain").send("Cairn is Healthy.\n"));
  app.get("/-/ready", async (_request, reply) => {
    const reasons = await ready();
    if (reasons.length === 0) return reply.type("text/plain").send("Cairn is Ready.\n");
    return reply
      .code(503)
      .type("text/plain")
      .send(`not ready: ${reasons.join("; ")}\n`);
  });
  app.get("/metrics", async (_request, reply) =>
    reply.type("text/plain; version=0.0.4; charset=utf-8").send(await hooks.metrics()),
  );
  const reload = hooks.reload;
  app.post("/-/reload", async (_request, reply) => {
    if (reload === undefined) return reply.code(200).send("nothing to reload\n");
    await reload();
    return reply.send("reloaded\n");
  });
  if (hooks.profiling) addProfiles(app);
  return {
    app,
    async listen(address) {
      await app.listen({ host: address.host, port: address.port });
      env.defer("http server", async () => {
        // Requests under way are answered; a connection that was opened without one would be waited for forever.
        const patience = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS);
        try {
          await app.close();
        } finally {
          clearTimeout(patience);
        }
      });
      const bound = app.server.address();
      return typeof bound === "object" && bound !== null ? { host: address.host, port: bound.port } : address;
    },
  };
}

const NO_QUERY = {};

function noSchemas(): never {
  throw new Error("BUG: routes here have no schemas");
}

/** Bodies of forms as the string they came as. */
export function addFormParser(app: FastifyInstance): void {
  app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) =>
    done(null, body),
  );
}

/** CPU profile and heap snapshot of the main thread, in the formats Chrome DevTools opens. */
function addProfiles(app: FastifyInstance): void {
  app.get("/debug/pprof/profile", async (request, reply) => {
    const seconds = Number(new URL(request.url, "http://here").searchParams.get("seconds") ?? "10");
    if (!(seconds > 0 && seconds <= 120)) throw new BadRequestError("seconds must be above 0 and at most 120");
    const session = new Session();
    session.connect();
    try {
      await session.post("Profiler.enable");
      await session.post("Profiler.start");
      await sleep(seconds * 1000);
      const { profile } = await session.post("Profiler.stop");
      return await reply.header("content-disposition", "attachment; filename=cairn.cpuprofile").send(profile);
    } finally {
      session.disconnect();
    }
  });
  app.get("/debug/pprof/heap", (_request, reply) =>
    reply
      .header("content-disposition", "attachment; filename=cairn.heapsnapshot")
      .send(getHeapSnapshot() as unknown as Readable),
  );
}
