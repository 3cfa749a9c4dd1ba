import { MessageChannel } from "node:worker_threads";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration, parseSize } from "./duration.ts";
import { createEnv } from "./env.ts";
import { CorruptionError, LimitError, reactionTo } from "./errors.ts";
import { Gate } from "./gate.ts";
import { silentLog, toLogfmt } from "./log.ts";
import { Lru } from "./lru.ts";
import { boolean, duration, integer, labels, list, nearest, resolveOptions, size } from "./options.ts";
import { retry } from "./retry.ts";
import { RpcClient, serveRpc, Transfer } from "./rpc.ts";
import { Slices } from "./slices.ts";

describe("durations and sizes", () => {
  test("parse", () => {
    expect(["1h30m", "15d", "500ms", "0", "1y2w"].map(parseDuration)).toEqual([
      5_400_000, 1_296_000_000, 500, 0, 32_745_600_000,
    ]);
    // What Prometheus 3.14 says to --query.timeout.
    const check = (bad: string, want: string): void => expect(() => parseDuration(bad), bad).toThrow(want);
    for (const bad of ["5", "1m1h", "1h1d", "5m5m", "h", "x5", "-1s", "1h5", "99999999999999999999y"])
      check(bad, `not a valid duration string: "${bad}"`);
    check("", "empty duration string");
    check("5x", 'unknown unit "x" in duration "5x"');
    check("1.5m", 'unknown unit "." in duration "1.5m"');
    check("300y", "duration out of range");
    expect(["2GB", "512MiB", "100", "1.5KB"].map(parseSize)).toEqual([2 ** 31, 2 ** 29, 100, 1536]);
    expect(() => parseSize("5 apples")).toThrow("not a valid size");
  });
  test("format", () => {
    const days = (count: number): number => count * 86_400_000;
    const list = [0, 300_000, 5_400_000, 90_000_000, days(1), 1500, days(8), days(14), days(365), days(366), -60_000];
    expect(list.map(formatDuration)).toEqual(
      ["0s", "5m", "1h30m", "1d1h", "1d", "1s500ms", "8d", "2w", "1y", "366d", "-1m"], // of which promtool prints the days
    );
  });
});

describe("options", () => {
  const table = {
    wait: duration("a.wait-time", "3m", "How long."),
    max: integer("max", 5, "Most."),
    on: boolean("on", true, "Whether."),
    names: list("name", "Names."),
    labels: labels("label", "", "Labels."),
    bytes: size("bytes", "1KB", "Size."),
  };
  const resolve = (
    flags: Record<string, string[]>,
    environment: Record<string, string> = {},
    configFile?: string,
  ): ReturnType<typeof resolveOptions<typeof table>> =>
    resolveOptions(table, { flags: new Map(Object.entries(flags)), environment, configFile });

  test("flags beat the environment beats the file beats defaults", () => {
    const folder = mkdtempSync(join(tmpdir(), "cairn-options-"));
    try {
      const file = join(folder, "c.yml");
      writeFileSync(file, "a.wait-time: 1h\nmax: 7\non: false\n");
      expect(resolve({}, {}, file)).toMatchObject({ wait: 3_600_000, max: 7, on: false, bytes: 1024 });
      expect(resolve({ max: ["9"] }, { CAIRN_MAX: "8", CAIRN_A_WAIT_TIME: "2m" }, file)).toMatchObject({
        wait: 120_000,
        max: 9,
      });
      writeFileSync(file, "a.wait-tme: 1h\n");
      expect(() => resolve({}, {}, file)).toThrow('unknown key "a.wait-tme", did you mean a.wait-time?');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
  test("repeated flags and commas make lists", () => {
    expect(resolve({ name: ["a,b", "c"], label: ['x="1"', "y=2"] })).toMatchObject({
      names: ["a", "b", "c"],
      labels: new Map([
        ["x", "1"],
        ["y", "2"],
      ]),
    });
  });
  test("a bad value names its flag", () => {
    expect(() => resolve({ max: ["many"] })).toThrow('--max: must be a whole number, got "many"');
    expect(() => resolve({}, { CAIRN_ON: "perhaps" })).toThrow("CAIRN_ON: must be true or false");
  });
  test("nearest", () => expect(nearest("http-adress", ["http-address", "grpc-address"])).toBe("http-address"));
});

describe("calls between threads", () => {
  function connect(handlers: Parameters<typeof serveRpc>[1]): { client: RpcClient; close: () => void } {
    const { port1, port2 } = new MessageChannel();
    serveRpc(port1, handlers);
    return { client: new RpcClient(port2, "other"), close: () => port2.close() };
  }
  test("results, moved buffers and errors keep their class", async () => {
    const { client, close } = connect({
      add: async ([a, b]: [number, number]) => a + b,
      move: async () => new Transfer(new Uint8Array([1, 2, 3]), []),
      limit: async () => {
        throw new LimitError("too many");
      },
      corrupt: async () => {
        throw new CorruptionError("index", 7, "broken");
      },
    });
    expect(await client.call("add", [1, 2])).toBe(3);
    expect(await client.call("move", undefined)).toEqual(new Uint8Array([1, 2, 3]));
    await expect(client.call("limit", undefined)).rejects.toThrow(LimitError);
    await expect(client.call("corrupt", undefined)).rejects.toMatchObject({
      name: "CorruptionError",
      file: "index",
      offset: 7,
    });
    await expect(client.call("none", undefined)).rejects.toThrow("no method none");
    close();
  });
  test("a stream is paced by its reader and cancelled when the reader leaves", async () => {
    let produced = 0;
    let cancelled = false;
    const { client, close } = connect({
      async *count(_: undefined, signal: AbortSignal) {
        try {
          for (;;) {
            signal.throwIfAborted();
            yield produced++;
          }
        } finally {
          cancelled = true;
        }
      },
    });
    const seen: number[] = [];
    for await (const n of client.stream<number>("count", undefined)) {
      seen.push(n);
      if (n === 3) {
        await sleep(50);
        expect(produced).toBeLessThan(30);
        break;
      }
    }
    expect(seen).toEqual([0, 1, 2, 3]);
    await sleep(20);
    expect(cancelled).toBe(true);
    close();
  });
  test("a call is cancelled by its signal", async () => {
    let aborted = false;
    const { client, close } = connect({
      wait: (_: undefined, signal: AbortSignal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => {
            aborted = true;
            reject(new Error("stopped"));
          }),
        ),
    });
    const abort = new AbortController();
    const call = client.call("wait", undefined, abort.signal);
    abort.abort();
    await expect(call).rejects.toMatchObject({ name: "AbortError" });
    await sleep(20);
    expect(aborted).toBe(true);
    close();
  });
});

test("everything deferred is closed once, newest first, whatever fails", async () => {
  const order: string[] = [];
  const { env, close } = createEnv(silentLog(), () => 0, new AbortController().signal);
  env.defer("a", () => void order.push("a"));
  env.defer("b", () => {
    throw new Error("b fails");
  });
  env.defer("c", async () => void order.push("c"));
  await close();
  await close();
  expect(order).toEqual(["c", "a"]);
});

test("a gate lets so many run, queues some, refuses the rest by name", async () => {
  const gate = new Gate("--query.max-concurrent is 1", 1, 1);
  const signal = new AbortController().signal;
  let finish = (): void => undefined;
  const first = gate.run(() => new Promise<void>((resolve) => (finish = resolve)), signal);
  const second = gate.run(async () => "second", signal);
  await expect(gate.run(async () => "third", signal)).rejects.toThrow("--query.max-concurrent is 1");
  finish();
  await first;
  expect(await second).toBe("second");
});

test("the least recently used goes first, by bytes", () => {
  const lru = new Lru<string, string>(10, (value) => value.length);
  lru.set("a", "aaaa");
  lru.set("b", "bbbb");
  lru.get("a");
  lru.set("c", "cccc");
  expect([lru.get("a"), lru.get("b"), lru.get("c"), lru.bytes]).toEqual(["aaaa", undefined, "cccc", 8]);
  lru.set("d", "d".repeat(11));
  expect(lru.get("d")).toBeUndefined();
});

test("retries what may pass, not what will not", async () => {
  const policy = {
    attemptsMax: 3,
    firstDelayMs: 1,
    delayMaxMs: 2,
    random: () => 0.5,
    isRetryable: (error: unknown) => (error as Error).message === "again",
  };
  let calls = 0;
  const signal = new AbortController().signal;
  expect(
    await retry(policy, signal, async () => {
      if (++calls < 3) throw new Error("again");
      return calls;
    }),
  ).toBe(3);
  calls = 0;
  await expect(
    retry(policy, signal, async () => {
      calls++;
      throw new Error("never");
    }),
  ).rejects.toThrow("never");
  expect(calls).toBe(1);
});

test("log lines are logfmt, errors with message and, when severe, stack", () => {
  expect(toLogfmt('{"level":"info","ts":"T","msg":"block loaded","block":"01X","tookMs":3,"text":"a b"}')).toBe(
    'ts=T level=info msg="block loaded" block=01X tookMs=3 text="a b"',
  );
  expect(toLogfmt('{"level":"warn","ts":"T","err":{"message":"no \\"x\\"","stack":"s"}}')).toBe(
    'ts=T level=warn err="no \\"x\\""',
  );
});

test("errors become statuses by class", () => {
  expect(reactionTo(new LimitError("x"))).toMatchObject({ httpStatus: 422, type: "execution" });
  expect(reactionTo(new DOMException("gone", "AbortError"))).toMatchObject({ httpStatus: 499, type: "canceled" });
  expect(reactionTo("anything")).toMatchObject({ httpStatus: 500, type: "internal" });
});

test("of long work that waits for its turn, one slice runs at each turn of the event loop", async () => {
  let turn = 0;
  let isDone = false;
  const count = (): void => {
    turn++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const turns: number[] = [];
  const work = async (): Promise<void> => {
    const slices = new Slices(0);
    for (let i = 0; i < 5; i++) {
      await slices.breathe();
      turns.push(turn);
    }
  };
  await Promise.all([work(), work(), work()]);
  isDone = true;
  expect(turns).toHaveLength(15);
  expect(new Set(turns).size).toBe(15);
});
