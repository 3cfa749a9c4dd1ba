/**
 * Calls between threads over a MessagePort: unary calls and server streams, with errors, cancellation and credit.
 *
 * A stream is paced by credit: the producer runs at most `STREAM_WINDOW` items ahead of the consumer, so that a
 * slow reader bounds the memory of a fast store. Buffers named in `transfer` move without a copy.
 *
 *   caller ── call / stream / cancel / credit ──▶ callee
 *   caller ◀── result / item / end / error ────── callee     (one or more at once)
 */
import type { MessagePort, Transferable } from "node:worker_threads";
import { errorFromWire, errorToWire, UnavailableError, type WireError } from "./errors.ts";

const STREAM_WINDOW = 8;
/** Items taken before the producer is told: a message costs 20 µs, and a short stream needs none. */
const CREDIT_ITEMS = STREAM_WINDOW / 2;

/** A value with the buffers in it that move instead of being copied. */
export class Transfer<T> {
  readonly value: T;
  readonly transfer: Transferable[];

  constructor(value: T, transfer: Transferable[]) {
    this.value = value;
    this.transfer = transfer;
  }
}

/** Items with buffers in them that move where the reader is on another thread. */
export class TransferStream<T> {
  readonly items: AsyncIterable<T>;
  readonly buffersOf: (item: T) => readonly Transferable[];

  constructor(items: AsyncIterable<T>, buffersOf: (item: T) => readonly Transferable[]) {
    this.items = items;
    this.buffersOf = buffersOf;
  }
}

/** What one side offers. A method returns a promise (maybe of a `Transfer`), an async iterable of items or a `TransferStream`. */
export type Handlers = Record<string, (argument: never, signal: AbortSignal) => unknown>;

/** The other side, wherever it lives. */
export interface Peer {
  /** Whether what is called is on this thread, so that values need not be such as can travel. */
  readonly isLocal: boolean;
  call<R>(method: string, argument: unknown, signal?: AbortSignal, transfer?: Transferable[]): Promise<R>;
  /** Ending the iteration early cancels the stream on the other side. */
  stream<R>(method: string, argument: unknown, signal?: AbortSignal): AsyncIterable<R>;
}

type Message =
  | { kind: "call" | "stream"; id: number; method: string; argument: unknown }
  | { kind: "cancel" | "end"; id: number }
  | { kind: "credit"; id: number; items: number }
  | { kind: "result" | "item"; id: number; value: unknown }
  | { kind: "error"; id: number; error: WireError };

/** Items with more than this to move leave at once: the other side works on them while the next are made. */
const HELD_BYTES_MAX = 1 << 15;

/**
 * Posts small items together with what follows in the same turn of the event loop. A message costs 20 µs and wakes the
 * other thread, and most streams are one small item and its end (bench/small.ts).
 */
class Outbox {
  readonly #port: MessagePort;
  #held: Message[] = [];
  #transfer: Transferable[] = [];

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** What is held goes with it. */
  send(message: Message, transfer: readonly Transferable[] = []): void {
    this.#port.postMessage([...this.#held, message], [...this.#transfer, ...transfer]);
    // Not before: where the message cannot be cloned, an error takes its place.
    this.#held = [];
    this.#transfer = [];
  }

  /** As `send`, but a small one waits until promises have nothing more to do. */
  sendItem(message: Message, transfer: readonly Transferable[]): void {
    const bytes = transfer.reduce((sum, part) => sum + (part instanceof ArrayBuffer ? part.byteLength : Infinity), 0);
    if (bytes > HELD_BYTES_MAX) {
      this.send(message, transfer);
      return;
    }
    if (this.#held.push(message) === 1) process.nextTick(() => this.#flush());
    this.#transfer.push(...transfer);
  }

  #flush(): void {
    const last = this.#held.pop();
    if (last !== undefined) this.send(last);
  }
}

/** Answers calls on `port` until it closes. */
export function serveRpc(port: MessagePort, handlers: Handlers): void {
  const running = new Map<number, { abort: AbortController; credit: number; wake: () => void }>();
  const outbox = new Outbox(port);

  const run = async (message: Message & { kind: "call" | "stream" }): Promise<void> => {
    const abort = new AbortController();
    const state = { abort, credit: STREAM_WINDOW, wake: (): void => undefined };
    running.set(message.id, state);
    try {
      const handler = handlers[message.method];
      if (handler === undefined) throw new Error(`BUG: no method ${message.method} on this thread`);
      const answer = handler(message.argument as never, abort.signal);
      if (message.kind === "call") {
        const value = await (answer as Promise<unknown>);
        if (value instanceof Transfer)
          outbox.send({ kind: "result", id: message.id, value: value.value }, value.transfer);
        else outbox.send({ kind: "result", id: message.id, value });
      } else {
        const stream = answer instanceof TransferStream ? answer : undefined;
        for await (const item of stream?.items ?? (answer as AsyncIterable<unknown>)) {
          while (state.credit === 0 && !abort.signal.aborted) await new Promise<void>((wake) => (state.wake = wake));
          abort.signal.throwIfAborted();
          state.credit--;
          const toSend: Message = { kind: "item", id: message.id, value: item };
          if (stream === undefined) outbox.send(toSend);
          else outbox.sendItem(toSend, stream.buffersOf(item));
        }
        outbox.send({ kind: "end", id: message.id });
      }
    } catch (error) {
      outbox.send({ kind: "error", id: message.id, error: errorToWire(error) });
    } finally {
      running.delete(message.id);
    }
  };

  port.on("message", (message: Message) => {
    if (message.kind === "call" || message.kind === "stream") {
      void run(message); // catches everything itself
      return;
    }
    const state = running.get(message.id);
    if (state === undefined) return;
    if (message.kind !== "credit") state.abort.abort();
    else state.credit += message.items;
    state.wake();
  });
}

interface Pending {
  readonly item: (value: unknown) => void;
  readonly done: (error: Error | undefined, value?: unknown) => void;
}

/** The caller's end of a port served by `serveRpc`. */
export class RpcClient implements Peer {
  readonly isLocal = false;
  readonly #port: MessagePort;
  readonly #name: string;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #closed = false;

  constructor(port: MessagePort, name: string) {
    this.#port = port;
    this.#name = name;
    port.on("message", (messages: readonly Message[]) => {
      for (const message of messages) this.#receive(message);
    });
    port.on("close", () => {
      this.#closed = true;
      for (const pending of this.#pending.values()) pending.done(new UnavailableError(`${name} has stopped`));
      this.#pending.clear();
    });
  }

  call<R>(method: string, argument: unknown, signal?: AbortSignal, transfer: Transferable[] = []): Promise<R> {
    return new Promise((resolve, reject) => {
      const id = this.#begin("call", method, argument, transfer, {
        item: () => undefined,
        done: (error, value) => {
          signal?.removeEventListener("abort", cancel);
          if (error === undefined) resolve(value as R);
          else reject(error);
        },
      });
      const cancel = (): void => {
        this.#port.postMessage({ kind: "cancel", id } satisfies Message);
        this.#finish(id, signal!.reason as Error);
      };
      if (signal?.aborted === true) cancel();
      else signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  async *stream<R>(method: string, argument: unknown, signal?: AbortSignal): AsyncGenerator<R> {
    const items: R[] = [];
    let taken = 0;
    let wake = (): void => undefined;
    let ended = false;
    let failure: Error | undefined;
    const id = this.#begin("stream", method, argument, [], {
      item: (value) => {
        items.push(value as R);
        wake();
      },
      done: (error) => {
        ended = true;
        failure = error;
        wake();
      },
    });
    const cancel = (): void => this.#finish(id, signal!.reason as Error);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      signal?.throwIfAborted();
      for (;;) {
        const item = items.shift();
        if (item !== undefined) {
          if (++taken === CREDIT_ITEMS && !ended) {
            this.#port.postMessage({ kind: "credit", id, items: taken } satisfies Message);
            taken = 0;
          }
          yield item;
        } else if (ended) {
          if (failure !== undefined) throw failure;
          return;
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      signal?.removeEventListener("abort", cancel);
      if (!ended || signal?.aborted === true) this.#port.postMessage({ kind: "cancel", id } satisfies Message);
      this.#pending.delete(id);
    }
  }

  #begin(
    kind: "call" | "stream",
    method: string,
    argument: unknown,
    transfer: Transferable[],
    pending: Pending,
  ): number {
    if (this.#closed) throw new UnavailableError(`${this.#name} has stopped`);
    const id = ++this.#lastId;
    this.#pending.set(id, pending);
    this.#port.postMessage({ kind, id, method, argument } satisfies Message, transfer);
    return id;
  }

  #receive(message: Message): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return; // cancelled meanwhile
    if (message.kind === "item") pending.item(message.value);
    else if (message.kind === "result") this.#finish(message.id, undefined, message.value);
    else if (message.kind === "end") this.#finish(message.id, undefined);
    else if (message.kind === "error") this.#finish(message.id, errorFromWire(message.error));
  }

  #finish(id: number, error: Error | undefined, value?: unknown): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.done(error, value);
  }
}

/** Handlers on the same thread, called without a port: what they transfer stays where it is. */
export function localPeer(handlers: Handlers): Peer {
  const answer = (method: string, argument: unknown, signal: AbortSignal | undefined): unknown => {
    const handler = handlers[method];
    if (handler === undefined) throw new Error(`BUG: no method ${method} on this thread`);
    return handler(argument as never, signal ?? new AbortController().signal);
  };
  return {
    isLocal: true,
    async call<R>(method: string, argument: unknown, signal?: AbortSignal): Promise<R> {
      const value = await (answer(method, argument, signal) as Promise<unknown>);
      return (value instanceof Transfer ? value.value : value) as R;
    },
    stream<R>(method: string, argument: unknown, signal?: AbortSignal): AsyncIterable<R> {
      const items = answer(method, argument, signal) as AsyncIterable<R> | TransferStream<R>;
      return items instanceof TransferStream ? items.items : items;
    },
  };
}
