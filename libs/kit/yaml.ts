/** YAML. Its parser is loaded with the first text: 3 MB and 40 ms of CPU that most processes and threads need not spend. */
import { createRequire } from "node:module";
import type * as Yaml from "yaml";

const require = createRequire(import.meta.url);

/** @throws what the parser says about a text that is no YAML. */
export function parseYaml(text: string): unknown {
  return (require("yaml") as typeof Yaml).parse(text);
}
