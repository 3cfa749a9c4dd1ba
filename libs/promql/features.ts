/** `--enable-feature`: Prometheus's names for what is off by default. */
import { BadRequestError } from "#libs/kit/errors.ts";
import type { EngineOptions } from "./engine.ts";
import type { ParserOptions } from "./parser/options.ts";

type Features = Pick<EngineOptions, "parser" | "delayedNameRemoval" | "useStartTimestamps">;

const PARSER_FEATURES: Readonly<Record<string, keyof ParserOptions>> = {
  "promql-experimental-functions": "experimentalFunctions",
  "promql-duration-expr": "durationExpressions",
  "promql-extended-range-selectors": "extendedRangeSelectors",
  "promql-binop-fill-modifiers": "fillModifiers",
};
const DELAYED_NAMES = "promql-delayed-name-removal";
const START_TIMESTAMPS = "use-start-timestamps";

export const FEATURE_NAMES: readonly string[] = [...Object.keys(PARSER_FEATURES), DELAYED_NAMES, START_TIMESTAMPS];

/** What the names switch on; each may be a comma list. @throws BadRequestError for a name that is not known. */
export function engineFeatures(lists: readonly string[]): Features {
  const names = new Set(
    lists.flatMap((list) => list.split(",").map((name) => name.trim())).filter((name) => name !== ""),
  );
  for (const name of names) {
    if (!FEATURE_NAMES.includes(name)) {
      throw new BadRequestError(`--enable-feature: no feature ${name}; there are ${FEATURE_NAMES.join(", ")}`);
    }
  }
  const entries = Object.entries(PARSER_FEATURES).map(([name, option]) => [option, names.has(name)] as const);
  return {
    parser: Object.fromEntries(entries) as unknown as ParserOptions,
    delayedNameRemoval: names.has(DELAYED_NAMES),
    useStartTimestamps: names.has(START_TIMESTAMPS),
  };
}
