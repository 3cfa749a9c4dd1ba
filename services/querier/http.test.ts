import { request } from "node:http";
import { fastify } from "fastify";
import { afterAll, expect, test } from "vitest";
import type { Peer } from "#libs/kit/rpc.ts";
import type { ApiRequest, ApiResponse } from "#libs/promapi/response.ts";
import { addQueryRoutes } from "./http.ts";

/** Answers with as many characters, one of them of two bytes, as the path says. */
const echo: Peer = {
  isLocal: true,
  async call<R>(_method: string, { path }: ApiRequest): Promise<R> {
    const body = Buffer.alloc(Number(path) + 1, "é123456789").subarray(0, Number(path));
    const answer = { status: 206, headers: { "x-own": "yes" }, body: new Uint8Array(body) } satisfies ApiResponse;
    return answer as R;
  },
  stream() {
    throw new Error("no streams here");
  },
};

const app = fastify();
addQueryRoutes(app, echo, { tenantHeader: "THANOS-TENANT", defaultTenant: "t", corsOrigin: "*" });
const base = await app.listen({ host: "127.0.0.1", port: 0 });
afterAll(() => app.close());

for (const size of [0, 10, 1 << 14, (1 << 14) + 1, 1 << 20]) {
  test(`an answer of ${size} bytes`, async () => {
    const answer = await fetch(`${base}/api/v1/${size}`);
    expect(answer.status).toBe(206);
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(Buffer.alloc(size + 1, "é123456789").subarray(0, size));
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-length": String(size),
      "x-own": "yes",
      "access-control-allow-origin": "*",
      connection: "keep-alive",
    });
  });
}

test("HEAD has no body", async () => {
  const answer = await fetch(`${base}/api/v1/10`, { method: "HEAD" });
  expect(answer.status).toBe(206);
  expect(await answer.text()).toBe("");
});

test("a client that is gone cancels its request", async () => {
  const cancelled = new Promise<void>((resolve) => {
    echo.call = <R>(_method: string, _argument: unknown, signal?: AbortSignal) => {
      signal!.addEventListener("abort", () => resolve());
      setImmediate(() => client.destroy());
      return new Promise<R>(() => undefined);
    };
  });
  const client = request(`${base}/api/v1/query`).on("error", () => undefined);
  client.end();
  await cancelled;
});
