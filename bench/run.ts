/** `npm run bench [-- codec|head|histograms|block|json|servers]`: prints one table; see README.md for how to read it. */
import { codec } from "./codec.ts";
import { head } from "./head.ts";
import { histograms } from "./histograms.ts";
import { jsonMatrix } from "./json-matrix.ts";
import { rateBlock } from "./rate-block.ts";
import { loadAverage, servers } from "./servers.ts";

const wanted = process.argv.slice(2);
const runs = (name: string): boolean => wanted.length === 0 || wanted.includes(name);
const print = (line: string): void => console.log(line);

print(`node ${process.version}, load average at start ${loadAverage()}\n`);
print("| what | best | median | note |\n|---|---|---|---|");
if (runs("codec")) codec(print);
if (runs("head")) head(print);
if (runs("histograms")) histograms(print);
if (runs("block")) await rateBlock(print);
if (runs("json")) await jsonMatrix(print);
if (runs("servers"))
  await servers(print, Number(process.env["BENCH_SERIES"] ?? 20_000), Number(process.env["BENCH_STEPS"] ?? 260));
