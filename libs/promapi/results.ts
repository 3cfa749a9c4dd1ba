/** Query results as the HTTP API's JSON. */
import { formatPlain } from "#libs/model/float.ts";
import type { QueryResult } from "#libs/promql/engine.ts";
import { stepTime } from "#libs/promql/tile.ts";
import { formatScalarTimestamp, formatTimestamp, JsonWriter } from "./json-writer.ts";

export interface ResultOptions {
  /** Most series; 0 is all. More adds a warning. */
  readonly limit: number;
  readonly stats: boolean;
  readonly warnings: readonly string[];
}

const COMMA = 0x2c;
const CLOSE = 0x5d;

/** The whole body of a successful `query` or `query_range`. */
export function writeResult(result: QueryResult, options: ResultOptions): Uint8Array<ArrayBuffer> {
  const out = new JsonWriter();
  const warnings = [...options.warnings, ...result.warnings];
  out.raw('{"status":"success","data":{"resultType":"');
  const { value } = result;
  switch (value.type) {
    case "scalar":
      out.raw(`scalar","result":[${formatScalarTimestamp(value.timeMs)},"${formatPlain(value.value)}"]`);
      break;
    case "string":
      out.raw(`string","result":[${formatScalarTimestamp(value.timeMs)},`);
      out.value(value.value);
      out.raw("]");
      break;
    case "vector": {
      out.raw('vector","result":[');
      const stamp = `,"value":[${formatTimestamp(value.timeMs)},`;
      const { labels, values, present } = value.tile;
      let written = 0;
      for (let s = 0; s < labels.length; s++) {
        if (present[s] === 0) continue;
        if (truncate(options, written, warnings)) break;
        out.raw(written++ === 0 ? '{"metric":' : ',{"metric":');
        out.labels(labels[s]!);
        out.raw(stamp);
        out.sampleValue(values[s]!);
        out.raw("]}");
      }
      out.raw("]");
      break;
    }
    case "matrix": {
      out.raw('matrix","result":[');
      const { tile, steps } = value;
      const stamps = Array.from({ length: steps.count }, (_, i) =>
        Buffer.from(`[${formatTimestamp(stepTime(steps, i))},`),
      );
      let written = 0;
      for (let s = 0; s < tile.labels.length; s++) {
        if (truncate(options, written, warnings)) break;
        out.raw(written++ === 0 ? '{"metric":' : ',{"metric":');
        out.labels(tile.labels[s]!);
        out.raw(',"values":[');
        let first = true;
        for (let i = 0; i < steps.count; i++) {
          const at = s * steps.count + i;
          if (tile.present[at] === 0) continue;
          if (!first) out.char(COMMA);
          first = false;
          out.bytes(stamps[i]!);
          out.sampleValue(tile.values[at]!);
          out.char(CLOSE);
        }
        out.raw("]}");
      }
      out.raw("]");
      break;
    }
    case "raw": {
      out.raw('matrix","result":[');
      value.series.forEach((series, s) => {
        if (options.limit > 0 && s >= options.limit) return;
        out.raw(s === 0 ? '{"metric":' : ',{"metric":');
        out.labels(series.labels);
        out.raw(',"values":[');
        for (let i = 0; i < series.times.length; i++) {
          out.raw(`${i === 0 ? "" : ","}[${formatTimestamp(series.times[i]!)},`);
          out.sampleValue(series.values[i]!);
          out.raw("]");
        }
        out.raw("]}");
      });
      truncate(options, value.series.length - 1, warnings);
      out.raw("]");
      break;
    }
  }
  if (options.stats) {
    out.raw(',"stats":');
    const seconds = result.stats.tookMs / 1000;
    out.value({
      timings: {
        evalTotalTime: seconds,
        resultSortTime: 0,
        queryPreparationTime: 0,
        innerEvalTime: seconds,
        execQueueTime: 0,
        execTotalTime: seconds,
      },
      samples: {
        totalQueryableSamples: result.stats.samplesLoaded,
        samplesRead: result.stats.samplesLoaded,
        peakSamples: result.stats.samplesPeak,
      },
    });
  }
  out.raw("}");
  writeNotes(out, warnings, result.infos);
  out.raw("}");
  return out.finish();
}

function truncate(options: ResultOptions, written: number, warnings: string[]): boolean {
  if (options.limit === 0 || written < options.limit) return false;
  const warning = "results truncated due to limit";
  if (!warnings.includes(warning)) warnings.push(warning);
  return true;
}

export function writeNotes(out: JsonWriter, warnings: readonly string[], infos: readonly string[]): void {
  if (warnings.length > 0) {
    out.raw(',"warnings":');
    out.value(warnings);
  }
  if (infos.length > 0) {
    out.raw(',"infos":');
    out.value(infos);
  }
}
