/** Tenants: part of every path, key, limit and metric from the start (D12). */
import { BadRequestError } from "#libs/kit/errors.ts";

export const DEFAULT_TENANT = "default-tenant";
export const DEFAULT_TENANT_LABEL = "tenant_id";
const LENGTH_MAX = 150;

/**
 * Checks that a tenant id can be a folder name and a header value: Mimir's characters, at most 150 of them.
 *
 * @throws BadRequestError saying what is allowed.
 */
export function parseTenant(text: string): string {
  if (text.length > LENGTH_MAX) throw new BadRequestError(`tenant id is longer than ${LENGTH_MAX} characters`);
  if (text === "." || text === ".." || !/^[a-zA-Z0-9!\-_.*'()]+$/.test(text)) {
    throw new BadRequestError(
      `tenant id ${JSON.stringify(text)} has characters other than letters, digits and ! - _ . * ' ( )`,
    );
  }
  return text;
}

/**
 * The tenant of a request: `THANOS-TENANT` (or the header configured), else `X-Scope-OrgID`, else the basic-auth
 * user or bearer token, else `fallback`.
 */
export function tenantOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  tenantHeader: string,
  fallback: string,
): string {
  const given =
    single(headers[tenantHeader.toLowerCase()]) ??
    single(headers["x-scope-orgid"]) ??
    credentialTenant(single(headers["authorization"]));
  return given === undefined ? fallback : parseTenant(given);
}

function single(value: string | string[] | undefined): string | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  return first === "" ? undefined : first;
}

function credentialTenant(authorization: string | undefined): string | undefined {
  const [scheme, credential] = authorization?.split(" ", 2) ?? [];
  if (credential === undefined) return undefined;
  if (scheme?.toLowerCase() === "bearer") return credential;
  if (scheme?.toLowerCase() !== "basic") return undefined;
  const user = Buffer.from(credential, "base64").toString("utf8").split(":", 1)[0];
  return user === "" ? undefined : user;
}
