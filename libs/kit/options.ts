/**
 * Option tables: a component's configuration is one table, from which the type, the flags, the environment
 * names, the YAML keys, `--help` and docs/flags/*.md all follow.
 *
 * Strongest first: flag `--a.b-c`, environment `CAIRN_A_B_C`, `--config.file` YAML key `a.b-c`, default.
 */
import { readFileSync } from "node:fs";
import { formatDuration, formatSize, parseDuration, parseSize } from "./duration.ts";
import { BadRequestError, messageOf } from "./errors.ts";
import { parseYaml } from "./yaml.ts";

export interface Option<T> {
  readonly flag: string;
  readonly help: string;
  readonly kind: "string" | "duration" | "size" | "number" | "boolean" | "address" | "list";
  /** As a person would write it; undefined when the option is unset unless given. */
  readonly fallback: string | undefined;
  /** Never printed: shown as `<secret>`. */
  readonly secret: boolean;
  /** @throws BadRequestError naming what is wrong with the text. */
  readonly parse: (text: string) => T;
}

export type OptionTable = Record<string, Option<unknown>>;
export type ConfigOf<T extends OptionTable> = { readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never };

export interface Address {
  readonly host: string;
  readonly port: number;
}

interface Extra {
  readonly secret?: boolean;
}

export function string(flag: string, fallback: string, help: string, extra: Extra = {}): Option<string> {
  return { flag, help, kind: "string", fallback, secret: extra.secret ?? false, parse: (text) => text };
}

/** One of a fixed set of words. */
export function choice<T extends string>(flag: string, fallback: T, words: readonly T[], help: string): Option<T> {
  const parse = (text: string): T => {
    const word = words.find((w) => w === text);
    if (word === undefined)
      throw new BadRequestError(`must be one of ${words.join(", ")}, got ${JSON.stringify(text)}`);
    return word;
  };
  return { flag, help: `${help} One of ${words.join(", ")}.`, kind: "string", fallback, secret: false, parse };
}

export function duration(flag: string, fallback: string, help: string): Option<number> {
  return { flag, help, kind: "duration", fallback, secret: false, parse: parseDuration };
}

export function size(flag: string, fallback: string, help: string): Option<number> {
  return { flag, help, kind: "size", fallback, secret: false, parse: parseSize };
}

export function integer(flag: string, fallback: number, help: string): Option<number> {
  const parse = (text: string): number => {
    if (!/^-?\d+$/.test(text)) throw new BadRequestError(`must be a whole number, got ${JSON.stringify(text)}`);
    return Number(text);
  };
  return { flag, help, kind: "number", fallback: String(fallback), secret: false, parse };
}

export function boolean(flag: string, fallback: boolean, help: string): Option<boolean> {
  const parse = (text: string): boolean => {
    if (text !== "true" && text !== "false")
      throw new BadRequestError(`must be true or false, got ${JSON.stringify(text)}`);
    return text === "true";
  };
  return { flag, help, kind: "boolean", fallback: String(fallback), secret: false, parse };
}

export function address(flag: string, fallback: string, help: string): Option<Address> {
  return { flag, help, kind: "address", fallback, secret: false, parse: parseAddress };
}

/** Repeatable, and comma-separated inside one. */
export function list(flag: string, help: string): Option<readonly string[]> {
  const parse = (text: string): readonly string[] =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "");
  return { flag, help, kind: "list", fallback: "", secret: false, parse };
}

/** A list of words of a fixed set. */
export function choices(flag: string, words: readonly string[], help: string): Option<readonly string[]> {
  const option = list(flag, `${help} Any of ${words.join(", ")}. Repeatable, or a comma list.`);
  const parse = (text: string): readonly string[] => {
    const given = option.parse(text);
    const unknown = given.find((word) => !words.includes(word));
    if (unknown !== undefined) throw new BadRequestError(`there is no ${unknown}, only ${words.join(", ")}`);
    return given;
  };
  return { ...option, parse };
}

/** Repeatable `name="value"` pairs, as Thanos's `--label`. */
export function labels(flag: string, fallback: string, help: string): Option<ReadonlyMap<string, string>> {
  const parse = (text: string): ReadonlyMap<string, string> => {
    const pairs = new Map<string, string>();
    for (const part of text.split(/\n|,(?=[a-zA-Z_])/)) {
      if (part.trim() === "") continue;
      const match = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"?([^"]*)"?\s*$/.exec(part);
      if (match === null) throw new BadRequestError(`must look like name="value", got ${JSON.stringify(part)}`);
      pairs.set(match[1]!, match[2]!);
    }
    return pairs;
  };
  return { flag, help, kind: "list", fallback, secret: false, parse };
}

/** @throws BadRequestError unless `host:port`, `:port` (all interfaces) or `[v6]:port`. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new BadRequestError(`must be host:port, got ${JSON.stringify(text)}`);
  return { host: match[1] ?? (match[2] === "" ? "0.0.0.0" : match[2]!), port };
}

export function formatAddress(a: Address): string {
  return a.host.includes(":") ? `[${a.host}]:${a.port}` : `${a.host}:${a.port}`;
}

/** The same table with other defaults, for a command that embeds a component under other circumstances. */
export function withDefaults<T extends OptionTable>(table: T, fallbacks: Partial<Record<keyof T, string>>): T {
  const entries = Object.entries(table).map(([key, option]) => {
    const fallback = fallbacks[key];
    return [key, fallback === undefined ? option : { ...option, fallback }];
  });
  return Object.fromEntries(entries) as T;
}

export interface OptionSources {
  /** Flag name (without dashes) → the texts given, in order. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly configFile?: string | undefined;
}

/** @throws BadRequestError naming the flag, variable or file at fault and, for an unknown YAML key, the nearest name. */
export function resolveOptions<T extends OptionTable>(table: T, sources: OptionSources): ConfigOf<T> {
  const file =
    sources.configFile === undefined ? new Map<string, string[]>() : readConfigFile(sources.configFile, table);
  const config: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    const variable = environmentName(option.flag);
    const fromEnvironment = sources.environment[variable];
    const given: readonly [string, readonly string[] | undefined][] = [
      [`--${option.flag}`, sources.flags.get(option.flag)],
      [variable, fromEnvironment === undefined ? undefined : [fromEnvironment]],
      [`${sources.configFile}: ${option.flag}`, file.get(option.flag)],
      ["default", option.fallback === undefined ? undefined : [option.fallback]],
    ];
    const [where, texts] = given.find(([, candidate]) => candidate !== undefined) ?? ["default", [""]];
    try {
      config[key] = option.kind === "list" ? parseList(option, texts!) : option.parse(texts!.at(-1)!);
    } catch (cause) {
      throw new BadRequestError(`${where}: ${messageOf(cause)}`, { cause });
    }
  }
  return config as ConfigOf<T>;
}

function parseList(option: Option<unknown>, texts: readonly string[]): unknown {
  const parts = texts.map((text) => option.parse(text));
  if (parts[0] instanceof Map) return new Map(parts.flatMap((part) => [...(part as Map<string, string>)]));
  return parts.flatMap((part) => part as readonly string[]);
}

function readConfigFile(path: string, table: OptionTable): Map<string, string[]> {
  let document: unknown;
  try {
    document = parseYaml(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new BadRequestError(`--config.file ${path}: ${messageOf(cause)}`, { cause });
  }
  if (document === null || document === undefined) return new Map();
  if (typeof document !== "object" || Array.isArray(document)) {
    throw new BadRequestError(`--config.file ${path}: must be a mapping of flag names to values`);
  }
  const flags = Object.values(table).map((option) => option.flag);
  const values = new Map<string, string[]>();
  for (const [key, value] of Object.entries(document)) {
    if (!flags.includes(key)) {
      const near = nearest(key, flags);
      throw new BadRequestError(
        `--config.file ${path}: unknown key ${JSON.stringify(key)}${near === undefined ? "" : `, did you mean ${near}?`}`,
      );
    }
    values.set(
      key,
      (Array.isArray(value) ? value : [value]).map((item) =>
        typeof item === "object" && item !== null ? JSON.stringify(item) : String(item),
      ),
    );
  }
  return values;
}

export function environmentName(flag: string): string {
  return `CAIRN_${flag.toUpperCase().replaceAll(/[-.]/g, "_")}`;
}

/** The candidate within a third of its length in edits, if any. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance && distance <= Math.max(2, candidate.length / 3)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** flag → value as text, secrets masked: what `/api/v1/status/flags` shows. */
export function describeConfig<T extends OptionTable>(table: T, config: ConfigOf<T>): Record<string, string> {
  const described: Record<string, string> = {};
  for (const [key, option] of Object.entries(table)) {
    described[option.flag] = option.secret ? "<secret>" : formatOption(option, config[key]);
  }
  return described;
}

function formatOption(option: Option<unknown>, value: unknown): string {
  if (option.kind === "duration") return formatDuration(value as number);
  if (option.kind === "size") return formatSize(value as number);
  if (option.kind === "address") return formatAddress(value as Address);
  if (value instanceof Map) return [...value].map(([name, text]) => `${name}="${text}"`).join(",");
  return String(value);
}

/** The page of docs/flags/ for a command. */
export function flagsMarkdown(command: string, about: string, table: OptionTable): string {
  const rows = Object.values(table)
    .toSorted((a, b) => (a.flag < b.flag ? -1 : 1))
    .map((o) => {
      const fallback = o.fallback === undefined || o.fallback === "" ? "" : `\`${o.fallback}\``;
      return `| \`--${o.flag}\` | ${o.kind} | ${fallback} | ${o.help.replaceAll("|", "\\|")} |`;
    });
  return [
    `# cairn ${command}`,
    "",
    about,
    "",
    "Generated by `npm run generate`. Each flag is also an environment variable (`--a.b-c` is `CAIRN_A_B_C`) and a key of `--config.file`.",
    "",
    "| flag | kind | default | what |",
    "|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}
