/** `tools block verify`: reads blocks from end to end and says what is wrong with each. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#libs/kit/errors.ts";
import { openBlockFolder } from "#libs/tsdb/block/bytes.ts";
import { readMeta } from "#libs/tsdb/block/meta.ts";
import { isUlid } from "#libs/tsdb/block/ulid.ts";
import { type BlockCounts, verifyBlock } from "#libs/tsdb/block/verify.ts";

/** Each of `paths` is a block or a folder of blocks. @returns the exit code: 1 when a block is corrupt. */
export async function blockVerify(paths: readonly string[], print: (line: string) => void): Promise<number> {
  const blocks = paths.flatMap(blocksIn);
  let corrupt = 0;
  for (const path of blocks) {
    try {
      const { numSeries, numChunks, numSamples, numTombstones } = await verify(path);
      print(`${path}: ${numSeries} series, ${numChunks} chunks, ${numSamples} samples, ${numTombstones} tombstones`);
    } catch (error) {
      corrupt++;
      print(messageOf(error).startsWith(path) ? messageOf(error) : `${path}: ${messageOf(error)}`);
    }
  }
  print(`${blocks.length} blocks verified, ${corrupt} corrupt`);
  return corrupt > 0 ? 1 : 0;
}

/** A folder that has blocks, none of which it is itself, stands for them. */
function blocksIn(path: string): string[] {
  if (!existsSync(path) || existsSync(join(path, "meta.json"))) return [path];
  const blocks = readdirSync(path).filter(isUlid).sort();
  return blocks.length > 0 ? blocks.map((name) => join(path, name)) : [path];
}

async function verify(path: string): Promise<BlockCounts> {
  const metaFile = join(path, "meta.json");
  const meta = readMeta(readFileSync(metaFile, "utf8"), metaFile);
  const bytes = openBlockFolder(path);
  try {
    return await verifyBlock(bytes, meta, { samples: true });
  } finally {
    bytes.close();
  }
}
