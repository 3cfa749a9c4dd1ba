/** The command line: finds the command, resolves its options, runs it until it is told to stop. */
import { mkdirSync, writeFileSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";
import { Command, CommanderError, Option as Flag } from "commander";
import { BUILD } from "#libs/kit/build.ts";
import { createEnv, type Env } from "#libs/kit/env.ts";
import { BadRequestError, messageOf, UnavailableError } from "#libs/kit/errors.ts";
import { createLog, type LogConfig, type LogFormat } from "#libs/kit/log.ts";
import { registerProcessMetrics } from "#libs/kit/metrics.ts";
import { findOwnModules } from "#libs/kit/own-modules.ts";
import {
  choice,
  type ConfigOf,
  environmentName,
  flagsMarkdown,
  type OptionTable,
  resolveOptions,
  string,
} from "#libs/kit/options.ts";

const commonOptions = {
  logLevel: choice(
    "log.level",
    "info",
    ["trace", "debug", "info", "warn", "error", "fatal"],
    "Least severity that is logged.",
  ),
  logFormat: choice("log.format", "logfmt", ["logfmt", "json"], "Form of log lines."),
  configFile: string("config.file", "", "YAML with flag names as keys."),
} satisfies OptionTable;

type Start<T extends OptionTable> = (
  config: ConfigOf<T>,
  log: LogConfig,
  env: Env,
  onDeath: (thread: string, error: Error) => void,
) => Promise<void>;

interface Component {
  readonly about: string;
  /** Modules are loaded only for the command that needs them. */
  readonly load: () => Promise<{ readonly options: OptionTable; readonly start: Start<OptionTable> }>;
}

const component = <T extends OptionTable>(
  options: T,
  start: Start<T>,
): { options: OptionTable; start: Start<OptionTable> } => ({
  options,
  start: start as unknown as Start<OptionTable>,
});

const COMPONENTS: Readonly<Record<string, Component>> = {
  all: {
    about: "Everything in one process on a folder.",
    load: async () => {
      const { allOptions, startAll } = await import("./all.ts");
      return component(allOptions, startAll);
    },
  },
  receive: {
    about: "Takes remote write, keeps a head per tenant, uploads blocks.",
    load: async () => {
      const { receiveOptions, startReceive } = await import("#services/receiver/main.ts");
      return component(receiveOptions, startReceive);
    },
  },
  store: {
    about: "Serves the blocks of a bucket.",
    load: async () => {
      const { storeOptions, startStore } = await import("#services/store-gateway/main.ts");
      return component(storeOptions, startStore);
    },
  },
  query: {
    about: "One PromQL endpoint over many stores.",
    load: async () => {
      const { startQuery } = await import("#services/querier/main.ts");
      const { querierOptions } = await import("#services/querier/config.ts");
      return component(querierOptions, startQuery);
    },
  },
};

const NOT_BUILT = ["sidecar", "query-frontend", "compact", "rule"];

/** Fills a commander command from an option table; `given` collects what was on the command line. */
function addFlags(command: Command, table: OptionTable, given: Map<string, string[]>): void {
  for (const option of Object.values(table)) {
    const note = `${option.help}${option.fallback === undefined || option.fallback === "" ? "" : ` (default ${option.fallback})`} [${environmentName(option.flag)}]`;
    const add = (value: string): void => void given.set(option.flag, [...(given.get(option.flag) ?? []), value]);
    if (option.kind === "boolean") {
      command.addOption(new Flag(`--${option.flag}`, note));
      command.addOption(new Flag(`--no-${option.flag}`).hideHelp());
      command.on(`option:${option.flag}`, () => add("true"));
      command.on(`option:no-${option.flag}`, () => add("false"));
    } else {
      command.addOption(new Flag(`--${option.flag} <${option.kind}>`, note));
      command.on(`option:${option.flag}`, add);
    }
  }
}

async function runComponent(name: string, args: readonly string[]): Promise<number> {
  const { options, start } = await COMPONENTS[name]!.load();
  const table: OptionTable = { ...commonOptions, ...options };
  const given = new Map<string, string[]>();
  const command = new Command(`cairn ${name}`)
    .description(COMPONENTS[name]!.about)
    .exitOverride()
    .allowExcessArguments(false)
    .showSuggestionAfterError();
  addFlags(command, table, given);
  command.action(() => undefined);
  await command.parseAsync([...args], { from: "user" });
  const first = resolveOptions({ configFile: commonOptions.configFile }, { flags: given, environment: process.env });
  const configFile = first.configFile === "" ? undefined : first.configFile;
  const config = resolveOptions(table, {
    flags: given,
    environment: process.env,
    configFile,
  }) as ConfigOf<OptionTable> & ConfigOf<typeof commonOptions>;
  const logConfig: LogConfig = { level: config.logLevel, format: config.logFormat as LogFormat };
  return runUntilStopped(logConfig, (env, onDeath) => start(config, logConfig, env, onDeath));
}

/** Runs `start`, waits for a signal or the death of a thread, closes everything in reverse. @returns the exit code. */
async function runUntilStopped(
  logConfig: LogConfig,
  start: (env: Env, onDeath: (thread: string, error: Error) => void) => Promise<void>,
): Promise<number> {
  const log = createLog(logConfig);
  const stopping = new AbortController();
  const { env, close } = createEnv(log, () => Date.now(), stopping.signal);
  registerProcessMetrics(env.metrics);
  let code = 0;
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (!stopping.signal.aborted) log.info({ signal }, "stopping");
        resolve();
      });
    }
    const onDeath = (thread: string, err: Error): void => {
      log.fatal({ err, thread }, "thread died");
      code = 1;
      resolve();
    };
    // Written now: one that is killed writes none, and the next start would compile all again, in 18 MB more (bench/README.md).
    start(env, onDeath).then(flushCompileCache, (err: unknown) => {
      // Theirs to put right, and said in full by the message: an address or a folder in use.
      if (err instanceof BadRequestError || err instanceof UnavailableError) log.error(messageOf(err));
      else log.fatal({ err }, "start failed");
      code = err instanceof BadRequestError ? 2 : 1;
      resolve();
    });
  });
  await stopped;
  stopping.abort();
  // What hangs in closing must not keep the process.
  const patience = setTimeout(() => {
    log.error("closing took over 30 s, leaving");
    process.exit(1);
  }, 30_000);
  await close();
  clearTimeout(patience);
  if (code === 0) log.info("stopped");
  return code;
}

/** Writes docs/flags/*.md. */
async function writeFlagDocs(folder: string): Promise<number> {
  mkdirSync(folder, { recursive: true });
  for (const [name, { about, load }] of Object.entries(COMPONENTS)) {
    const { options } = await load();
    writeFileSync(join(folder, `${name}.md`), flagsMarkdown(name, about, { ...commonOptions, ...options }));
  }
  return 0;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name !== undefined && name in COMPONENTS) return runComponent(name, rest);
  if (name === "tools") return (await import("./tools/main.ts")).runTools(rest);
  if (name === "docs" && rest[0] === "flags" && rest[1] !== undefined) return writeFlagDocs(rest[1]);
  const program = new Command("cairn")
    .description("Prometheus metrics for years, across clusters.")
    .version(BUILD.version)
    .exitOverride()
    .showSuggestionAfterError();
  for (const [command, { about }] of Object.entries(COMPONENTS))
    program.command(command).description(about).allowUnknownOption();
  program.command("tools").description("Blocks, logs and load: see `cairn tools --help`.");
  for (const command of NOT_BUILT) {
    program
      .command(command)
      .description("Not built yet.")
      .allowUnknownOption()
      .allowExcessArguments()
      .action(() => {
        throw new BadRequestError(
          `cairn ${command} is not built yet; there are: ${Object.keys(COMPONENTS).join(", ")}, tools`,
        );
      });
  }
  program.action(() => {
    program.outputHelp();
    throw new BadRequestError("no command given");
  });
  await program.parseAsync([...args], { from: "user" });
  return 0;
}

// As the `cairn` script has it, for who starts this file; the threads find it in the environment.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "node_modules/.cache/node-compile");
enableCompileCache(process.env["NODE_COMPILE_CACHE"]);
findOwnModules();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    const usage = error instanceof BadRequestError;
    process.stderr.write(`cairn: ${usage ? messageOf(error) : error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = usage ? 2 : 1;
  }
}
