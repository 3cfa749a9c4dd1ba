/** `tools block dump`: every series of a block with chunks, samples and tombstones, one JSON object a line. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SampleColumns } from "#libs/model/columns.ts";
import { formatE, formatValue } from "#libs/model/float.ts";
import { type Matcher, createMatcher } from "#libs/model/matcher.ts";
import { labelsToObject } from "#libs/model/labels.ts";
import { isStale } from "#libs/model/stale.ts";
import { parseSelector } from "#libs/promql/parser/parser.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { readMeta } from "#libs/tsdb/block/meta.ts";
import { openBlock } from "#libs/tsdb/block/reader.ts";
import { readTombstones } from "#libs/tsdb/block/tombstones.ts";
import { decodeChunk } from "#libs/tsdb/chunk/decode.ts";
import { ENCODING_NAMES } from "#libs/tsdb/chunk/encoding.ts";
import { xorCount } from "#libs/tsdb/chunk/xor.ts";
import { selectPostings } from "#libs/tsdb/index/select.ts";

export interface DumpOptions {
  readonly match?: string;
  readonly minTime?: string;
  readonly maxTime?: string;
}

export async function blockDump(dir: string, options: DumpOptions, print: (line: string) => void): Promise<number> {
  const metaFile = join(dir, "meta.json");
  const meta = readMeta(readFileSync(metaFile, "utf8"), metaFile);
  const block = await openBlock(meta, openBlockFolder(dir));
  const tombstones = readTombstones(join(dir, "tombstones"));
  const mint = options.minTime === undefined ? -Infinity : Number(options.minTime);
  const maxt = options.maxTime === undefined ? Infinity : Number(options.maxTime);
  try {
    const matchers: Matcher[] = options.match === undefined ? [] : parseSelector(options.match).map(createMatcher);
    const refs = matchers.length === 0 ? await block.all() : await selectPostings(block, matchers);
    const columns = new SampleColumns();
    for await (const entry of block.entries(refs)) {
      columns.clear();
      const labels = entry.labelRefs.map((ref) => block.header.symbols.text(block.header.symbols.ordinal(ref)));
      const chunks = await block.chunksOf(entry);
      for (const chunk of chunks)
        decodeChunk(chunk.encoding, chunk.data, 0, chunk.data.length, columns, `${dir}, series ${entry.ref}`);
      const samples: [number, string][] = [];
      for (let i = 0; i < columns.length; i++) {
        const time = columns.times[i]!;
        if (time >= mint && time <= maxt) samples.push([time, sampleText(columns, i)]);
      }
      const line = {
        chunks: chunks.map((chunk, i) => ({
          bytes: chunk.data.length,
          encoding: ENCODING_NAMES[chunk.encoding],
          maxt: chunk.maxt,
          mint: chunk.mint,
          ref: entry.chunks[i]!.segment * 4294967296 + entry.chunks[i]!.offset,
          samples: xorCount(chunk.data, 0),
        })),
        labels: labelsToObject(labels),
        ref: entry.ref,
        samples,
        tombstones: tombstones.get(entry.ref)?.map((t) => [t.mint, t.maxt]),
      };
      print(JSON.stringify(line));
    }
  } finally {
    block.close();
  }
  return 0;
}

/** `"stale"`, `"NaN"` for Prometheus's ordinary NaN, `"NaN:<bits>"` for any other, else the shortest decimal. */
export function sampleText(columns: SampleColumns, i: number): string {
  const value = columns.values[i]!;
  if (!Number.isNaN(value)) return Math.abs(value) >= 1e21 ? formatE(value) : formatValue(value);
  if (isStale(columns.words, i)) return "stale";
  const bits =
    (columns.words[2 * i + 1]! >>> 0).toString(16) + (columns.words[2 * i]! >>> 0).toString(16).padStart(8, "0");
  return bits === "7ff8000000000001" ? "NaN" : `NaN:${bits}`;
}
