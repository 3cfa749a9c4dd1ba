/**
 * What metrics are said to be: type, unit and help by the name of the family. Logs say it of series, so a family is
 * logged with one of its series, and read back from any.
 */
import type { METADATA_TYPES } from "../wal/records.ts";

const FAMILIES_MAX = 20_000;

export interface MetadataEntry {
  readonly type: MetadataType;
  readonly unit: string;
  readonly help: string;
}

export type MetadataType = (typeof METADATA_TYPES)[number];

export class MetricMetadata {
  readonly #families = new Map<string, MetadataEntry>();

  get size(): number {
    return this.#families.size;
  }

  entries(): IterableIterator<[string, MetadataEntry]> {
    return this.#families.entries();
  }

  /** @returns whether that is news; above the limit new families are ignored. */
  set(family: string, { type, unit, help }: MetadataEntry): boolean {
    const known = this.#families.get(family);
    if (known !== undefined && known.type === type && known.unit === unit && known.help === help) return false;
    if (known === undefined && this.#families.size >= FAMILIES_MAX) return false;
    this.#families.set(family, { type, unit, help });
    return true;
  }
}

const SUFFIXES: Partial<Record<MetadataType, readonly string[]>> = {
  histogram: ["_bucket", "_count", "_sum"],
  gaugehistogram: ["_bucket", "_gcount", "_gsum"],
  summary: ["_count", "_sum"],
};

/** The family of a series' name. */
export function familyOf(name: string, type: MetadataType): string {
  const suffix = SUFFIXES[type]?.find((end) => name.endsWith(end));
  return suffix === undefined ? name : name.slice(0, -suffix.length);
}

/** Names that series of a family can have. */
export function seriesNames(family: string, type: MetadataType): string[] {
  return [family, ...(SUFFIXES[type] ?? []).map((suffix) => family + suffix)];
}
