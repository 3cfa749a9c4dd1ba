/** A block as a source of series. */
import type { BlockReader } from "#libs/tsdb/block/reader.ts";
import type { SeriesSource } from "./series-source.ts";

export function blockSource(block: BlockReader): SeriesSource {
  return {
    frames: (query, signal) => block.frames(query, signal),
    labelNames: () => block.header.labelNames(),
    hasLabel: (name) => block.header.hasLabel(name),
    values: (name) => block.values(name),
    valuesOf: (name, matchers) => block.labelValues(name, matchers),
  };
}
