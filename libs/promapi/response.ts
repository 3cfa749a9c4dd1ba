/** Requests and answers of the HTTP API as they go from thread to thread: what has the socket needs no more of the API. */
import { BadRequestError, messageOf, reactionTo, UnavailableError } from "#libs/kit/errors.ts";
import { JsonWriter } from "./json-writer.ts";
import { writeNotes } from "./results.ts";

export interface ApiRequest {
  readonly method: string;
  /** Below `/api/v1/`, not decoded. */
  readonly path: string;
  /** After the `?`. */
  readonly query: string;
  /** Body of a form. */
  readonly form: string;
  readonly tenant: string;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

export const JSON_HEADERS = { "content-type": "application/json" } as const;

/** The envelope of an answer. */
export function success(data: unknown, warnings: readonly string[] = []): ApiResponse {
  const out = new JsonWriter();
  out.raw('{"status":"success","data":');
  out.value(data);
  writeNotes(out, warnings, []);
  out.raw("}");
  return { status: 200, headers: JSON_HEADERS, body: out.finish() };
}

/** The error envelope for anything thrown. */
export function errorResponse(error: unknown): ApiResponse {
  const { type, httpStatus } = reactionTo(
    error instanceof Error && error.name === "ParseError" ? new BadRequestError(error.message) : error,
  );
  const out = new JsonWriter();
  out.value({ status: "error", errorType: type, error: messageOf(error) });
  const headers = error instanceof UnavailableError ? { ...JSON_HEADERS, "cache-control": "no-store" } : JSON_HEADERS;
  return { status: httpStatus, headers, body: out.finish() };
}
