/** Limits that every store has, by the same flag. */
import { integer } from "#libs/kit/options.ts";

export const EXEMPLARS_PER_REQUEST = integer(
  "store.limits.request-exemplars",
  100_000,
  "Most exemplars that one request may select; a query for more is refused.",
);
