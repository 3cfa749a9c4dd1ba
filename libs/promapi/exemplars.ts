/** Exemplars as the HTTP API's JSON. */
import type { Labels } from "#libs/model/labels.ts";
import { formatTimestamp, JsonWriter } from "./json-writer.ts";
import { writeNotes } from "./results.ts";

export interface SeriesExemplars {
  readonly series: Labels;
  /** Ascending by time; a value is one float. */
  readonly exemplars: readonly { readonly time: number; readonly value: Float64Array; readonly labels: Labels }[];
}

/** The whole body of a successful `query_exemplars`; without a list it has no data. */
export function writeExemplars(
  list: readonly SeriesExemplars[] | undefined,
  warnings: readonly string[],
): Uint8Array<ArrayBuffer> {
  const out = new JsonWriter();
  out.raw(list === undefined ? '{"status":"success"' : '{"status":"success","data":[');
  list?.forEach(({ series, exemplars }, s) => {
    out.raw(s === 0 ? '{"seriesLabels":' : ',{"seriesLabels":');
    out.labels(series);
    out.raw(',"exemplars":[');
    exemplars.forEach(({ time, value, labels }, i) => {
      out.raw(i === 0 ? '{"labels":' : ',{"labels":');
      out.labels(labels);
      out.raw(',"value":');
      out.sampleValue(value[0]!);
      out.raw(`,"timestamp":${formatTimestamp(time)}}`);
    });
    out.raw("]}");
  });
  if (list !== undefined) out.raw("]");
  writeNotes(out, warnings, []);
  out.raw("}");
  return out.finish();
}
