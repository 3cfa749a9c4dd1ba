import { expect, test } from "vitest";
import { createEnv } from "./env.ts";
import { startHost, type ThreadSpec } from "./host.ts";
import { silentLog } from "./log.ts";

const module = new URL("../../test/support/echo-component.ts", import.meta.url);
const thread = (name: string, onDemand: boolean): ThreadSpec => ({
  name,
  onDemand,
  components: [{ name: `${name}-echo`, module, config: undefined }],
});

test("a thread on demand is started by the first call, which waits for it; the others start at once", async () => {
  const { env, close } = createEnv(silentLog(), () => 0, new AbortController().signal);
  const died: string[] = [];
  const log = { level: "error", format: "logfmt" } as const;
  const threads = [thread("first", false), thread("lazy", true), thread("unused", true), thread("last", false)];
  const host = await startHost(threads, log, env, (name) => died.push(name));
  expect(await host.workerMetrics()).toHaveLength(2);
  const ask = (text: string): Promise<string> =>
    host.peer("last-echo").call("ask", { name: "lazy-echo", text }) as Promise<string>;
  const [a, b] = await Promise.all([ask("a"), ask("b")]);
  expect(await host.workerMetrics()).toHaveLength(3);
  const there = a.replace("a from ", "");
  expect(b).toBe(`b from ${there}`);
  expect(await ask("c")).toBe(`c from ${there}`);
  expect(await host.peer("last-echo").call("ask", { name: "first-echo", text: "d" })).toMatch(/^d from /);
  await close();
  expect(died).toEqual([]);
});
