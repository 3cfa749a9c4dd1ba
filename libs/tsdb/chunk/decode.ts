/** Chunks of one series into columns of floats. Histogram chunks are refused by name until the engine knows them. */
import { ExecutionError } from "#libs/kit/errors.ts";
import type { SampleColumns } from "#libs/model/columns.ts";
import { CODECS } from "./codecs.ts";
import { ENCODING_NAMES } from "./encoding.ts";

/**
 * Decodes a chunk behind the samples already in `columns`. `where` names it in errors.
 *
 * @throws ExecutionError for a chunk that holds no floats, CorruptionError for one that does not decode.
 */
export function decodeChunk(
  encoding: number,
  bytes: Uint8Array,
  from: number,
  length: number,
  columns: SampleColumns,
  where: string,
): void {
  const codec = CODECS[encoding];
  if (codec?.kind !== "float") {
    throw new ExecutionError(
      `${where}: chunks of encoding ${ENCODING_NAMES[encoding] ?? encoding} are not supported yet`,
    );
  }
  codec.decode(bytes, from, length, columns, where);
}
