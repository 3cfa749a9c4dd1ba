/**
 * gRPC server and client on grpc-js, with raw `Buffer` messages: what is hot is encoded by its own code, what is
 * not by protobuf-es. Health service, message limits and keepalive as Thanos sets them.
 */
import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import {
  Client,
  credentials,
  type MethodDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type ServiceError,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Env } from "./env.ts";
import {
  BadRequestError,
  ExecutionError,
  GRPC,
  LimitError,
  messageOf,
  NotFoundError,
  reactionTo,
  TimeoutError,
  UnavailableError,
} from "./errors.ts";

const MESSAGE_BYTES_MAX = 2 ** 31 - 1;

export interface RawCall {
  readonly request: Buffer;
  readonly metadata: Metadata;
  readonly signal: AbortSignal;
}

export type UnaryHandler = (call: RawCall) => Promise<Uint8Array>;
export type StreamHandler = (call: RawCall) => AsyncIterable<Uint8Array>;

/** Method path, as `/thanos.Store/Series` → handler. */
export interface GrpcService {
  readonly unary?: Readonly<Record<string, UnaryHandler>>;
  readonly stream?: Readonly<Record<string, StreamHandler>>;
}

export interface GrpcServer {
  /** Serves a connection that was accepted elsewhere. */
  readonly inject: (socket: Socket) => void;
  /** Calls under way are answered for two seconds. */
  readonly shutdown: () => Promise<void>;
}

/** Has the methods and the standard health service, and no port of its own. */
export function createGrpcServer(services: readonly GrpcService[], env: Env): GrpcServer {
  const server = new Server({
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5000,
    "grpc.http2.min_time_between_pings_ms": 10_000,
  } as object);
  for (const service of [...services, healthService]) addService(server, service, env);
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure());
  return {
    inject: (socket) => connections.injectConnection(socket),
    shutdown() {
      const drained = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      const patience = setTimeout(() => server.forceShutdown(), 2000);
      return drained.finally(() => clearTimeout(patience));
    },
  };
}

function addService(server: Server, service: GrpcService, env: Env): void {
  const handlers: UntypedServiceImplementation = {};
  const definitions: Record<string, MethodDefinition<Buffer, Buffer>> = {};
  for (const [path, handler] of Object.entries(service.unary ?? {})) {
    definitions[path] = definition(path, false);
    handlers[path] = (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      handler({ request: call.request, metadata: call.metadata, signal: signalOf(call) }).then(
        (answer) => callback(null, asBuffer(answer)),
        (error: unknown) => callback(toServiceError(error, path, env)),
      );
    };
  }
  for (const [path, handler] of Object.entries(service.stream ?? {})) {
    definitions[path] = definition(path, true);
    handlers[path] = (call: ServerWritableStream<Buffer, Buffer>) => {
      const signal = signalOf(call);
      void (async () => {
        try {
          for await (const frame of handler({ request: call.request, metadata: call.metadata, signal })) {
            if (signal.aborted) return;
            if (!call.write(asBuffer(frame))) await drained(call, signal);
          }
          call.end();
        } catch (error) {
          call.emit("error", toServiceError(error, path, env));
        }
      })();
    };
  }
  server.addService(definitions, handlers);
}

function definition(path: string, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

function signalOf(call: EventEmitter): AbortSignal {
  const abort = new AbortController();
  call.on("cancelled", () => abort.abort());
  return abort.signal;
}

function drained(call: ServerWritableStream<Buffer, Buffer>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    call.once("drain", resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function toServiceError(error: unknown, path: string, env: Env): Partial<ServiceError> {
  const code = reactionTo(error).grpcStatus;
  if (code === GRPC.INTERNAL) env.log.error({ err: error, path }, "gRPC call failed");
  return { code, details: messageOf(error), message: messageOf(error) };
}

/** grpc.health.v1: `HealthCheckResponse { status = 1 }`, SERVING = 1. */
const healthService: GrpcService = {
  unary: { "/grpc.health.v1.Health/Check": () => Promise.resolve(Uint8Array.of(0x08, 0x01)) },
};

/** One connection to a gRPC server. */
export class GrpcClient {
  readonly address: string;
  readonly #client: Client;

  constructor(address: string, env: Env) {
    this.address = address;
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5000,
    });
    env.defer(`gRPC client ${address}`, () => this.#client.close());
  }

  unary(
    path: string,
    request: Uint8Array,
    headers: Record<string, string>,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const same = (bytes: Buffer): Buffer => bytes;
      const call = this.#client.makeUnaryRequest(
        path,
        same,
        same,
        asBuffer(request),
        metadataOf(headers),
        { deadline: performance.timeOrigin + performance.now() + timeoutMs },
        (error, answer) => {
          signal.removeEventListener("abort", cancel);
          if (error === null) resolve(answer!);
          else reject(fromServiceError(error, this.address, path));
        },
      );
      const cancel = (): void => call.cancel();
      signal.addEventListener("abort", cancel, { once: true });
    });
  }

  async *stream(
    path: string,
    request: Uint8Array,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const same = (bytes: Buffer): Buffer => bytes;
    const call = this.#client.makeServerStreamRequest(path, same, same, asBuffer(request), metadataOf(headers));
    const cancel = (): void => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for await (const frame of call) yield frame as Buffer;
    } catch (error) {
      signal.throwIfAborted();
      throw fromServiceError(error as ServiceError, this.address, path);
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
  }
}

function metadataOf(headers: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

function fromServiceError(error: ServiceError, address: string, path: string): Error {
  const message = `${address} ${path.slice(path.lastIndexOf("/") + 1)}: ${error.details ?? error.message}`;
  const options = { cause: error };
  switch (error.code as number) {
    case GRPC.INVALID_ARGUMENT:
      return new BadRequestError(message, options);
    case GRPC.RESOURCE_EXHAUSTED:
      return new LimitError(message, options);
    case GRPC.NOT_FOUND:
      return new NotFoundError(message, options);
    case GRPC.FAILED_PRECONDITION:
      return new ExecutionError(message, options);
    case GRPC.DEADLINE_EXCEEDED:
      return new TimeoutError(message, options);
    default:
      return new UnavailableError(message, options);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
