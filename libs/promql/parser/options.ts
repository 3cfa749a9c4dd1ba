/** What is parsed and what is refused. */

/** Parts of the language that Prometheus has behind flags. */
export interface ParserOptions {
  readonly experimentalFunctions: boolean;
  readonly durationExpressions: boolean;
  readonly extendedRangeSelectors: boolean;
  readonly fillModifiers: boolean;
}

/** Prometheus 3.14 has duration expressions on always, the rest off without its flags. */
export const ALL_OFF: ParserOptions = {
  experimentalFunctions: false,
  durationExpressions: false,
  extendedRangeSelectors: false,
  fillModifiers: false,
};
