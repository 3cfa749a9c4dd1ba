/** `--enable-feature`: Prometheus's names for what is off by default. */
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

/** What the names switch on; those of other components are passed over. */
export function engineFeatures(names: readonly string[]): Features {
  const entries = Object.entries(PARSER_FEATURES).map(([name, option]) => [option, names.includes(name)] as const);
  return {
    parser: Object.fromEntries(entries) as unknown as ParserOptions,
    delayedNameRemoval: names.includes(DELAYED_NAMES),
    useStartTimestamps: names.includes(START_TIMESTAMPS),
  };
}
