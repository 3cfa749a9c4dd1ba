/** `cairn tools`: what looks at blocks and logs, and makes load. */
import { Command, CommanderError, Option } from "commander";
import { codeOf } from "#libs/kit/errors.ts";
import { blockDump } from "./block-dump.ts";
import { blockVerify } from "./block-verify.ts";
import { load } from "./load.ts";
import { promqltest, type PromqltestOptions, STORAGES } from "./promqltest.ts";
import { walDump } from "./wal-dump.ts";

/** @returns the exit code. */
export async function runTools(args: readonly string[]): Promise<number> {
  let code = 0;
  // `… | head` closes the pipe: what is left unread is not wanted.
  process.stdout.once("error", (error) => {
    if (codeOf(error) === "EPIPE") process.exit(0);
    throw error;
  });
  const program = new Command("cairn tools").exitOverride().showSuggestionAfterError();
  const block = program.command("block").description("Blocks in a folder.").exitOverride();
  block
    .command("dump <dir>")
    .description("Prints a block as NDJSON, one series a line.")
    .option("--match <selector>", "only the series that match")
    .option("--min-time <ms>", "no samples before")
    .option("--max-time <ms>", "no samples after")
    .action(async (dir: string, options: { match?: string; minTime?: string; maxTime?: string }) => {
      code = await blockDump(dir, options, (line) => process.stdout.write(`${line}\n`));
    });
  const wal = program.command("wal").description("Logs and head chunks in a data folder.").exitOverride();
  wal
    .command("dump <dir>")
    .description("Prints what a head holds after replaying a data folder, as NDJSON, one series a line.")
    .action(async (dir: string) => {
      code = await walDump(dir, (line) => process.stdout.write(`${line}\n`));
    });
  block
    .command("verify <dir...>")
    .description("Reads blocks, or all blocks in folders, from end to end; exits 1 when one is corrupt.")
    .action(async (dirs: string[]) => {
      code = await blockVerify(dirs, (line) => process.stdout.write(`${line}\n`));
    });
  program
    .command("promqltest <file...>")
    .description("Runs scripts of Prometheus's promqltest format.")
    .option("--run <text>", "only evals whose query contains the text", "")
    .addOption(
      new Option(
        "--storage <kind>",
        "where series are loaded: chunks in memory, or a receiver's head in a temporary folder",
      )
        .choices(Object.keys(STORAGES))
        .default("chunks"),
    )
    .action(async (files: string[], options: PromqltestOptions) => {
      const signal = new AbortController().signal;
      code = await promqltest(files, options, (text) => process.stdout.write(`${text}\n`), signal);
    });
  program
    .command("load")
    .description("Deterministic remote-write load.")
    .requiredOption("--url <url>", "where to write")
    .option("--series <n>", "series", "1000")
    .option("--interval <duration>", "between samples of a series", "15s")
    .option("--duration <duration>", "time covered by the samples", "1h")
    .option("--start <ms>", "time of the first sample; default: so that the last is now")
    .option("--seed <n>", "seed of the values", "42")
    .option("--tenant <id>", "sent as THANOS-TENANT")
    .option("--concurrency <n>", "requests under way", "4")
    .action(async (options: Record<string, string>) => {
      code = await load(options);
    });
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  return code;
}
