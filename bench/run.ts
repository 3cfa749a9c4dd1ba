/** `npm run bench [-- NAMES]`: one table of what is named, or of all; see README.md for how to read it. */
import { blocks } from "./blocks.ts";
import { codec } from "./codec.ts";
import { figures } from "./figures.ts";
import { head } from "./head.ts";
import { histograms } from "./histograms.ts";
import { jsonMatrix } from "./json-matrix.ts";
import { queryMemory } from "./large-query.ts";
import { rateBlock } from "./rate-block.ts";
import { loadAverage } from "./peers.ts";
import { queries } from "./queries.ts";
import { queryHead } from "./query-head.ts";
import { servers } from "./servers.ts";
import { small } from "./small.ts";
import { where } from "./where.ts";

const wanted = process.argv.slice(2);
const runs = (name: string): boolean => wanted.length === 0 || wanted.includes(name);
const print = (line: string): void => console.log(line);

// The servers of a bench are killed when the process ends.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

print(`node ${process.version}, load average at start ${loadAverage()}\n`);
print("| what | best | median | note |\n|---|---|---|---|");
if (runs("codec")) codec(print);
if (runs("head")) head(print);
if (runs("figures")) await figures(print);
if (runs("histograms")) histograms(print);
if (runs("block")) await rateBlock(print);
if (runs("blocks")) await blocks(print);
if (runs("query-head")) await queryHead(print);
if (runs("json")) await jsonMatrix(print);
if (runs("memory")) queryMemory(print);
if (runs("servers"))
  await servers(print, Number(process.env["BENCH_SERIES"] ?? 20_000), Number(process.env["BENCH_STEPS"] ?? 260));
if (runs("queries")) await queries(print);
if (runs("small")) await small(print);
if (runs("where")) await where(print);
