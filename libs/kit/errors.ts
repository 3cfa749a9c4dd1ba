/**
 * One error class per reaction, not per cause (STYLE §5). The cause goes into the message and `{ cause }`.
 *
 * Errors cross threads as plain objects: `errorToWire` and `errorFromWire` keep the class, so that a
 * `LimitError` thrown in a worker is still a 422 on the socket.
 */

/** gRPC status codes (grpc/grpc doc/statuscodes.md); not grpc-js's own, which every thread would have to load. */
export const GRPC = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
} as const;

/** The caller's fault: 400 `bad_data`, INVALID_ARGUMENT. */
export class BadRequestError extends Error {
  override name = "BadRequestError";
}

/** A limit was hit; the message names it, its value and its flag: 422 `execution`, RESOURCE_EXHAUSTED. */
export class LimitError extends Error {
  override name = "LimitError";
}

/** What was asked for does not exist: 404, NOT_FOUND. */
export class NotFoundError extends Error {
  override name = "NotFoundError";
}

/** Another process (or the disk) does not answer now; trying again may help: 503, UNAVAILABLE. */
export class UnavailableError extends Error {
  override name = "UnavailableError";
}

/** A query was right to ask but cannot be evaluated: 422 `execution`. */
export class ExecutionError extends Error {
  override name = "ExecutionError";
}

/** The time allowed is over: 503 `timeout`. */
export class TimeoutError extends Error {
  override name = "TimeoutError";
}

/** Stored bytes are not what they must be. `file` and `offset` say where: 500 `internal`, DATA_LOSS. */
export class CorruptionError extends Error {
  override name = "CorruptionError";
  readonly file: string;
  readonly offset: number;

  constructor(file: string, offset: number, what: string, options?: ErrorOptions) {
    super(`${file}: corrupt at byte ${offset}: ${what}`, options);
    this.file = file;
    this.offset = offset;
  }
}

export type ErrorType =
  | "bad_data"
  | "execution"
  | "canceled"
  | "timeout"
  | "internal"
  | "not_found"
  | "not_acceptable"
  | "unavailable";

export interface ErrorReaction {
  readonly type: ErrorType;
  readonly httpStatus: number;
  readonly grpcStatus: number;
}

/** How an error is answered, by its class. Anything unknown is ours: 500 `internal`. */
export function reactionTo(error: unknown): ErrorReaction {
  const name = error instanceof Error ? error.name : "";
  switch (name) {
    case "BadRequestError":
      return { type: "bad_data", httpStatus: 400, grpcStatus: GRPC.INVALID_ARGUMENT };
    case "LimitError":
      return { type: "execution", httpStatus: 422, grpcStatus: GRPC.RESOURCE_EXHAUSTED };
    case "ExecutionError":
      return { type: "execution", httpStatus: 422, grpcStatus: GRPC.FAILED_PRECONDITION };
    case "NotFoundError":
      return { type: "not_found", httpStatus: 404, grpcStatus: GRPC.NOT_FOUND };
    case "UnavailableError":
      return { type: "unavailable", httpStatus: 503, grpcStatus: GRPC.UNAVAILABLE };
    case "TimeoutError":
      return { type: "timeout", httpStatus: 503, grpcStatus: GRPC.DEADLINE_EXCEEDED };
    case "AbortError":
      return { type: "canceled", httpStatus: 499, grpcStatus: GRPC.CANCELLED };
    case "CorruptionError":
      return { type: "internal", httpStatus: 500, grpcStatus: GRPC.DATA_LOSS };
    default:
      return { type: "internal", httpStatus: 500, grpcStatus: GRPC.INTERNAL };
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error (`ENOSPC`, `ENOENT`, …), undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What is left of an error on another thread. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly file?: string;
  readonly offset?: number;
  readonly stack?: string | undefined;
}

const CLASSES = {
  BadRequestError,
  LimitError,
  NotFoundError,
  UnavailableError,
  ExecutionError,
  TimeoutError,
} as const;

export function errorToWire(error: unknown): WireError {
  if (error instanceof CorruptionError) {
    return { name: error.name, message: error.message, file: error.file, offset: error.offset, stack: error.stack };
  }
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack };
  return { name: "Error", message: String(error) };
}

export function errorFromWire(wire: WireError): Error {
  let error: Error;
  if (wire.name === "CorruptionError") {
    error = new CorruptionError(wire.file ?? "", wire.offset ?? 0, "");
    error.message = wire.message;
  } else if (wire.name in CLASSES) {
    error = new CLASSES[wire.name as keyof typeof CLASSES](wire.message);
  } else {
    error = new Error(wire.message);
    error.name = wire.name;
  }
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}
